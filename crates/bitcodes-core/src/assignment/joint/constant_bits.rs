//! Bits that are the same for all vectors.

use burn::tensor::{Bool, FloatDType, Tensor, backend::Backend};

use crate::losses::untracked;

/// Fewer vectors say little of how a bit is used.
const LEAST_VECTORS: usize = 32;

/// What the mean square of an unused pair's difference counts, beside that of what is left of the
/// vectors.
const WEIGHT: f64 = 0.1;

/// A loss that brings the two vectors of an unused pair together, `[1]`:
///
/// ```text
/// 0.1 sum_p mean(delta_p^2)        p over the bits that no vector has, or all have
/// ```
///
/// of `delta [num_bits, features]` and `bits [vectors, num_bits]`, 0 or 1; 0 where fewer than 32
/// vectors are valid.
///
/// A vector that is never chosen has none to learn from. As the pair comes together, some
/// choose it: what other quantizers do with dead codes by moving them to a vector
/// ([Zeghidour et al. 2021](https://arxiv.org/abs/2107.03312), section III-C), here without a count
/// that would have to be kept.
pub(super) fn unused_loss<B: Backend>(
    delta: Tensor<B, 2>,
    bits: Tensor<B, 2>,
    valid: Option<Tensor<B, 2, Bool>>,
) -> Tensor<B, 1> {
    let dtype = FloatDType::from(delta.dtype());
    let [vectors, num_bits] = bits.dims();
    let (bits, count) = match valid {
        Some(valid) => {
            let count = valid.clone().int().cast(dtype).sum_dim(0);
            let padding = valid.bool_not().expand([vectors, num_bits]);
            (bits.mask_fill(padding, 0.0), count)
        }
        None => {
            let options = (&bits.device(), dtype.into());
            (bits, Tensor::full([1, 1], vectors as f64, options))
        }
    };
    let ones = untracked(bits).sum_dim(0);
    let zeros = count.clone() - ones.clone();
    let few = count.lower_elem(LEAST_VECTORS as f64).expand([1, num_bits]);
    let both_or_few = (ones * zeros).greater_elem(0.0).bool_or(few);
    let squares = delta.powi_scalar(2).mean_dim(1).transpose();
    squares.mask_fill(both_or_few, 0.0).sum() * WEIGHT
}
