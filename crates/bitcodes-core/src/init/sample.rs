//! Codebooks for a sample of the vectors.

use burn::tensor::{Distribution, ElementConversion, Slice, Tensor, backend::Backend};

use super::grid;
use crate::ConfigError;
use crate::Normalization;
use crate::precision::working;

/// More vectors than these make no better directions.
const MAX_MIXED: usize = 1 << 14;

/// Steps of orthogonal iteration. Each leaves of another direction the ratio of the two variances;
/// directions of nearly the same variance may as well stay mixed.
const ITERATIONS: usize = 8;

/// Vectors to start from, in the type that is computed in.
pub(crate) struct Sample<B: Backend> {
    /// `[1, features]`
    mean: Tensor<B, 2>,
    /// `[vectors, features]`
    centred: Tensor<B, 2>,
    /// The deviation of a feature to start with where all vectors are the same.
    otherwise: f64,
}

impl<B: Backend> Sample<B> {
    /// Of `[vectors, features]`; an error where a value is not finite.
    pub fn new(sample: Tensor<B, 2>) -> Result<Self, ConfigError> {
        let dtype = working([sample.dtype()]);
        let sample = sample.detach().set_require_grad(false).cast(dtype);
        // A value that is not finite makes this so, too.
        let total: f64 = sample.clone().abs().mean().into_scalar().elem();
        if !total.is_finite() {
            return Err(ConfigError::SampleNotFinite(total));
        }
        let mean = sample.clone().mean_dim(0);
        let centred = sample - mean.clone();
        Ok(Self {
            mean,
            centred,
            otherwise: 1.0,
        })
    }

    /// The sample as it is after the normalization that it asks for.
    pub fn normalized(self) -> (Self, Normalization<B>) {
        let Self { mean, centred, .. } = self;
        let square = |tensor: &Tensor<B, 2>| tensor.clone().powi_scalar(2).mean();
        let (variance, of_mean) = (square(&centred), square(&mean));
        // What is below this is rounding, of vectors that are all the same.
        let rounding = of_mean * 1e-10 + f64::from(f32::MIN_POSITIVE);
        let same = variance.clone().lower(rounding);
        let variance = variance.mask_fill(same.clone(), 1.0);
        let same = same.reshape([1, 1]).expand(centred.dims());
        let centred = centred.mask_fill(same, 0.0);
        let scale = variance.sqrt();
        let by = scale.clone().recip().reshape([1, 1]) * Normalization::<B>::DEVIATION;
        let center = (mean.clone() * by.clone()).flatten(0, 1);
        let sample = Self {
            mean: mean.zeros_like(),
            centred: centred * by,
            otherwise: Normalization::<B>::DEVIATION,
        };
        (sample, Normalization::of(center, scale.log()))
    }

    /// A grid along the directions in which the sample varies most.
    pub fn along_principal_directions(self, num_bits: usize) -> Tensor<B, 2> {
        let [vectors, features] = self.centred.dims();
        let count = grid::directions(num_bits, features);
        let covariance = self.centred.clone().transpose().matmul(self.centred);
        let covariance = covariance / vectors as f64;
        let normal = Distribution::Normal(0.0, 1.0);
        let start = Tensor::<B, 2>::random([count, features], normal, &covariance.device());
        let mut directions = grid::orthonormal(start.cast(covariance.dtype()));
        // So that there is something in every direction; where there is nothing in any, as much as
        // no device takes for zero.
        let all = covariance.clone().abs().mean() * 1e-6;
        let nothing = all.clone().lower_elem(f64::from(f32::MIN_POSITIVE));
        let all = all.mask_fill(nothing, 1.0).reshape([1, 1]);
        for _ in 0..ITERATIONS {
            let turned = directions.clone().matmul(covariance.clone());
            directions = grid::orthonormal(turned + directions * all.clone());
        }
        let along = directions.clone().matmul(covariance) * directions.clone();
        let deviation = along.sum_dim(1).mean_dim(0).clamp_min(0.0).sqrt();
        let none = deviation.clone().equal_elem(0.0);
        let amplitude = deviation.mask_fill(none, self.otherwise) * grid::AMPLITUDE;
        grid::codebook(directions * amplitude, Some(self.mean), num_bits)
    }

    /// A codebook whose outputs are distributed as the sample.
    pub fn mixed(self, num_bits: usize) -> Tensor<B, 2> {
        let Self { mean, centred, .. } = self;
        let [vectors, features] = centred.dims();
        let step = vectors.div_ceil(MAX_MIXED);
        let mixed = centred.clone().slice([Slice::new(0, None, step as isize)]);
        let [count, _] = mixed.dims();
        let deviation = libm::sqrt(4.0 / (num_bits as f64 * count as f64));
        let weights = Distribution::Normal(0.0, deviation);
        let weights = Tensor::<B, 2>::random([num_bits, count], weights, &mixed.device());
        let mut delta = weights.cast(mixed.dtype()).matmul(mixed);
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
        Tensor::stack::<3>([zeros, ones].into(), 1).reshape([2 * num_bits, features])
    }
}
