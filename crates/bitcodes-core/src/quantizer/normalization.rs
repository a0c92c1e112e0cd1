//! Vectors as the codebook has them: around the origin, of one size.

use burn::module::{Module, Param};
use burn::tensor::{Bool, FloatDType, Tensor, backend::Backend};

use super::pass::vectors_first;
use super::product::along;
use crate::backend::host::has_values_in_host_memory;
use crate::losses::{mean_squared_distance, untracked};

/// Where vectors lie and how large they are, learned from them.
///
/// `normalized(x) = DEVIATION x / exp(log_scale) - center`. The center follows the mean, and the
/// scale the deviation from it, by the gradients of the likelihood that a normal distribution gives
/// the vectors, each with the other held. Both are constants to the encoder: a shift of all vectors,
/// or their growth, changes neither bits nor output. Parameters rather than running statistics, so
/// that the optimizer moves them as it does the codebook, from whatever part of a batch or device.
///
/// Vectors that are held to a codebook all move back as the center follows them, and may settle beside
/// the origin, where some bits are the same for nearly all. So their mean over a pass, which tells
/// nothing of any one of them, gets less than its gradient in training: of `n` valid vectors,
/// `n / (n + 32)` of it is left out. And where bits are decided together, the codebook has no gradient
/// that moves all codes by the same: the sum of its rows is 0 from the start, but for a codebook that
/// was given, and stays.
#[derive(Module, Debug)]
pub struct Normalization<B: Backend> {
    /// `[features]`, the mean of the vectors in the codebook's units, where their deviation is
    /// [`DEVIATION`](Self::DEVIATION): an optimizer whose steps do not depend on the gradient's size,
    /// as Adam's, moves it as fast as the codebook.
    pub center: Param<Tensor<B, 1>>,
    /// `[1]`, the natural logarithm of the standard deviation of the vectors' features.
    pub log_scale: Param<Tensor<B, 1>>,
}

/// Of so many vectors half of their mean's gradient is left out. In training with 256, 8 left bits less
/// balanced, and 128 was no better.
const MEAN_VECTORS: f64 = 32.0;

impl<B: Backend> Normalization<B> {
    /// The standard deviation of a feature of normalized vectors, over all features.
    pub const DEVIATION: f64 = 0.5;

    /// Of vectors around the origin with a deviation of 1.
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

    /// Of vectors along axis 1, `[vectors, features]` or `[batch, features, positions]`.
    pub(super) fn normalized<const N: usize>(&self, x: Tensor<B, N>) -> Tensor<B, N> {
        let dtype = FloatDType::from(x.dtype());
        self.scaled(x, dtype) * Self::DEVIATION - along(self.fixed_center(dtype))
    }

    /// The same values, with the gradient of training; vectors that are not valid are zeros.
    pub(super) fn normalized_in_training<const N: usize>(
        &self,
        x: Tensor<B, N>,
        valid: &Option<Tensor<B, N, Bool>>,
    ) -> Tensor<B, N> {
        let dtype = FloatDType::from(x.dtype());
        let count = match valid {
            Some(valid) => of_all_vectors(valid.clone().int().cast(dtype)),
            None => {
                let vectors = x.shape().num_elements() / x.dims()[1];
                Tensor::full([1; N], vectors as f64, (&x.device(), dtype.into()))
            }
        };
        let x = self.scaled(x, dtype) * Self::DEVIATION;
        let left_out = of_all_vectors(x.clone()) / (count + MEAN_VECTORS);
        let zero = left_out.clone() - left_out.detach();
        // Of a vector that is no number the others know nothing.
        let zero = zero.clone().mask_fill(zero.is_nan(), 0.0);
        x - (along(self.fixed_center(dtype)) + zero)
    }

    /// The center as a constant.
    fn fixed_center(&self, dtype: FloatDType) -> Tensor<B, 1> {
        untracked(self.center.val()).cast(dtype)
    }

    fn scaled<const N: usize>(&self, x: Tensor<B, N>, dtype: FloatDType) -> Tensor<B, N> {
        let log_scale = untracked(self.log_scale.val());
        // A number, rather than operations on tensors that a page for browsers has for this alone.
        if has_values_in_host_memory::<B>() {
            let log_scale: f64 = log_scale.into_data().iter::<f64>().sum();
            return x * libm::exp(-log_scale);
        }
        x * along((-log_scale.cast(dtype)).exp())
    }

    /// The negative logarithm of the likelihood of vectors, less its value: 0, with a gradient, but
    /// where no vector is valid.
    pub(super) fn following<const N: usize>(
        &self,
        x: Tensor<B, N>,
        valid: Option<Tensor<B, 2, Bool>>,
    ) -> Tensor<B, 1> {
        let dtype = FloatDType::from(x.dtype());
        let scaled = vectors_first(self.scaled(untracked(x), dtype));
        let log_scale = self.log_scale.val().cast(dtype);
        let shrink = (untracked(log_scale.clone()) - log_scale.clone()).exp();
        let center = self.center.val().cast(dtype) / Self::DEVIATION;
        let off = (scaled - along(center)) * along(shrink);
        let nothing = off.zeros_like();
        let square = mean_squared_distance(off, nothing, valid.clone());
        let size = match valid {
            Some(valid) => log_scale * valid.any().int().cast(dtype),
            None => log_scale,
        };
        let loss = square / 2.0 + size;
        loss.clone() - loss.detach()
    }
}

/// The sum of vectors along axis 1, or of what stands for them.
fn of_all_vectors<B: Backend, const N: usize>(x: Tensor<B, N>) -> Tensor<B, N> {
    (0..N).filter(|&axis| axis != 1).fold(x, Tensor::sum_dim)
}
