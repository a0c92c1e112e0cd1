//! Normalization of vectors before they are quantized, and its inverse.

use alloc::vec::Vec;

use burn::module::{Module, Param};
use burn::tensor::{Bool, FloatDType, Tensor, backend::Backend};

use crate::backend::known::has_values_in_host_memory;
use crate::graph::untracked;
use crate::losses::mean_squared_distance;
use crate::vectors::{along, sum_over_vectors, vectors_first};

/// A center for each feature and one scale for all, which are learned from the vectors.
///
/// ```text
/// normalized(x)   = DEVIATION x / exp(log_scale) - center
/// denormalized(y) = (y + center) exp(log_scale) / DEVIATION
/// ```
///
/// The center follows the mean of the vectors, and the scale their deviation from it. Both are
/// learned by maximum likelihood of a normal distribution. The gradient of each treats the other as
/// a constant. The encoder gets no gradient through them: once they have followed, a common shift
/// or growth of all vectors changes neither bits nor output. They are parameters rather than
/// running statistics, so that the optimizer moves them as it moves the codebook, from any part of
/// a batch and on any device.
///
/// The commitment loss holds the vectors to the codebook. So when the center moves towards their
/// mean, all of them move back by the same amount, and their mean may stay away from the origin,
/// where some bits are the same for nearly all vectors. In training, therefore, the mean of the
/// vectors, which tells nothing about a single vector, gets only a part of its gradient: for `n`
/// valid vectors, `n / (n + 32)` of it is left out. And if bits are decided jointly, the codebook
/// has no gradient that moves all codes by the same vector: the sum of its rows is 0 from the
/// start, unless the codebook was given, and stays the same.
#[derive(Module, Debug)]
pub struct Normalization<B: Backend> {
    /// The mean of the vectors, `[features]`, in the codebook's units, in which the vectors have a
    /// standard deviation of [`DEVIATION`](Self::DEVIATION). So an optimizer whose steps do not
    /// depend on the gradient's size, such as Adam, moves the center as fast as the codebook.
    pub center: Param<Tensor<B, 1>>,
    /// The natural logarithm of the standard deviation of the vectors' features, `[1]`.
    pub log_scale: Param<Tensor<B, 1>>,
}

/// Vectors along axis 1, in the type that is computed in, and the normalization to apply to them.
#[derive(Debug, Clone)]
pub(crate) struct Inputs<'a, B: Backend, const N: usize> {
    pub x: Tensor<B, N>,
    pub normalization: Option<&'a Normalization<B>>,
}

impl<B: Backend, const N: usize> Inputs<'_, B, N> {
    /// Takes vectors that are normalized, or that need not be.
    pub fn of(x: Tensor<B, N>) -> Self {
        Self {
            x,
            normalization: None,
        }
    }

    /// Returns the normalized vectors.
    pub fn normalized(self) -> Tensor<B, N> {
        match self.normalization {
            Some(normalization) => normalization.normalized(self.x),
            None => self.x,
        }
    }
}

/// With this many vectors, half of the mean's gradient is left out. In training with 256 vectors, a
/// value of 8 left bits less balanced, and 128 was no better.
pub(crate) const MEAN_VECTORS: f64 = 32.0;

/// The least scale that is learned, as its logarithm. Its inverse and the square of that times a
/// vector are far from the largest f32.
const LEAST_LOG_SCALE: f64 = -30.0;

impl<B: Backend> Normalization<B> {
    /// The standard deviation of normalized vectors, taken over all features together.
    pub const DEVIATION: f64 = 0.5;

    /// Returns the normalization of vectors around the origin with a deviation of 1.
    pub(crate) fn unit(features: usize, device: &B::Device) -> Self {
        Self::of(
            Tensor::zeros([features], device),
            Tensor::zeros([1], device),
        )
    }

    pub(crate) fn of(center: Tensor<B, 1>, log_scale: Tensor<B, 1>) -> Self {
        Self {
            center: Param::from_tensor(center),
            log_scale: Param::from_tensor(log_scale),
        }
    }

    /// Normalizes vectors along axis 1, `[vectors, features]` or `[batch, features, positions]`.
    pub(crate) fn normalized<const N: usize>(&self, x: Tensor<B, N>) -> Tensor<B, N> {
        let dtype = FloatDType::from(x.dtype());
        self.times_scale(x, -1.0) * Self::DEVIATION - along(self.fixed_center(dtype))
    }

    /// Brings normalized vectors along axis 1 back to the units of `x`:
    /// `(y + center) exp(log_scale) / DEVIATION`.
    pub(crate) fn denormalized<const N: usize>(&self, y: Tensor<B, N>) -> Tensor<B, N> {
        let dtype = FloatDType::from(y.dtype());
        let centered = y + along(self.fixed_center(dtype));
        self.times_scale(centered, 1.0) / Self::DEVIATION
    }

    /// Normalizes with the gradient of training; vectors that are not valid have to be zeros.
    pub(crate) fn normalized_in_training<const N: usize>(
        &self,
        x: Tensor<B, N>,
        valid: &Option<Tensor<B, N, Bool>>,
    ) -> Tensor<B, N> {
        let dtype = FloatDType::from(x.dtype());
        let count = match valid {
            Some(valid) => sum_over_vectors(valid.clone().int().cast(dtype)),
            None => {
                let vectors = x.shape().num_elements() / x.dims()[1];
                Tensor::full([1; N], vectors as f64, (&x.device(), dtype.into()))
            }
        };
        let x = self.times_scale(x, -1.0) * Self::DEVIATION;
        let left_out = sum_over_vectors(x.clone()) / (count + MEAN_VECTORS);
        let zero = left_out.clone() - left_out.detach();
        // A NaN in one vector does not affect the others.
        let zero = zero.clone().mask_fill(zero.is_nan(), 0.0);
        x - (along(self.fixed_center(dtype)) + zero)
    }

    /// Returns the factor and the center of `factor x - center`, which are read from the device.
    pub(crate) fn values(&self) -> (f64, Vec<f32>) {
        let log_scale: f64 = self.log_scale.val().into_data().iter::<f64>().sum();
        let center = self.center.val().into_data();
        (Self::factor(log_scale), center.iter().collect())
    }

    /// Returns the factor of `factor x - center`.
    pub(crate) fn factor(log_scale: f64) -> f64 {
        libm::exp(-log_scale) * Self::DEVIATION
    }

    /// Returns the center as a constant.
    fn fixed_center(&self, dtype: FloatDType) -> Tensor<B, 1> {
        untracked(self.center.val()).cast(dtype)
    }

    /// Multiplies `x` by `exp(sign log_scale)`, the scale being a constant.
    fn times_scale<const N: usize>(&self, x: Tensor<B, N>, sign: f64) -> Tensor<B, N> {
        let log_scale = untracked(self.log_scale.val());
        // The scale as a number saves a build for browsers tensor operations that it needs nowhere else.
        if has_values_in_host_memory::<B>() {
            let log_scale: f64 = log_scale.into_data().iter::<f64>().sum();
            return x * libm::exp(sign * log_scale);
        }
        let log_scale = log_scale.cast(FloatDType::from(x.dtype()));
        x * along((log_scale * sign).exp())
    }

    /// Computes the loss `[1]` by which center and scale follow the vectors: the negative
    /// log-likelihood minus a constant equal to it, so the value is 0 and the gradient is kept. If
    /// no vector is valid, there is no gradient.
    pub(crate) fn following_loss<const N: usize>(
        &self,
        x: Tensor<B, N>,
        valid: Option<Tensor<B, 2, Bool>>,
    ) -> Tensor<B, 1> {
        let dtype = FloatDType::from(x.dtype());
        let scaled = vectors_first(self.times_scale(untracked(x), -1.0));
        let log_scale = self.log_scale.val().cast(dtype);
        // Below the least scale there is no gradient, so that equal vectors do not bring it to 0.
        let size = log_scale.clone().clamp_min(LEAST_LOG_SCALE);
        let shrink = (untracked(log_scale.clone()) - log_scale.clone()).exp();
        let center = self.center.val().cast(dtype) / Self::DEVIATION;
        let off = (scaled - along(center)) * along(shrink);
        let nothing = off.zeros_like();
        let square = mean_squared_distance(off, nothing, valid.clone());
        let size = match valid {
            Some(valid) => size * valid.any().int().cast(dtype),
            None => size,
        };
        let loss = square / 2.0 + size;
        loss.clone() - loss.detach()
    }
    /// Computes the gradients of [`following_loss`](Self::following_loss) by center and logarithm of
    /// the scale, from the number of valid vectors, the sum of normalized vectors and that of their
    /// squares.
    #[cfg(feature = "autodiff")]
    pub(crate) fn following_gradients(
        &self,
        vectors: usize,
        sum: &[f32],
        squares: f64,
    ) -> (Vec<f32>, f32) {
        let elements = (vectors.max(1) * sum.len()) as f64;
        let by = 1.0 / (Self::DEVIATION * Self::DEVIATION * elements);
        let of_center = sum.iter().map(|&sum| (-f64::from(sum) * by) as f32);
        let log_scale: f64 = self.log_scale.val().into_data().iter::<f64>().sum();
        let is_held = vectors == 0 || log_scale < LEAST_LOG_SCALE;
        let of_size = if is_held { 0.0 } else { 1.0 };
        (of_center.collect(), (of_size - squares * by) as f32)
    }
}
