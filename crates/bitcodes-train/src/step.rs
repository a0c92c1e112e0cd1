//! The training step and the test step of the autoencoder, for Burn's learner.

use bitcodes_core::logistic_noise;
use burn::module::{AutodiffModule, Module};
use burn::nn::loss::{MseLoss, Reduction};
use burn::optim::{GradientsAccumulator, GradientsParams, MultiGradientsParams, Optimizer};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Distribution, Tensor};
use burn::train::{InferenceStep, TrainOutput, TrainStep};

use crate::autoencoder::Autoencoder;
use crate::data::ImageBatch;
use crate::metrics::BatchOutput;
use crate::workers::in_parallel;

impl<B: AutodiffBackend> TrainStep for Autoencoder<B> {
    type Input = ImageBatch<B>;
    type Output = BatchOutput<B::InnerBackend>;

    /// Draws the random numbers for all parts of the batch, then computes the step.
    ///
    /// They are drawn before the parts go to threads, because the order of draws would otherwise depend
    /// on the threads.
    fn step(&self, batch: Self::Input) -> TrainOutput<Self::Output> {
        let images = batch.parts.iter().map(|part| part.dims()[0]).sum();
        let [shape, each] =
            [self.quantizer.num_bits(), 1].map(|last| [images, self.tokens(), last]);
        let device = batch.parts[0].device();
        let noise = match self.quantizer.noise_scale() {
            0.0 => Tensor::zeros(shape, &device),
            scale => logistic_noise(shape, &device) * scale,
        };
        let draws = Tensor::random(each, Distribution::Default, &device);
        self.step_with_draws(batch, noise, draws)
    }

    /// Applies the gradients and advances the quantizer's schedules by one step.
    fn optimize<A, O>(self, optimizer: &mut O, learning_rate: f64, grads: GradientsParams) -> Self
    where
        A: AutodiffBackend,
        O: Optimizer<Self, A>,
        Self: AutodiffModule<A>,
    {
        optimizer.step(learning_rate, self, grads).advanced()
    }

    fn optimize_multi<A, O>(
        self,
        optimizer: &mut O,
        learning_rate: f64,
        grads: MultiGradientsParams,
    ) -> Self
    where
        A: AutodiffBackend,
        O: Optimizer<Self, A>,
        Self: AutodiffModule<A>,
    {
        let model = optimizer.step_multi(learning_rate, self, grads);
        model.advanced()
    }
}

impl<B: AutodiffBackend> Autoencoder<B> {
    fn advanced(mut self) -> Self {
        self.quantizer.advance();
        self
    }

    /// Computes outputs and gradients of a batch, each part on a thread of its own.
    ///
    /// `noise` is `[images, tokens, num_bits]`, and `draws` is `[images, tokens, 1]`. The errors and the
    /// quantizer's losses of the parts are averaged with the parts' sizes as weights.
    ///
    /// Some terms are not means over vectors, so they depend on how the batch is cut: the entropy loss, the
    /// mean vector whose gradient the normalization reduces, the losses of constant and of unbalanced bits,
    /// and the share of unquantized vectors. The entropy loss needs the whole batch as one part. For the
    /// others a part of many more than 32 vectors is enough.
    fn step_with_draws(
        &self,
        batch: ImageBatch<B>,
        noise: Tensor<B, 3>,
        draws: Tensor<B, 3>,
    ) -> TrainOutput<BatchOutput<B::InnerBackend>> {
        let pixels = batch.pixels();
        let sizes: Vec<usize> = batch.parts.iter().map(|part| part.dims()[0]).collect();
        let [noise, draws] = [noise, draws].map(|drawn| drawn.split_with_sizes(sizes.clone(), 0));
        let parts = batch
            .parts
            .into_iter()
            .zip(noise.into_iter().zip(draws))
            .collect();
        let whole = self.clone();
        let parts = in_parallel(parts, move |(images, (noise, draws))| {
            // A fork has an autodiff graph of its own, so the threads do not wait for one another.
            let model = whole.clone().fork(&images.device());
            let share = share(&images, pixels);
            let output = model.forward_with_draws(images.clone(), noise, draws);
            let mse = mse(output.images, images) * share;
            let loss = match output.loss {
                Some(loss) => mse.clone() + loss * share,
                None => mse.clone(),
            };
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            (mse.inner(), output.bits.inner(), gradients)
        });

        let mut sum = GradientsAccumulator::new();
        let mut outputs = Vec::with_capacity(parts.len());
        for (mse, bits, gradients) in parts {
            sum.accumulate(self, gradients);
            outputs.push((mse, bits));
        }
        TrainOutput {
            grads: sum.grads(),
            item: BatchOutput::of_parts(outputs, pixels),
        }
    }
}

impl<B: Backend> InferenceStep for Autoencoder<B> {
    type Input = ImageBatch<B>;
    type Output = BatchOutput<B>;

    /// Encodes and decodes a batch, each part on a thread of its own. There is no noise, on any
    /// backend.
    fn step(&self, batch: Self::Input) -> Self::Output {
        let pixels = batch.pixels();
        let model = self.clone();
        let parts = in_parallel(batch.parts, move |images| {
            let bits = model.encode(images.clone());
            let share = share(&images, pixels);
            (mse(model.decode(bits.clone()), images) * share, bits)
        });
        BatchOutput::of_parts(parts, pixels)
    }
}

/// Returns the fraction of the batch's pixels that a part has.
fn share<B: Backend>(images: &Tensor<B, 3>, pixels_of_batch: usize) -> f64 {
    images.shape().num_elements() as f64 / pixels_of_batch as f64
}

/// Returns the mean squared error `[1]`.
fn mse<B: Backend>(reconstructed: Tensor<B, 3>, images: Tensor<B, 3>) -> Tensor<B, 1> {
    MseLoss::new().forward(reconstructed, images, Reduction::Mean)
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::autoencoder::AutoencoderConfig;
    use crate::data::{ImageLoader, Images};
    use bitcodes_core::{BitcodesConfig, Joint, Schedule, record};
    use burn::backend::{Autodiff, Flex};
    use burn::data::dataloader::DataLoader;
    use burn::module::{ModuleMapper, ModuleVisitor, Param};
    use burn::optim::AdamWConfig;
    use burn::tensor::TensorData;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    type Train = Autodiff<Flex>;

    /// Draws weights without the backend, whose seed is shared by all tests of the process.
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
            let gradient = gradient.expect("every weight has a gradient");
            self.values.extend(gradient.into_data().iter::<f32>());
        }
    }

    #[test]
    fn the_schedules_move_on_with_the_optimizer_and_a_checkpoint_keeps_where_they_are() {
        let device = Default::default();
        let quantizer = BitcodesConfig::new(16, 8).with_noise_scale(Schedule::linear(1.0, 0.0, 4));
        let config = AutoencoderConfig::new(8, 8, quantizer);
        let mut model = config.init::<Train>(&device);
        let mut optimizer = AdamWConfig::new().init::<Train, Autoencoder<Train>>();
        let loader = ImageLoader::in_order(Images::digits().train().clone(), 500, &device);
        for batch in loader.iter() {
            let output = TrainStep::step(&model, batch);
            model = model.optimize::<Train, _>(&mut optimizer, 1e-3, output.grads);
        }
        assert_eq!(
            (model.quantizer.step(), model.quantizer.noise_scale()),
            (3, 0.25)
        );

        let checkpoint = record::save::<Train, _>(&model).unwrap();
        let resumed = config.init::<Train>(&device);
        assert_eq!(resumed.quantizer.noise_scale(), 1.0);
        let resumed = record::load::<Train, _>(&resumed, &checkpoint, &device).unwrap();
        assert_eq!(resumed.quantizer.noise_scale(), 0.25);
    }

    #[test]
    fn parts_change_neither_the_error_nor_the_gradients() {
        let device = Default::default();
        let mut draw = Draw(StdRng::seed_from_u64(1));
        for normalize in [false, true] {
            // What depends on the parts is off.
            let joint = Joint::new()
                .with_unquantized_below(0.0)
                .with_balance_weight(0.0);
            let quantizer = BitcodesConfig::new(16, 8)
                .with_normalize(normalize)
                .with_assignment(joint);
            let config = AutoencoderConfig::new(8, 8, quantizer);
            compare_parts(&config.init::<Train>(&device).map(&mut draw), &mut draw);
        }
    }

    fn compare_parts(model: &Autoencoder<Train>, draw: &mut Draw) {
        let device = Default::default();
        let noise = draw.tensor([50, 4, 8], 3.0);
        let step = |part_size| {
            let loader = ImageLoader::in_order(Images::digits().train().clone(), 50, &device);
            let loader = loader.in_parts_of(part_size);
            let batch = loader.iter().next().expect("there are images");
            let output =
                model.step_with_draws(batch, noise.clone(), Tensor::zeros([50, 4, 1], &device));
            let mut collect = Collect {
                gradients: &output.grads,
                values: Vec::new(),
            };
            // With normalization the encoder's gradient depends on the parts, so it is not
            // compared.
            match model.quantizer.normalization {
                Some(_) => model.quantizer.visit(&mut collect),
                None => model.visit(&mut collect),
            }
            let measures = burn::train::ItemLazy::sync(output.item);
            (measures.error, measures.codes.codes.clone(), collect.values)
        };

        let collected = match model.quantizer.normalization {
            Some(_) => model.quantizer.num_params(),
            None => model.num_params(),
        };
        let (whole_error, whole_codes, whole) = step(50);
        let largest = whole.iter().fold(0.0f32, |max, g| max.max(g.abs()));
        for part_size in [17, 25, 1] {
            let (error, codes, gradients) = step(part_size);
            assert_eq!(error.pixels, 50 * 64);
            assert_eq!(codes.dims(), [50, 4]);
            // A bit may differ if rounding decides it.
            let distance: u32 = codes.hamming_distances(&whole_codes).unwrap().iter().sum();
            assert!(distance <= 2, "{distance} bits differ");
            assert_eq!(gradients.len(), collected);
            // The tolerance is far above rounding errors. It is far below the error of a part that
            // is lost, doubled or weighted wrongly, which is at least a 50th of the whole.
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
