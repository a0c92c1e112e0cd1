//! The random numbers of a training pass: noise for logits, and which vectors are left unquantized.

use burn::tensor::{DType, Distribution, Shape, Tensor, backend::Backend};

/// Noise for the logits of a training pass. The logits lie along axis 1, or along the last axis if
/// the vectors do.
#[derive(Debug, Clone)]
pub(crate) enum Noise<B: Backend, const N: usize> {
    /// No noise is added.
    None,
    /// Numbers are given.
    Given {
        /// Added to the logits, in their shape.
        noise: Tensor<B, N>,
        /// Draws from [0, 1) that decide which vectors are left unquantized, one for each vector along the
        /// axis of the logits. `None` quantizes every vector.
        draws: Option<Tensor<B, N>>,
    },
    /// Draws of the logistic distribution are added, multiplied by this scale.
    Logistic(f64),
}

impl<B: Backend, const N: usize> Noise<B, N> {
    /// Changes the tensors that are given.
    pub fn map_given<const M: usize>(
        self,
        change: impl Fn(Tensor<B, N>) -> Tensor<B, M>,
    ) -> Noise<B, M> {
        match self {
            Self::None => Noise::None,
            Self::Given { noise, draws } => Noise::Given {
                noise: change(noise),
                draws: draws.map(change),
            },
            Self::Logistic(scale) => Noise::Logistic(scale),
        }
    }

    /// Returns a draw from [0, 1) for each vector, in the shape `each`; `None` if every vector is to be
    /// quantized.
    pub fn draws(&self, each: [usize; N], device: &B::Device) -> Option<Tensor<B, N>> {
        match self {
            Self::Given { draws, .. } => draws.clone(),
            Self::None | Self::Logistic(_) => {
                let options = (device, DType::F32);
                Some(Tensor::random(each, Distribution::Default, options))
            }
        }
    }

    /// Returns the noise as a tensor of the logits' shape, drawn if it is not given.
    pub fn into_tensor(self, logits: [usize; N], device: &B::Device) -> Option<Tensor<B, N>> {
        match self {
            Self::None => None,
            Self::Given { noise, .. } => Some(noise),
            Self::Logistic(1.0) => Some(logistic_noise(logits, device)),
            Self::Logistic(scale) => Some(logistic_noise(logits, device) * scale),
        }
    }
}

/// Draws from the standard logistic distribution, in f32.
///
/// A draw is `ln(u / (1 - u))` with `u` uniform: the difference of the two Gumbel draws with which
/// the reference perturbs a pair, at half the draws. `logits + noise > 0` is then true with
/// probability `sigmoid(logits)` ([Maddison et al. 2017](https://arxiv.org/abs/1611.00712),
/// appendix B).
///
/// The values lie in [-16.64, 16.64]: `u` is kept within [2^-24, 1 - 2^-24], whose end is the
/// largest f32 below 1.
pub fn logistic_noise<B: Backend, const D: usize>(
    shape: impl Into<Shape>,
    device: &B::Device,
) -> Tensor<B, D> {
    const NEAREST: f32 = f32::EPSILON / 2.0;
    let options = (device, DType::F32);
    let u =
        Tensor::<B, D>::random(shape, Distribution::Default, options).clamp(NEAREST, 1.0 - NEAREST);
    u.clone().log() - (-u).log1p()
}
