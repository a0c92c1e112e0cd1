//! The codebook before training.
//!
//! Let `mid_p` be the mean of bit `p`'s pair and `delta_p` its difference. The output is
//! `y = sum_p mid_p + sum_p (bit_p - 1/2) delta_p`, as [`Bitcodes`](crate::Bitcodes) states. For
//! fair and independent bits, its mean is `sum_p mid_p` and its covariance is
//! `1/4 sum_p delta_p delta_p^T`.
//!
//! [`BitcodesConfig::try_init_from_sample`](crate::BitcodesConfig::try_init_from_sample) takes the mean
//! and the covariance from a sample. If the quantizer normalizes, the sample is normalized first. With
//! `m` the sample's mean, `mid_p = m / num_bits`.
//!
//! # Joint bits
//!
//! The differences lie along the `d = min(features, ceil(num_bits / 3))` principal directions `u_i`
//! of the sample. The difference of bit `i + j d` is
//!
//! ```text
//! delta = 2 (0.7 a) 2^-j u_i        a^2 = the mean of the variances along u_1 .. u_d
//! ```
//!
//! so the bits of one direction are the digits of a uniform grid. A few steps of orthogonal
//! iteration find the directions. Without a sample the directions are random.
//!
//! # Independent bits
//!
//! Each difference is a random mixture of the sample's `n` centered vectors:
//!
//! ```text
//! delta_p = 2 / sqrt(num_bits) * sum_i w_i (x_i - m)        w_i ~ N(0, 1 / n)
//! ```
//!
//! If all vectors lie on one side of the origin, their logits `x . delta_p` would all have the same
//! sign. So, for more than one feature, the component of each difference along `m` is multiplied by
//! `v / (v + |m|^2)`, where `v` is the sample's variance along `m`. The component stays whole if
//! the mean is the origin, and vanishes if the mean is far away, so each bit starts near balance.

mod grid;
mod sample;

use burn::tensor::{Distribution, Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

pub(crate) use self::sample::Sample;
use crate::Normalization;

/// The distribution from which the codebook of independent bits is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Initializer {
    /// Rows drawn from N(0, 1), as in bitcodes-pytorch.
    ///
    /// The standard deviation of the outputs is `sqrt(num_bits)`. For a quantizer that normalizes,
    /// the mean of the rows is subtracted, which leaves `sqrt(num_bits / 2)`.
    #[default]
    Normal,
    /// Rows drawn from N(0, 1 / num_bits).
    ///
    /// The standard deviation of the outputs is 1 for any number of bits. For a quantizer that
    /// normalizes, the mean of the rows is subtracted, which leaves `sqrt(1/2)`.
    UnitOutput,
}

impl Initializer {
    /// Draws a codebook `[2 * num_bits, features]`.
    ///
    /// For normalized vectors the mean of the rows is 0, as the mean of the vectors is.
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

/// Draws a codebook `[2 * num_bits, features]` that is a grid along random orthogonal directions, at
/// most three bits a direction, unless `num_bits` is above three times `features`.
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
    // This is the deviation of such vectors along a direction if they lie in these directions
    // alone.
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
