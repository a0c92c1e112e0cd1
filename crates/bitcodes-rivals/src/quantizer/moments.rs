//! Normalization of vectors before a quantizer that has none of its own.

use burn::module::Module;
use burn::tensor::{Tensor, backend::Backend};

/// Batch normalization ([Ioffe and Szegedy 2015](https://arxiv.org/abs/1502.03167)) without
/// weights.
///
/// All features share one standard deviation, as in Bitcodes. In training the batch's own mean and
/// variance are used, and gradients pass through them. After training their moving averages are
/// used.
#[derive(Module, Debug)]
pub struct Moments<B: Backend> {
    /// Moving average of the mean, `[1, features]`.
    mean: Tensor<B, 2>,
    /// Moving average of the variance, `[1, 1]`.
    variance: Tensor<B, 2>,
    started: bool,
    deviation: f64,
}

/// Weight of the old value in a moving average.
const DECAY: f64 = 0.95;
/// Added to the variance, so that equal vectors do not cause a division by 0.
const TINY: f64 = 1e-12;

impl<B: Backend> Moments<B> {
    /// Makes a normalization to this standard deviation.
    pub fn new(features: usize, deviation: f64, device: &B::Device) -> Self {
        Self {
            mean: Tensor::zeros([1, features], device),
            variance: Tensor::ones([1, 1], device),
            started: false,
            deviation,
        }
    }

    /// Normalizes a batch `[rows, features]` and updates the moving averages. They start from the
    /// first batch.
    pub fn normalized_in_training(&mut self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        let mean = rows.clone().mean_dim(0);
        let centered = rows - mean.clone();
        let variance = centered.clone().powi_scalar(2).mean().reshape([1, 1]);
        let kept = if self.started { DECAY } else { 0.0 };
        let follow = |old: &Tensor<B, 2>, new: &Tensor<B, 2>| {
            old.clone() * kept + new.clone().detach() * (1.0 - kept)
        };
        self.mean = follow(&self.mean, &mean);
        self.variance = follow(&self.variance, &variance);
        self.started = true;
        centered / (variance + TINY).sqrt() * self.deviation
    }

    /// Normalizes vectors `[rows, features]` with the moving averages.
    pub fn normalized(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        let size = (self.variance.clone() + TINY).sqrt();
        (rows - self.mean.clone()) / size * self.deviation
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::{Autodiff, Flex};
    use burn::tensor::Distribution;

    #[test]
    fn a_batch_is_normalized_to_mean_0_and_the_deviation() {
        let device = Default::default();
        let rows = Tensor::<Flex, 2>::random([64, 3], Distribution::Uniform(5.0, 5.1), &device);
        let mut moments = Moments::new(3, 0.5, &device);
        let found = moments.normalized_in_training(rows.clone());
        let after: f32 = (moments.normalized(rows.clone()) - found.clone())
            .abs()
            .max()
            .into_scalar();
        assert!(after < 1e-4, "{after}");
        let mean: f32 = found.clone().mean_dim(0).abs().max().into_scalar();
        assert!(mean < 1e-4, "{mean}");
        let deviation: f32 = found.powi_scalar(2).mean().sqrt().into_scalar();
        assert!((deviation - 0.5).abs() < 1e-4, "{deviation}");
        // A shift of all vectors, or a scaling of all vectors, changes no output, so the gradient
        // along it is 0.
        let leaf = Tensor::<Autodiff<Flex>, 2>::from_inner(rows.clone()).require_grad();
        let mut fresh = Moments::new(3, 0.5, &device);
        let weights = Tensor::random([64, 3], Distribution::Uniform(0.0, 1.0), &device);
        let sum = (fresh.normalized_in_training(leaf.clone()) * weights).sum();
        let gradient = leaf.grad(&sum.backward()).expect("x has a gradient");
        let largest: f32 = gradient.clone().abs().max().into_scalar();
        assert!(largest > 1.0, "{largest}");
        let centered = rows.clone() - rows.clone().mean_dim(0);
        for of_change in [
            gradient.clone().sum_dim(0),
            (gradient * centered).sum().reshape([1, 1]),
        ] {
            let found: f32 = of_change.abs().max().into_scalar();
            assert!(
                found < 1e-3 * largest,
                "{found}, a gradient of up to {largest}"
            );
        }
        // A second batch with a mean of 0 moves the average by a twentieth, so 19/20 of about 5.05
        // stay.
        moments.normalized_in_training(rows.zeros_like());
        let mean: f32 = moments.mean.mean().into_scalar();
        assert!((mean - 5.05 * 0.95).abs() < 0.02, "{mean}");
    }
}
