//! The gradients of a training pass.

use alloc::vec;
use alloc::vec::Vec;

use crate::layout::row_bytes;
use crate::level::Level;
use crate::product::{Add, Panels, Put};
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

impl Backward<'_> {
    /// Fills the gradient of the vectors, `[vectors, features]`, and gives that of the codebook.
    ///
    /// # Panics
    ///
    /// Where the codebook is not whole pairs of vectors, or something else not of these vectors.
    pub fn gradients(&self, of_x: &mut [f32]) -> Vec<f32> {
        self.gradients_at(Level::best(), of_x)
    }

    /// [`gradients`](Self::gradients) with other instructions than the best.
    ///
    /// # Panics
    ///
    /// As [`gradients`](Self::gradients).
    pub fn gradients_at(&self, level: Level, of_x: &mut [f32]) -> Vec<f32> {
        let (features, vectors) = (self.x.features(), self.x.len());
        let num_bits = self.codebook.len() / (2 * features);
        assert!(
            num_bits > 0
                && self.codebook.len() == 2 * num_bits * features
                && self.output.features() == features
                && self.output.len() == vectors
                && self.slopes.len() == vectors * num_bits
                && self.packed.len() == vectors * row_bytes(num_bits)
                && of_x.len() == vectors * features,
            "Backward: {vectors} vectors of {features}, a codebook of {} elements, {} of {} in the \
             output, {} slopes, {} bytes and a gradient of {} elements do not fit",
            self.codebook.len(),
            self.output.len(),
            self.output.features(),
            self.slopes.len(),
            self.packed.len(),
            of_x.len(),
        );
        let mut differences = Panels::new(level, num_bits, features);
        let mut transposed = Panels::new(level, features, num_bits);
        for (bit, pair) in self.codebook.chunks_exact(2 * features).enumerate() {
            let (zero, one) = pair.split_at(features);
            let difference: Vec<f32> = one.iter().zip(zero).map(|(one, zero)| one - zero).collect();
            transposed.set_column(bit, difference.iter().copied());
            differences.set_row(bit, &difference);
        }
        let sums = run_in_parts(Part {
            differences: &differences,
            transposed: &transposed,
            x: self.x,
            packed: self.packed,
            slopes: self.slopes,
            output: self.output,
            of_x,
        });
        let mut codebook = Vec::with_capacity(self.codebook.len());
        for of_difference in sums.differences.chunks_exact(features) {
            let of_zero = sums.base.iter().zip(of_difference);
            codebook.extend(of_zero.map(|(base, difference)| base - difference));
            codebook.extend(of_difference);
        }
        codebook
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
    of_x: &'a mut [f32],
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
            logits: vec![0.0; tile * num_bits],
            transposed: vec![0.0; 2 * tile * num_bits],
            vectors: Panels::new(self.transposed.level(), 2 * tile, features),
        };
        let mut rest = self;
        while rest.x.len() > 0 {
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
    /// The gradients of the logits, `[vectors, num_bits]`.
    logits: Vec<f32>,
    /// These and the bits, `[num_bits, 2 * vectors]`.
    transposed: Vec<f32>,
    /// The vectors, then the output's gradients.
    vectors: Panels,
}

impl Part<'_> {
    fn tile(self, buffers: &mut Buffers, sums: &mut Sums) {
        let (features, num_bits) = (self.transposed.inner(), self.transposed.columns());
        let count = self.x.len();
        let logits = &mut buffers.logits[..count * num_bits];
        let keep = Put {
            rows: logits,
            columns: num_bits,
        };
        self.transposed.product(self.output, keep);
        let each = logits.iter_mut().zip(self.slopes);
        each.for_each(|(logit, slope)| *logit *= slope);
        let keep = Put {
            rows: self.of_x,
            columns: features,
        };
        self.differences.product(Rows::new(logits, num_bits), keep);

        let transposed = &mut buffers.transposed[..2 * count * num_bits];
        let rows = self.packed.chunks_exact(row_bytes(num_bits));
        for (vector, (logits, packed)) in logits.chunks_exact(num_bits).zip(rows).enumerate() {
            for (bit, &logit) in logits.iter().enumerate() {
                let row = &mut transposed[bit * 2 * count..][..2 * count];
                row[vector] = logit;
                row[count + vector] = f32::from(packed[bit / 8] >> (bit % 8) & 1);
            }
        }
        if buffers.vectors.inner() != 2 * count {
            buffers.vectors.shrink(2 * count);
        }
        for (index, row) in self.x.iter().chain(self.output.iter()).enumerate() {
            buffers.vectors.set_row(index, row);
        }
        let keep = Add {
            rows: &mut sums.differences,
            columns: features,
        };
        let transposed = Rows::new(transposed, 2 * count);
        buffers.vectors.product(transposed, keep);
        for row in self.output.iter() {
            add(&mut sums.base, row);
        }
    }
}

fn add(sums: &mut [f32], parts: &[f32]) {
    sums.iter_mut()
        .zip(parts)
        .for_each(|(sum, part)| *sum += part);
}
