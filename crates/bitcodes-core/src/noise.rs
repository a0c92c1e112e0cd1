//! The noise of training, and the gradient that passes through a sampled bit.

use burn::tensor::{DType, Distribution, FloatDType, Shape, Tensor, backend::Backend};

use crate::precision::sigmoid;

/// Draws from the standard logistic distribution, in f32.
///
/// `ln(u / (1 - u))` with `u` uniform: the difference of the two Gumbel draws with which the
/// reference perturbs a pair, at half the draws. `logits + noise > 0` is then 1 with probability
/// `sigmoid(logits)` ([Maddison et al. 2017](https://arxiv.org/abs/1611.00712), appendix B).
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

/// Bits that are sampled forward and soft backward, as a float tensor of the logits' shape.
///
/// Forward `logits + noise > 0`, exactly 0 or 1; backward the derivative of
/// `sigmoid((logits + noise) / temperature)`. Without noise both are functions of the logits alone.
/// NaN logits give 0 and spread as NaN from there, so that a diverged training shows.
pub(crate) fn sample_straight_through<B: Backend, const N: usize>(
    logits: Tensor<B, N>,
    noise: Option<Tensor<B, N>>,
    temperature: f64,
) -> Tensor<B, N> {
    let dtype: FloatDType = logits.dtype().into();
    let perturbed = match noise {
        Some(noise) => logits + noise.cast(dtype),
        None => logits,
    };
    let hard = perturbed.clone().detach().greater_elem(0.0).float();
    let soft = sigmoid(perturbed / temperature);
    // In this order the forward value is `hard` to the last bit: what is added is zero.
    hard.cast(dtype) + (soft.clone() - soft.detach())
}
