//! One step of training and of testing, for Burn's learner.

use bitcodes_core::logistic_noise;
use burn::module::Module;
use burn::nn::loss::{MseLoss, Reduction};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::train::{InferenceStep, TrainOutput, TrainStep};
use rayon::prelude::*;

use crate::autoencoder::Autoencoder;
use crate::data::ImageBatch;
use crate::metrics::BatchError;

impl<B: AutodiffBackend> TrainStep for Autoencoder<B> {
    type Input = ImageBatch<B>;
    type Output = BatchError<B::InnerBackend>;

    /// Draws the noise for all parts of the batch at once, so that their threads do not race for
    /// it, and computes.
    fn step(&self, batch: Self::Input) -> TrainOutput<Self::Output> {
        let images = batch.parts.iter().map(|part| part.dims()[0]).sum();
        let noise = logistic_noise(
            [images, self.tokens(), self.quantizer.num_bits()],
            &batch.parts[0].device(),
        );
        self.step_with_noise(batch, noise)
    }
}

impl<B: AutodiffBackend> Autoencoder<B> {
    /// Forward and backward, each part of the batch on a thread of its own.
    ///
    /// `noise` is `[images, tokens, num_bits]`.
    fn step_with_noise(
        &self,
        batch: ImageBatch<B>,
        noise: Tensor<B, 3>,
    ) -> TrainOutput<BatchError<B::InnerBackend>> {
        let pixels = batch.pixels();
        let sizes = batch.parts.iter().map(|part| part.dims()[0]).collect();
        let noise = noise.split_with_sizes(sizes, 0);
        let parts = batch.parts.into_iter().zip(noise).collect();
        let parts = in_parallel(parts, |(images, noise)| {
            // A fork has a graph of its own: no two threads wait for one another.
            let model = self.clone().fork(&images.device());
            let reconstructed = model.forward_with_noise(images.clone(), noise);
            let mse = mse_share(reconstructed, images, pixels);
            let gradients = GradientsParams::from_grads(mse.backward(), &model);
            (mse.inner(), gradients)
        });

        let mut sum = GradientsAccumulator::new();
        let mut mses = Vec::with_capacity(parts.len());
        for (mse, gradients) in parts {
            sum.accumulate(self, gradients);
            mses.push(mse);
        }
        TrainOutput {
            grads: sum.grads(),
            item: BatchError::of_parts(mses, pixels),
        }
    }
}

impl<B: Backend> InferenceStep for Autoencoder<B> {
    type Input = ImageBatch<B>;
    type Output = BatchError<B>;

    /// Through the bits and back, without noise on any backend, each part of the batch on a thread
    /// of its own.
    fn step(&self, batch: Self::Input) -> Self::Output {
        let pixels = batch.pixels();
        let mses = in_parallel(batch.parts, |images| {
            let reconstructed = self.decode(self.encode(images.clone()));
            mse_share(reconstructed, images, pixels)
        });
        BatchError::of_parts(mses, pixels)
    }
}

/// Each part on one of rayon's threads; a single one, as on a GPU, on this thread.
fn in_parallel<P: Send, R: Send>(parts: Vec<P>, compute: impl Fn(P) -> R + Send + Sync) -> Vec<R> {
    match parts.len() {
        1 => parts.into_iter().map(compute).collect(),
        _ => parts.into_par_iter().map(compute).collect(),
    }
}

/// What a part of a batch adds to the batch's mean squared error, `[1]`.
fn mse_share<B: Backend>(
    reconstructed: Tensor<B, 3>,
    images: Tensor<B, 3>,
    pixels_of_batch: usize,
) -> Tensor<B, 1> {
    let share = images.shape().num_elements() as f64 / pixels_of_batch as f64;
    MseLoss::new().forward(reconstructed, images, Reduction::Mean) * share
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::autoencoder::AutoencoderConfig;
    use crate::data::{ImageLoader, Images};
    use bitcodes_core::BitcodesConfig;
    use burn::backend::{Autodiff, Flex};
    use burn::data::dataloader::DataLoader;
    use burn::module::{ModuleMapper, ModuleVisitor, Param};
    use burn::tensor::TensorData;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    type Train = Autodiff<Flex>;

    /// Weights that do not come from the backend, whose seed all tests of the process share.
    struct Draw(StdRng);

    impl Draw {
        fn tensor<const D: usize>(&mut self, shape: [usize; D], range: f32) -> Tensor<Train, D> {
            let count = shape.iter().product();
            let values = (0..count).map(|_| self.0.random_range(-range..range));
            let data = TensorData::new(values.collect::<Vec<f32>>(), shape);
            Tensor::from_data(data, &Default::default())
        }
    }

    impl ModuleMapper<Train> for Draw {
        fn map_float<const D: usize>(
            &mut self,
            param: Param<Tensor<Train, D>>,
        ) -> Param<Tensor<Train, D>> {
            param.map(|tensor| self.tensor(tensor.dims(), 0.3).require_grad())
        }
    }

    struct Collect<'a> {
        gradients: &'a GradientsParams,
        values: Vec<f32>,
    }

    impl ModuleVisitor<Train> for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Train, D>>) {
            let gradient = self.gradients.get::<Flex, D>(param.id);
            let gradient = gradient.expect("every weight has one");
            self.values.extend(gradient.into_data().iter::<f32>());
        }
    }

    #[test]
    fn parts_change_neither_the_error_nor_the_gradients() {
        let device = Default::default();
        let mut draw = Draw(StdRng::seed_from_u64(1));
        let config = AutoencoderConfig::new(8, 8, BitcodesConfig::new(16, 8));
        let model = config.init::<Train>(&device).map(&mut draw);
        let noise = draw.tensor([50, 4, 8], 3.0);
        let step = |part_size| {
            let loader = ImageLoader::in_order(Images::digits().train().clone(), 50, &device);
            let loader = loader.in_parts_of(part_size);
            let batch = loader.iter().next().expect("there are images");
            let output = model.step_with_noise(batch, noise.clone());
            let mut collect = Collect {
                gradients: &output.grads,
                values: Vec::new(),
            };
            model.visit(&mut collect);
            (burn::train::ItemLazy::sync(output.item), collect.values)
        };

        let (whole_error, whole) = step(50);
        let largest = whole.iter().fold(0.0f32, |max, g| max.max(g.abs()));
        for part_size in [17, 25, 1] {
            let (error, gradients) = step(part_size);
            assert_eq!(error.pixels, 50 * 64);
            assert_eq!(gradients.len(), model.num_params());
            // Far above what rounding changes, far below what a part lost, doubled or weighted
            // wrongly does: at least a 50th of the whole.
            assert!((error.sum / whole_error.sum - 1.0).abs() < 1e-3);
            for (part, whole) in gradients.iter().zip(&whole) {
                assert!(
                    (part - whole).abs() < 1e-3 * largest,
                    "{part} against {whole}"
                );
            }
        }
    }
}
