//! How a codebook starts.
//!
//! With `delta_p` the difference of bit `p`'s pair, the output is
//! `y = mean(codebook pairs) + sum_p (bit_p - 1/2) delta_p`. For bits that are fair and independent
//! its mean is the sum of the pairs' means and its covariance `1/4 sum_p delta_p delta_p^T`.
//!
//! [`BitcodesConfig::init_from_sample`](crate::BitcodesConfig::init_from_sample) chooses both to be
//! the sample's: each pair's mean is a `num_bits`-th of the sample's mean `m`, and each difference
//! a random mixture of the `n` centred vectors,
//!
//! ```text
//! delta_p = 2 / sqrt(num_bits) * sum_i w_i (x_i - m)        w_i ~ N(0, 1 / n)
//! ```
//!
//! As `logits_p = x . delta_p` of vectors that all lie on one side of the origin would have the same
//! sign, the part of a difference along `m` is damped (for more than one feature): multiplied by
//! `v / (v + |m|^2)`, with `v` the sample's variance in that direction. It stays whole where the
//! mean is the origin, and vanishes where the mean is far, so that each bit starts near balance.

use burn::tensor::{Distribution, ElementConversion, Slice, Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use crate::ConfigError;
use crate::precision::working;

/// The distribution that a codebook is drawn from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Initializer {
    /// N(0, 1), as the reference: the output's standard deviation is `sqrt(num_bits)`.
    #[default]
    Normal,
    /// N(0, 1 / num_bits): the output's standard deviation is 1 for any number of bits.
    UnitOutput,
}

impl Initializer {
    /// `[2 * num_bits, features]`.
    pub(crate) fn draw<B: Backend>(
        self,
        num_bits: usize,
        features: usize,
        device: &B::Device,
    ) -> Tensor<B, 2> {
        let deviation = match self {
            Self::Normal => 1.0,
            Self::UnitOutput => libm::sqrt(1.0 / num_bits as f64),
        };
        let normal = Distribution::Normal(0.0, deviation);
        Tensor::random([2 * num_bits, features], normal, device)
    }
}

/// More vectors than these make no better directions.
const MAX_MIXED: usize = 1 << 14;

/// A codebook `[2 * num_bits, features]` whose outputs are distributed as `sample
/// [vectors, features]`.
pub(crate) fn around_sample<B: Backend>(
    sample: Tensor<B, 2>,
    num_bits: usize,
) -> Result<Tensor<B, 2>, ConfigError> {
    let [vectors, features] = sample.dims();
    let dtype = working([sample.dtype()]);
    let sample = sample.detach().set_require_grad(false).cast(dtype);
    // A value that is not finite makes this so, too.
    let total: f64 = sample.clone().abs().mean().into_scalar().elem();
    if !total.is_finite() {
        return Err(ConfigError::SampleNotFinite(total));
    }
    let mean = sample.clone().mean_dim(0);
    let centred = sample - mean.clone();

    let step = vectors.div_ceil(MAX_MIXED);
    let mixed = centred.clone().slice([Slice::new(0, None, step as isize)]);
    let [count, _] = mixed.dims();
    let deviation = libm::sqrt(4.0 / (num_bits as f64 * count as f64));
    let weights = Distribution::Normal(0.0, deviation);
    let weights = Tensor::<B, 2>::random([num_bits, count], weights, &mixed.device());
    let mut delta = weights.cast(dtype).matmul(mixed);
    if features > 1 {
        // Above 0, so that no mean at all has no direction.
        let square = mean.clone().powi_scalar(2).sum_dim(1).clamp_min(1e-30);
        let direction = mean.clone() / square.clone().sqrt();
        let variance = centred
            .matmul(direction.clone().transpose())
            .powi_scalar(2)
            .mean_dim(0);
        let taken = square.clone() / (variance + square);
        let along = delta.clone().matmul(direction.clone().transpose());
        delta = delta - along * taken * direction;
    }
    let share = mean / num_bits as f64;
    let zeros = share.clone() - delta.clone() / 2.0;
    let ones = share + delta / 2.0;
    Ok(Tensor::stack::<3>([zeros, ones].into(), 1).reshape([2 * num_bits, features]))
}
