//! How a codebook starts.
//!
//! With `delta_p` the difference of bit `p`'s pair, the output is
//! `y = mean(codebook pairs) + sum_p (bit_p - 1/2) delta_p`. For bits that are fair and independent
//! its mean is the sum of the pairs' means and its covariance `1/4 sum_p delta_p delta_p^T`.
//!
//! [`BitcodesConfig::try_init_from_sample`](crate::BitcodesConfig::try_init_from_sample) chooses both by the
//! sample, of mean `m`, normalized if the quantizer does; each pair's mean is a `num_bits`-th of `m`.
//!
//! # Bits that are decided together
//!
//! The differences are along the `d = min(features, ceil(num_bits / 3))` principal directions `u_i`
//! of the sample, bit `i + j d` having
//!
//! ```text
//! delta = 2 (0.7 a) 2^-j u_i        a^2 = the mean of the variances along u_1 .. u_d
//! ```
//!
//! so that along each direction the bits are the digits of a uniform grid. The directions are found
//! by a few steps of orthogonal iteration. Without a sample the directions are random.
//!
//! # Bits that are decided independently
//!
//! Each difference is a random mixture of the `n` centred vectors,
//!
//! ```text
//! delta_p = 2 / sqrt(num_bits) * sum_i w_i (x_i - m)        w_i ~ N(0, 1 / n)
//! ```
//!
//! As `logits_p = x . delta_p` of vectors that all lie on one side of the origin would have the same
//! sign, the part of a difference along `m` is damped (for more than one feature): multiplied by
//! `v / (v + |m|^2)`, with `v` the sample's variance in that direction. It stays whole where the
//! mean is the origin, and vanishes where the mean is far, so that each bit starts near balance.

mod grid;
mod sample;

use burn::tensor::{Distribution, Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

pub(crate) use self::sample::Sample;
use crate::Normalization;

/// The distribution that the codebook of bits that are decided independently is drawn from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Initializer {
    /// N(0, 1), as the reference: the output's standard deviation is `sqrt(num_bits)`. For normalized
    /// vectors less the rows' mean, which leaves `sqrt(num_bits / 2)`.
    #[default]
    Normal,
    /// N(0, 1 / num_bits): the output's standard deviation is 1 for any number of bits; for normalized
    /// vectors less the rows' mean, which leaves `sqrt(1/2)`.
    UnitOutput,
}

impl Initializer {
    /// Draws a codebook `[2 * num_bits, features]`. For normalized vectors the mean of its rows is 0,
    /// as the vectors' mean is.
    pub(crate) fn draw<B: Backend>(
        self,
        num_bits: usize,
        features: usize,
        normalized: bool,
        device: &B::Device,
    ) -> Tensor<B, 2> {
        let deviation = match self {
            Self::Normal => 1.0,
            Self::UnitOutput => libm::sqrt(1.0 / num_bits as f64),
        };
        let rows = normal(2 * num_bits, features, deviation, device);
        match normalized {
            true => rows.clone() - rows.mean_dim(0),
            false => rows,
        }
    }
}

/// Draws a codebook `[2 * num_bits, features]` that is a grid along random orthogonal directions,
/// three bits or more a direction.
///
/// It is made for vectors whose features have a standard deviation of 1, or for normalized ones. The
/// mean of its rows is 0, and stays so in the training of normalized vectors.
pub(crate) fn draw_grid<B: Backend>(
    num_bits: usize,
    features: usize,
    normalized: bool,
    device: &B::Device,
) -> Tensor<B, 2> {
    let count = grid::directions(num_bits, features);
    let directions = grid::orthonormal(normal(count, features, 1.0, device));
    let of_a_feature = match normalized {
        true => Normalization::<B>::DEVIATION,
        false => 1.0,
    };
    // The deviation of such vectors along a direction if they lie in these directions alone.
    let deviation = of_a_feature * libm::sqrt(features as f64 / count as f64);
    grid::codebook(directions * (grid::AMPLITUDE * deviation), None, num_bits)
}

fn normal<B: Backend>(
    rows: usize,
    features: usize,
    deviation: f64,
    device: &B::Device,
) -> Tensor<B, 2> {
    let normal = Distribution::Normal(0.0, deviation);
    Tensor::random([rows, features], normal, device)
}
