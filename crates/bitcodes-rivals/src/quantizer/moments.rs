//! Vectors brought to a mean of 0 and one deviation, before a quantizer that does not do so.

use burn::module::Module;
use burn::tensor::{Tensor, backend::Backend};

/// Moving averages of the mean of each feature and of the variance around it.
///
/// One deviation for all features, as Bitcodes has; constants to the encoder, as there.
#[derive(Module, Debug)]
pub struct Moments<B: Backend> {
    /// `[1, features]`
    mean: Tensor<B, 2>,
    /// `[1, 1]`
    variance: Tensor<B, 2>,
    started: bool,
    deviation: f64,
}

/// Of the moving averages, what stays of the past.
const DECAY: f64 = 0.95;
/// Added to the variance, so that rows that are all the same do not divide by 0.
const TINY: f64 = 1e-12;

impl<B: Backend> Moments<B> {
    /// That bring to this deviation.
    pub fn new(features: usize, deviation: f64, device: &B::Device) -> Self {
        Self {
            mean: Tensor::zeros([1, features], device),
            variance: Tensor::ones([1, 1], device),
            started: false,
            deviation,
        }
    }

    /// Moves the averages by a batch `[rows, features]`, to the batch's own if it is the first.
    pub fn follow(&mut self, rows: Tensor<B, 2>) {
        let rows = rows.detach();
        let mean = rows.clone().mean_dim(0);
        let variance = (rows - mean.clone()).powi_scalar(2).mean().reshape([1, 1]);
        let kept = if self.started { DECAY } else { 0.0 };
        self.mean = self.mean.clone() * kept + mean * (1.0 - kept);
        self.variance = self.variance.clone() * kept + variance * (1.0 - kept);
        self.started = true;
    }

    /// The rows `[rows, features]`, brought there.
    pub fn normalized(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        let size = (self.variance.clone() + TINY).sqrt();
        (rows - self.mean.clone()) / size * self.deviation
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Flex;
    use burn::tensor::Distribution;

    #[test]
    fn a_first_batch_is_brought_to_mean_and_deviation() {
        let device = Default::default();
        let rows = Tensor::<Flex, 2>::random([64, 3], Distribution::Uniform(5.0, 5.1), &device);
        let mut moments = Moments::new(3, 0.5, &device);
        moments.follow(rows.clone());
        let found = moments.normalized(rows.clone());
        let mean: f32 = found.clone().mean_dim(0).abs().max().into_scalar();
        assert!(mean < 1e-4, "{mean}");
        let deviation: f32 = found.powi_scalar(2).mean().sqrt().into_scalar();
        assert!((deviation - 0.5).abs() < 1e-4, "{deviation}");
        // A second moves them by a twentieth: its mean is 0, so 19/20 of 5.05 or so stay.
        moments.follow(rows.zeros_like());
        let mean: f32 = moments.mean.mean().into_scalar();
        assert!((mean - 5.05 * 0.95).abs() < 0.02, "{mean}");
    }
}
