//! Training backward pass: the gradients of vectors and codebook.

use alloc::vec;
use alloc::vec::Vec;
use core::mem::MaybeUninit;

use super::unpack_weights;
use crate::codebook::Codebook;
use crate::layout::row_bytes;
use crate::level::Level;
use crate::memory::filled_by;
use crate::product::{AddToRows, ColumnVectors, Panels, StoreRows};
use crate::rows::Rows;
use crate::tasks::{Task, add_elements, run_apart};

/// Inputs of a training backward pass after
/// [`Encoder::encode_with_noise`](crate::Encoder::encode_with_noise).
///
/// The output of the forward pass is `y = base + b D`, with the pairs' differences `D [num_bits,
/// features]`, the sum `base` of the pairs' first vectors, and bits `b`. The bits pass gradients on
/// as if they were `sigmoid((logit + noise) / temperature)`, whose derivatives are the slopes `s`
/// (the straight-through estimator):
///
/// ```text
/// l         = (grad_y D^T) * s            gradient of the logits, elementwise product
/// grad_x    = l D
/// grad_D    = b^T grad_y + l^T x
/// grad_base = sum of grad_y over the vectors
/// grad_codebook[2p + 1] = grad_D[p]       grad_codebook[2p] = grad_base - grad_D[p]
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Backward<'a> {
    /// The codebook.
    pub codebook: Codebook<'a>,
    /// The vectors that were encoded, `[vectors, features]`.
    pub x: Rows<'a>,
    /// Their packed codes, `[vectors, row_bytes(num_bits)]`.
    pub packed: &'a [u8],
    /// The slopes of their bits, `[vectors, num_bits]`.
    pub slopes: &'a [f32],
    /// The gradient of the output, `[vectors, features]`.
    pub output: Rows<'a>,
}

/// Gradients of vectors and codebook.
#[derive(Debug, Clone)]
pub struct Gradients {
    /// The gradient of the vectors, `[vectors, features]`.
    pub x: Vec<f32>,
    /// The gradient of the codebook, `[2 * num_bits, features]`.
    pub codebook: Vec<f32>,
}

impl Backward<'_> {
    /// Computes the gradients with the best level of this processor. On one of rayon's threads it uses
    /// that thread alone, and elsewhere threads that do nothing else.
    ///
    /// # Panics
    ///
    /// Panics if the shapes of the fields do not fit one another.
    pub fn gradients(&self) -> Gradients {
        self.gradients_at(Level::best())
    }

    /// Computes the gradients with a level.
    ///
    /// # Panics
    ///
    /// Panics if the shapes of the fields do not fit one another.
    pub fn gradients_at(&self, level: Level) -> Gradients {
        let (features, num_bits) = (self.codebook.features(), self.codebook.num_bits());
        let vectors = self.x.len();
        assert!(
            self.x.features() == features
                && self.output.features() == features
                && self.output.len() == vectors
                && self.slopes.len() == vectors * num_bits
                && self.packed.len() == vectors * row_bytes(num_bits),
            "Backward: {vectors} vectors of {}, {} of {} in the output, {} slopes and {} bytes do not \
             fit one another and a codebook of {features} features and {num_bits} bits",
            self.x.features(),
            self.output.len(),
            self.output.features(),
            self.slopes.len(),
            self.packed.len(),
        );
        let mut differences = Panels::new(level, num_bits, features);
        let mut transposed = Panels::new(level, features, num_bits);
        for (bit, difference) in self.codebook.differences().enumerate() {
            let difference: Vec<f32> = difference.collect();
            transposed.set_column(bit, difference.iter().copied());
            differences.set_row(bit, &difference);
        }
        let mut sums = None;
        let write = |grad_x: &mut [MaybeUninit<f32>]| {
            sums = Some(run_apart(BackwardTask {
                differences: &differences,
                transposed: &transposed,
                x: self.x,
                packed: self.packed,
                slopes: self.slopes,
                output: self.output,
                grad_x,
            }));
        };
        // SAFETY: each part stores one product for each of its vectors.
        #[expect(unsafe_code, reason = "measured to pay")]
        let x = unsafe { filled_by(vectors * features, write) };
        let sums = sums.expect("`filled_by` runs `write`");
        let mut codebook = Vec::with_capacity(2 * num_bits * features);
        for grad_difference in sums.differences.chunks_exact(features) {
            let grad_zero = sums.base.iter().zip(grad_difference);
            codebook.extend(grad_zero.map(|(base, difference)| base - difference));
            codebook.extend(grad_difference);
        }
        Gradients { x, codebook }
    }
}

/// Sums of a part's gradients of the codebook.
struct Sums {
    /// The gradient of the differences, `[num_bits, features]`.
    differences: Vec<f32>,
    /// The gradient of the base, `[features]`.
    base: Vec<f32>,
}

/// Vectors to compute gradients of.
struct BackwardTask<'a> {
    /// `[num_bits, features]`
    differences: &'a Panels,
    /// `[features, num_bits]`
    transposed: &'a Panels,
    x: Rows<'a>,
    packed: &'a [u8],
    slopes: &'a [f32],
    output: Rows<'a>,
    grad_x: &'a mut [MaybeUninit<f32>],
}

impl Task for BackwardTask<'_> {
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
        let (grad_x, grad_x_after) = self.grad_x.split_at_mut(vectors * features);
        let (differences, transposed) = (self.differences, self.transposed);
        let part = |x, packed, slopes, output, grad_x| BackwardTask {
            differences,
            transposed,
            x,
            packed,
            slopes,
            output,
            grad_x,
        };
        (
            part(x, packed, slopes, output, grad_x),
            part(
                x_after,
                packed_after,
                slopes_after,
                output_after,
                grad_x_after,
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
            first.compute_tile(&mut buffers, &mut sums);
            rest = after;
        }
        sums
    }

    fn join(mut first: Sums, second: Sums) -> Sums {
        add_elements(&mut first.differences, &second.differences);
        add_elements(&mut first.base, &second.base);
        first
    }
}

/// Number of elements of the vectors of a tile.
///
/// The second-level cache holds four times as many: the vectors and the gradient of the output,
/// each in rows and in panels.
const TILE_ELEMENTS: usize = 1 << 14;

/// Memory that the tiles of a part share.
struct Buffers {
    /// The gradient of the logits above the bits, `[2 * vectors, num_bits]`.
    weights: Vec<f32>,
    /// The vectors above the gradient of the output, `[2 * vectors, features]`.
    vectors: Panels,
}

// for each tile of vectors:
//     l      = grad_y D^T                                   // product
//     l     *= slopes
//     bits   = unpack(packed)                               // 0.0 or 1.0
//     base  += sum of grad_y
//     grad_x = l D                                          // product
//     differences += l^T x + bits^T grad_y                  // one product: [l; bits]^T [x; grad_y]
impl BackwardTask<'_> {
    fn compute_tile(self, buffers: &mut Buffers, sums: &mut Sums) {
        let (features, num_bits) = (self.transposed.inner(), self.transposed.columns());
        let level = self.transposed.level();
        let count = self.x.len();
        let weights = &mut buffers.weights[..2 * count * num_bits];
        let (logits, bits) = weights.split_at_mut(count * num_bits);
        self.transposed
            .product(self.output, StoreRows::over(logits, num_bits));
        level.run(
            #[inline(always)]
            || {
                let each = logits.iter_mut().zip(self.slopes);
                each.for_each(|(logit, slope)| *logit *= slope);
                unpack_weights(self.packed, num_bits, bits);
                for row in self.output.iter() {
                    add_elements(&mut sums.base, row);
                }
            },
        );
        let rows = self.grad_x;
        let columns = features;
        self.differences
            .product(Rows::new(logits, num_bits), StoreRows { rows, columns });

        if buffers.vectors.inner() != 2 * count {
            buffers.vectors.shrink(2 * count);
        }
        for (index, row) in self.x.iter().chain(self.output.iter()).enumerate() {
            buffers.vectors.set_row(index, row);
        }
        let rows = &mut sums.differences;
        buffers.vectors.product(
            ColumnVectors::new(weights, num_bits),
            AddToRows { rows, columns },
        );
    }
}
