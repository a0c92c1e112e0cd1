//! The share of vectors that training leaves unquantized.
//!
//! ```text
//! error = sum |x - y|^2 / sum |x - mean(x)|^2
//! share = min(1 / 2, max(0, 1 - error / unquantized_below))
//! ```
//!
//! An encoder that is trained through a quantizer learns little in directions that get no bits: there
//! the decoder sees no difference between vectors, and the commitment loss makes the differences
//! smaller. If the vectors vary much more along one direction than along all others, nearly all bits
//! go to this direction, the error becomes small beside the variance, and the encoder stays as it is.
//! A decoder that also gets unquantized vectors learns to use the other directions, which then grow and
//! get bits. The error grows with them, until the share is small.
//!
//! If the error is large from the start, as with few bits, each vector is quantized: a decoder that
//! relies on what few bits cannot hold reconstructs worse. The audio codec Mimi leaves half of its
//! training examples unquantized at any error ([Défossez et al.
//! 2024](https://arxiv.org/abs/2410.00037), "Quantization rate").

use burn::tensor::{Bool, FloatDType, Tensor, backend::Backend};

use crate::graph::untracked;
use crate::vectors::{fill_padding, sum_over_vectors};

/// Largest share. With larger ones, digits at 128 bits per image were reconstructed worse.
const MOST_SHARE: f64 = 0.5;

/// Returns the share for a sum of squared residuals and a sum of squared distances from the mean; 0 if
/// it is not defined.
#[cfg(feature = "autodiff")]
pub(super) fn share(squared_residuals: f64, squared_distances: f64, below: f64) -> f64 {
    match squared_distances > 0.0 && below > 0.0 {
        true => (1.0 - squared_residuals / squared_distances / below).clamp(0.0, MOST_SHARE),
        false => 0.0,
    }
}

/// Returns the vectors to leave unquantized, those whose draw is below the share: true for each of them, with
/// one element along axis 1.
///
/// Takes normalized vectors `x` and quantized vectors `y` along axis 1. `draws` and `valid` have one element
/// along axis 1.
pub(super) fn mask<B: Backend, const N: usize>(
    x: &Tensor<B, N>,
    y: &Tensor<B, N>,
    draws: Tensor<B, N>,
    valid: &Option<Tensor<B, N, Bool>>,
    below: f64,
) -> Tensor<B, N, Bool> {
    let [x, y] = [x, y].map(|tensor| untracked(tensor.clone()));
    let padding = valid.as_ref().map(|valid| valid.clone().bool_not());
    let of_valid = |tensor: Tensor<B, N>| fill_padding(tensor, &padding);
    let count = sum_over_vectors(of_valid(x.ones_like()));
    let mean = sum_over_vectors(of_valid(x.clone())) / count;
    let total = |tensor: Tensor<B, N>| of_valid(tensor.powi_scalar(2)).sum().reshape([1; N]);
    // Equal vectors make it NaN or negative, and then no draw is below it.
    let share = -(total(x.clone() - y) / total(x - mean) / below) + 1.0;
    let share = share.clamp_max(MOST_SHARE);
    let share = share.cast(FloatDType::F32).expand(draws.dims());
    untracked(draws).cast(FloatDType::F32).lower(share)
}
