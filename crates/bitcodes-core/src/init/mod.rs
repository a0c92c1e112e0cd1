//! How a codebook starts.
//!
//! With `delta_p` the difference of bit `p`'s pair, the output is
//! `y = mean(codebook pairs) + sum_p (bit_p - 1/2) delta_p`. For bits that are fair and independent
//! its mean is the sum of the pairs' means and its covariance `1/4 sum_p delta_p delta_p^T`.
//!
//! [`BitcodesConfig::init_from_sample`](crate::BitcodesConfig::init_from_sample) chooses both by the
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
//! by a few steps of orthogonal iteration. [`Initializer::Orthogonal`] does the same without a
//! sample, with random directions.
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

/// The distribution that a codebook is drawn from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Initializer {
    /// N(0, 1), as the reference: the output's standard deviation is `sqrt(num_bits)`. For normalized
    /// vectors less the rows' mean, which leaves `sqrt(num_bits / 2)`.
    #[default]
    Normal,
    /// N(0, 1 / num_bits): the output's standard deviation is 1 for any number of bits; for normalized
    /// vectors less the rows' mean, which leaves `sqrt(1/2)`.
    UnitOutput,
    /// A grid along random orthogonal directions, three bits or more a direction, for vectors whose
    /// features have a standard deviation of 1, or for normalized ones.
    Orthogonal,
}

impl Initializer {
    /// `[2 * num_bits, features]`. For normalized vectors the rows' mean is 0, as theirs is; where bits
    /// are decided together it stays so.
    pub(crate) fn draw<B: Backend>(
        self,
        num_bits: usize,
        features: usize,
        normalized: bool,
        device: &B::Device,
    ) -> Tensor<B, 2> {
        let normal = |rows, deviation| {
            let normal = Distribution::Normal(0.0, deviation);
            Tensor::<B, 2>::random([rows, features], normal, device)
        };
        let centred = |rows: Tensor<B, 2>| match normalized {
            true => rows.clone() - rows.mean_dim(0),
            false => rows,
        };
        match self {
            Self::Normal => centred(normal(2 * num_bits, 1.0)),
            Self::UnitOutput => centred(normal(2 * num_bits, libm::sqrt(1.0 / num_bits as f64))),
            Self::Orthogonal => {
                let count = grid::directions(num_bits, features);
                let directions = grid::orthonormal(normal(count, 1.0));
                let of_a_feature = match normalized {
                    true => Normalization::<B>::DEVIATION,
                    false => 1.0,
                };
                // That of vectors of this deviation, all in these directions.
                let deviation = of_a_feature * libm::sqrt(features as f64 / count as f64);
                grid::codebook(directions * (grid::AMPLITUDE * deviation), None, num_bits)
            }
        }
    }
}
