//! Codebooks made from a sample.

use burn::tensor::{Distribution, ElementConversion, Slice, Tensor, backend::Backend};

use super::grid;
use crate::ConfigError;
use crate::Normalization;
use crate::precision::working;

/// The largest number of vectors that are mixed; more vectors make no better differences.
const MAX_MIXED: usize = 1 << 14;

/// Number of steps of orthogonal iteration.
///
/// A row approaches one principal direction. Each step multiplies its component along any other
/// direction by the ratio of the two variances. Directions of nearly the same variance stay mixed,
/// which does no harm.
const ITERATIONS: usize = 8;

/// A sample, as its mean and its centered vectors, in the type of computations.
pub(crate) struct Sample<B: Backend> {
    /// The mean, `[1, features]`.
    mean: Tensor<B, 2>,
    /// The vectors minus their mean, `[vectors, features]`.
    centered: Tensor<B, 2>,
    /// The standard deviation to assume if all vectors are the same.
    fallback_deviation: f64,
}

impl<B: Backend> Sample<B> {
    /// Makes a sample of `[vectors, features]`.
    ///
    /// # Errors
    ///
    /// Returns [`ConfigError::SampleNotFinite`] if a value is not finite.
    pub fn new(sample: Tensor<B, 2>) -> Result<Self, ConfigError> {
        let dtype = working([sample.dtype()]);
        let sample = sample.detach().set_require_grad(false).cast(dtype);
        // The mean magnitude is not finite if one value is not.
        let magnitude: f64 = sample.clone().abs().mean().into_scalar().elem();
        if !magnitude.is_finite() {
            return Err(ConfigError::SampleNotFinite(magnitude));
        }
        let mean = sample.clone().mean_dim(0);
        let centered = sample - mean.clone();
        Ok(Self {
            mean,
            centered,
            fallback_deviation: 1.0,
        })
    }

    /// Normalizes the sample by its mean and its deviation, and returns that normalization as well.
    pub fn normalized(self) -> (Self, Normalization<B>) {
        let Self { mean, centered, .. } = self;
        let square = |tensor: &Tensor<B, 2>| tensor.clone().powi_scalar(2).mean();
        let (variance, squared_mean) = (square(&centered), square(&mean));
        // A variance below this is rounding: all vectors are the same.
        let rounding = squared_mean * 1e-10 + f64::from(f32::MIN_POSITIVE);
        let same = variance.clone().lower(rounding);
        let variance = variance.mask_fill(same.clone(), 1.0);
        let same = same.reshape([1, 1]).expand(centered.dims());
        let centered = centered.mask_fill(same, 0.0);
        let scale = variance.sqrt();
        let factor = scale.clone().recip().reshape([1, 1]) * Normalization::<B>::DEVIATION;
        let center = (mean.clone() * factor.clone()).flatten(0, 1);
        let sample = Self {
            mean: mean.zeros_like(),
            centered: centered * factor,
            fallback_deviation: Normalization::<B>::DEVIATION,
        };
        (sample, Normalization::of(center, scale.log()))
    }

    /// Makes the codebook of a grid along the directions in which the sample varies most.
    pub fn along_principal_directions(self, num_bits: usize) -> Tensor<B, 2> {
        let [vectors, features] = self.centered.dims();
        let count = grid::directions(num_bits, features);
        let covariance = self.centered.clone().transpose().matmul(self.centered);
        let covariance = covariance / vectors as f64;
        let normal = Distribution::Normal(0.0, 1.0);
        let start = Tensor::<B, 2>::random([count, features], normal, &covariance.device());
        let mut directions = grid::orthonormal(start.cast(covariance.dtype()));
        // A small variance in all directions keeps the rows from vanishing. A sample without any
        // variance gets 1, as a device may flush a smaller number to zero.
        let floor = covariance.clone().abs().mean() * 1e-6;
        let is_zero = floor.clone().lower_elem(f64::from(f32::MIN_POSITIVE));
        let floor = floor.mask_fill(is_zero, 1.0).reshape([1, 1]);
        for _ in 0..ITERATIONS {
            let turned = directions.clone().matmul(covariance.clone());
            directions = grid::orthonormal(turned + directions * floor.clone());
        }
        let variances = directions.clone().matmul(covariance) * directions.clone();
        let deviation = variances.sum_dim(1).mean_dim(0).clamp_min(0.0).sqrt();
        let is_constant = deviation.clone().equal_elem(0.0);
        let amplitude = deviation.mask_fill(is_constant, self.fallback_deviation) * grid::AMPLITUDE;
        grid::codebook(directions * amplitude, Some(self.mean), num_bits)
    }

    /// Makes a codebook whose differences are random mixtures of the sample's vectors.
    pub fn mixed(self, num_bits: usize) -> Tensor<B, 2> {
        let Self { mean, centered, .. } = self;
        let [vectors, features] = centered.dims();
        let step = vectors.div_ceil(MAX_MIXED);
        let mixed = centered.clone().slice([Slice::new(0, None, step as isize)]);
        let [count, _] = mixed.dims();
        let deviation = libm::sqrt(4.0 / (num_bits as f64 * count as f64));
        let weights = Distribution::Normal(0.0, deviation);
        let weights = Tensor::<B, 2>::random([num_bits, count], weights, &mixed.device());
        let mut delta = weights.cast(mixed.dtype()).matmul(mixed);
        if features > 1 {
            // With a square of at least 1e-30, a mean of 0 has a direction of 0, not of 0 / 0.
            let square = mean.clone().powi_scalar(2).sum_dim(1).clamp_min(1e-30);
            let direction = mean.clone() / square.clone().sqrt();
            let variance = centered
                .matmul(direction.clone().transpose())
                .powi_scalar(2)
                .mean_dim(0);
            let damping = square.clone() / (variance + square);
            let along = delta.clone().matmul(direction.clone().transpose());
            delta = delta - along * damping * direction;
        }
        let share = mean / num_bits as f64;
        let zeros = share.clone() - delta.clone() / 2.0;
        let ones = share + delta / 2.0;
        Tensor::stack::<3>([zeros, ones].into(), 1).reshape([2 * num_bits, features])
    }
}
