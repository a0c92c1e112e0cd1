//! The gradients of a training pass.

use alloc::vec;
use alloc::vec::Vec;
use core::mem::MaybeUninit;

use crate::layout::row_bytes;
use crate::level::Level;
use crate::memory::written;
use crate::product::{Add, Columns, Panels, Put};
use crate::rows::Rows;
use crate::tasks::{Task, run_in_parts};

/// What gradients of vectors and codebook are computed from, of bits that were
/// [sampled](crate::Encoder::sample).
///
/// With `D [num_bits, features]` the pairs' differences, `base` the sum of the first vectors of all
/// pairs, bits `b` and slopes `s`, the output is `y = base + b D`, and the gradient that passes
/// through it straight
///
/// ```text
/// l = (grad_y D^T) s          grad_x = l D
/// grad_D = b^T grad_y + l^T x grad_base = sum of grad_y
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Backward<'a> {
    /// The codebook, `[2 * num_bits, features]`.
    pub codebook: &'a [f32],
    /// The vectors.
    pub x: Rows<'a>,
    /// Their bits, packed.
    pub packed: &'a [u8],
    /// Their slopes, `[vectors, num_bits]`.
    pub slopes: &'a [f32],
    /// The gradient of the output, for each vector.
    pub output: Rows<'a>,
}

/// What training descends along.
#[derive(Debug, Clone)]
pub struct Gradients {
    /// Of the vectors, `[vectors, features]`.
    pub x: Vec<f32>,
    /// Of the codebook, `[2 * num_bits, features]`.
    pub codebook: Vec<f32>,
}

impl Backward<'_> {
    /// The gradients of vectors and codebook.
    ///
    /// # Panics
    ///
    /// Where the codebook is not whole pairs of vectors, or something else not of these vectors.
    pub fn gradients(&self) -> Gradients {
        self.gradients_at(Level::best())
    }

    /// [`gradients`](Self::gradients) with other instructions than the best.
    ///
    /// # Panics
    ///
    /// As [`gradients`](Self::gradients).
    pub fn gradients_at(&self, level: Level) -> Gradients {
        let (features, vectors) = (self.x.features(), self.x.len());
        let num_bits = self.codebook.len() / (2 * features);
        assert!(
            num_bits > 0
                && self.codebook.len() == 2 * num_bits * features
                && self.output.features() == features
                && self.output.len() == vectors
                && self.slopes.len() == vectors * num_bits
                && self.packed.len() == vectors * row_bytes(num_bits),
            "Backward: {vectors} vectors of {features}, a codebook of {} elements, {} of {} in the \
             output, {} slopes and {} bytes do not fit",
            self.codebook.len(),
            self.output.len(),
            self.output.features(),
            self.slopes.len(),
            self.packed.len(),
        );
        let mut differences = Panels::new(level, num_bits, features);
        let mut transposed = Panels::new(level, features, num_bits);
        for (bit, pair) in self.codebook.chunks_exact(2 * features).enumerate() {
            let (zero, one) = pair.split_at(features);
            let difference: Vec<f32> = one.iter().zip(zero).map(|(one, zero)| one - zero).collect();
            transposed.set_column(bit, difference.iter().copied());
            differences.set_row(bit, &difference);
        }
        let mut sums = None;
        let write = |of_x: &mut [MaybeUninit<f32>]| {
            sums = Some(run_in_parts(Part {
                differences: &differences,
                transposed: &transposed,
                x: self.x,
                packed: self.packed,
                slopes: self.slopes,
                output: self.output,
                of_x,
            }));
        };
        // SAFETY: it puts a product there for each vector.
        #[expect(unsafe_code, reason = "measured to pay")]
        let x = unsafe { written(vectors * features, write) };
        let sums = sums.expect("it is called");
        let mut codebook = Vec::with_capacity(self.codebook.len());
        for of_difference in sums.differences.chunks_exact(features) {
            let of_zero = sums.base.iter().zip(of_difference);
            codebook.extend(of_zero.map(|(base, difference)| base - difference));
            codebook.extend(of_difference);
        }
        Gradients { x, codebook }
    }
}

/// Of the differences `[num_bits, features]` and of the base.
struct Sums {
    differences: Vec<f32>,
    base: Vec<f32>,
}

/// Some vectors.
struct Part<'a> {
    /// `[num_bits, features]`
    differences: &'a Panels,
    /// `[features, num_bits]`
    transposed: &'a Panels,
    x: Rows<'a>,
    packed: &'a [u8],
    slopes: &'a [f32],
    output: Rows<'a>,
    of_x: &'a mut [MaybeUninit<f32>],
}

impl Task for Part<'_> {
    type Output = Sums;

    fn vectors(&self) -> usize {
        self.x.len()
    }

    fn split_at(self, vectors: usize) -> (Self, Self) {
        let (features, num_bits) = (self.transposed.inner(), self.transposed.columns());
        let (x, x_after) = self.x.split_at(vectors);
        let (output, output_after) = self.output.split_at(vectors);
        let (packed, packed_after) = self.packed.split_at(vectors * row_bytes(num_bits));
        let (slopes, slopes_after) = self.slopes.split_at(vectors * num_bits);
        let (of_x, of_x_after) = self.of_x.split_at_mut(vectors * features);
        let (differences, transposed) = (self.differences, self.transposed);
        let part = |x, packed, slopes, output, of_x| Part {
            differences,
            transposed,
            x,
            packed,
            slopes,
            output,
            of_x,
        };
        (
            part(x, packed, slopes, output, of_x),
            part(
                x_after,
                packed_after,
                slopes_after,
                output_after,
                of_x_after,
            ),
        )
    }

    fn run(self) -> Sums {
        let (features, num_bits) = (self.transposed.inner(), self.transposed.columns());
        let mut sums = Sums {
            differences: vec![0.0; num_bits * features],
            base: vec![0.0; features],
        };
        let tile = (TILE_ELEMENTS / features).clamp(1, self.x.len().max(1));
        let mut buffers = Buffers {
            weights: vec![0.0; 2 * tile * num_bits],
            vectors: Panels::new(self.transposed.level(), 2 * tile, features),
        };
        let mut rest = self;
        while !rest.x.is_empty() {
            let count = tile.min(rest.x.len());
            let (first, after) = rest.split_at(count);
            first.tile(&mut buffers, &mut sums);
            rest = after;
        }
        sums
    }

    fn join(mut first: Sums, second: Sums) -> Sums {
        add(&mut first.differences, &second.differences);
        add(&mut first.base, &second.base);
        first
    }
}

/// Elements of the vectors of a tile: as many of the output's gradient, and both once more in their
/// panels, have room beside them in a core's second cache.
const TILE_ELEMENTS: usize = 1 << 14;

/// What tiles are computed in.
struct Buffers {
    /// The gradients of the logits, then the bits, `[2 * vectors, num_bits]`.
    weights: Vec<f32>,
    /// The vectors, then the output's gradients, `[2 * vectors, features]`.
    vectors: Panels,
}

impl Part<'_> {
    fn tile(self, buffers: &mut Buffers, sums: &mut Sums) {
        let (features, num_bits) = (self.transposed.inner(), self.transposed.columns());
        let level = self.transposed.level();
        let count = self.x.len();
        let weights = &mut buffers.weights[..2 * count * num_bits];
        let (logits, bits) = weights.split_at_mut(count * num_bits);
        self.transposed
            .product(self.output, Put::over(logits, num_bits));
        level.run(
            #[inline(always)]
            || {
                let each = logits.iter_mut().zip(self.slopes);
                each.for_each(|(logit, slope)| *logit *= slope);
                let rows = self.packed.chunks_exact(row_bytes(num_bits));
                for (bits, packed) in bits.chunks_exact_mut(num_bits).zip(rows) {
                    for (bits, byte) in bits.chunks_mut(8).zip(packed) {
                        for (bit, weight) in bits.iter_mut().enumerate() {
                            *weight = f32::from(byte >> bit & 1);
                        }
                    }
                }
                for row in self.output.iter() {
                    add(&mut sums.base, row);
                }
            },
        );
        let rows = self.of_x;
        let columns = features;
        self.differences
            .product(Rows::new(logits, num_bits), Put { rows, columns });

        if buffers.vectors.inner() != 2 * count {
            buffers.vectors.shrink(2 * count);
        }
        for (index, row) in self.x.iter().chain(self.output.iter()).enumerate() {
            buffers.vectors.set_row(index, row);
        }
        let rows = &mut sums.differences;
        buffers
            .vectors
            .product(Columns::new(weights, num_bits), Add { rows, columns });
    }
}

#[inline(always)]
fn add(sums: &mut [f32], parts: &[f32]) {
    sums.iter_mut()
        .zip(parts)
        .for_each(|(sum, part)| *sum += part);
}
