//! The balance loss: it brings vectors nearer to the rarer value of a bit that is nearly always the same.
//!
//! ```text
//! m_p      = mean(s_p)
//! excess_p = sign(m_p) max(|m_p| - 1/4, 0)
//! loss     = sum_p excess_p mean(h_p^2) mean(clamp(logit_p, -1, 1))
//! ```
//!
//! Means of signs and logits are over the vectors, that of `h_p^2` over the features. The logit of a bit is
//! that of the residual which the other bits leave. Only vectors that lie between the two vectors of the pair
//! get a gradient. The codebook gets none.
//!
//! If the vectors along a direction are skewed, as the brightness of photographs is, the codebook that is
//! nearest to them leaves its longest bits unbalanced. An encoder can distribute its vectors otherwise at
//! no cost, because the decoder learns the inverse. A bit that is 1 for five eighths of the vectors, the most
//! that costs nothing, has an entropy of 0.95 bits.

#[cfg(feature = "autodiff")]
use alloc::vec::Vec;

use burn::tensor::{Bool, FloatDType, Tensor, backend::Backend};

use super::Joint;
use crate::codebook::Pairs;
use crate::graph::untracked;
use crate::vectors::vectors_first;

/// Least number of valid vectors for which the loss is computed; the mean sign of fewer tells little.
const LEAST_VECTORS: usize = 32;

/// Mean sign that costs nothing. In a batch of 256 vectors, the mean sign of a balanced bit has a
/// deviation of 1/16.
const MARGIN: f32 = 0.25;

/// Computes the loss `[1]` of vectors `x` and `bits` of 0 and 1, both along axis 1.
pub(super) fn balance_loss<B: Backend, const N: usize>(
    pairs: &Pairs<B>,
    x: Tensor<B, N>,
    bits: Tensor<B, N>,
    valid: Option<Tensor<B, 2, Bool>>,
) -> Tensor<B, 1> {
    let (pairs, bits) = (pairs.clone().untracked(), untracked(bits));
    let dtype = FloatDType::from(x.dtype());
    let logits = vectors_first(Joint::logits_given_bits(&pairs, x, bits.clone()));
    let mut signs = vectors_first(bits) * 2.0 - 1.0;
    let shape = logits.dims();
    // A logit that is not finite adds nothing.
    let finite = logits.clone().abs().lower_equal_elem(f32::MAX);
    let mut near = logits.mask_fill(finite.bool_not(), 0.0).clamp(-1.0, 1.0);
    let count = match valid {
        Some(valid) => {
            let count = valid.clone().int().cast(dtype).sum_dim(0);
            let padding = valid.bool_not().expand(shape);
            signs = signs.mask_fill(padding.clone(), 0.0);
            near = near.mask_fill(padding, 0.0);
            count
        }
        None => Tensor::full([1, 1], shape[0] as f64, (&near.device(), dtype.into())),
    };
    let few = count.clone().lower_elem(LEAST_VECTORS as f64);
    let count = count.clamp_min(1.0);
    let mean = signs.sum_dim(0) / count.clone();
    let excess = mean.clone().sign() * (mean.abs() - f64::from(MARGIN)).clamp_min(0.0);
    let squares = pairs.half().powi_scalar(2).mean_dim(1).transpose();
    let each = excess * squares * (near.sum_dim(0) / count);
    each.mask_fill(few.expand([1, shape[1]]), 0.0).sum()
}

/// Returns the excess of each bit from the sum of its values over a number of vectors; `None` if it is 0
/// for all bits.
#[cfg(feature = "autodiff")]
pub(super) fn excess(bits: &[f32], vectors: usize) -> Option<Vec<f32>> {
    if vectors < LEAST_VECTORS {
        return None;
    }
    let of_bit = |&ones: &f32| {
        let mean = 2.0 * ones / vectors as f32 - 1.0;
        match mean.abs() > MARGIN {
            true => mean - MARGIN.copysign(mean),
            false => 0.0,
        }
    };
    let excess: Vec<f32> = bits.iter().map(of_bit).collect();
    excess.iter().any(|&excess| excess != 0.0).then_some(excess)
}
