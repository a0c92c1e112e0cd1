//! The loss of constant bits: the bits that are the same for all vectors.

#[cfg(feature = "autodiff")]
use bitcodes_kernels::Codebook as Slice;
use burn::tensor::{Bool, FloatDType, Tensor, backend::Backend};

use crate::graph::untracked;

/// Least number of valid vectors for which the loss is computed; fewer tell little about a bit.
const LEAST_VECTORS: usize = 32;

/// Weight of the mean square of a constant bit's difference, beside the mean square of the
/// residual.
const WEIGHT: f64 = 0.1;

/// Computes a loss `[1]` that brings the two vectors of a constant bit's pair together:
///
/// ```text
/// 0.1 sum_p mean(delta_p^2)        p over the bits that are 0 for all vectors, or 1 for all
/// ```
///
/// Takes `delta [num_bits, features]` and `bits [vectors, num_bits]`, 0 or 1. The loss is 0 if fewer
/// than 32 vectors are valid.
///
/// A row that is never chosen gets no input vectors to learn from. As the pair comes together, some
/// inputs choose that row. Other quantizers replace codes that are never used by an input vector, and
/// count how often each code is used
/// ([Zeghidour et al. 2021](https://arxiv.org/abs/2107.03312), section III-C).
pub(super) fn constant_bits_loss<B: Backend>(
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

/// Computes the same loss, and adds its gradient times `weight` to `gradient [2 * num_bits,
/// features]`.
///
/// Takes the sums of each bit over the valid vectors, and the number of these.
#[cfg(feature = "autodiff")]
pub(super) fn add_constant_bits_gradient(
    codebook: Slice<'_>,
    bits: &[f32],
    vectors: usize,
    weight: f64,
    gradient: &mut [f32],
) -> f64 {
    let (features, mut loss) = (codebook.features(), 0.0);
    if vectors < LEAST_VECTORS {
        return loss;
    }
    let pairs = gradient.chunks_exact_mut(2 * features);
    let each = codebook.differences().zip(bits).zip(pairs);
    for ((difference, &ones), pair) in each {
        if 0.0 < ones && ones < vectors as f32 {
            continue;
        }
        let (zero, one) = pair.split_at_mut(features);
        for ((delta, zero), one) in difference.map(f64::from).zip(zero).zip(one) {
            loss += WEIGHT * delta * delta / features as f64;
            let of_delta = (weight * WEIGHT * 2.0 * delta / features as f64) as f32;
            *zero -= of_delta;
            *one += of_delta;
        }
    }
    loss
}
