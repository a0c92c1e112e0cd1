//! One training, the same for every quantizer.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Mutex;
use std::time::Instant;

use bitcodes_core::Assignment;
use bitcodes_train::data::ImageSet;
use bitcodes_train::psnr_db;
use burn::lr_scheduler::LrScheduler;
use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams, Optimizer};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::autoencoder::{Architecture, Autoencoder};
use crate::contestants::{Contestant, Settings};
use crate::quantizer::Quantizer;

const BATCH: usize = 64;
const LEARNING_RATE: f64 = 2e-3;
/// Images whose tokens our codebook starts from.
const SAMPLE: usize = 256;
const WEIGHT_DECAY: f64 = 0.01;

/// Images to train on and images to measure with.
#[derive(Debug)]
pub struct Split<'a> {
    /// Where the images to train on are.
    pub train: (&'a ImageSet, Range<usize>),
    /// Where the images to measure with are.
    pub measured: (&'a ImageSet, Range<usize>),
}

/// What came of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Name of the quantizer.
    pub name: String,
    /// What it was in.
    pub architecture: Architecture,
    /// The seed.
    pub seed: u64,
    /// Bits of an image; none where it is not quantized.
    pub bits_per_image: Option<f64>,
    /// PSNR of the images that are measured, in dB.
    pub psnr_db: f64,
    /// PSNR of those that were trained on, in dB.
    pub train_psnr_db: f64,
    /// Different codes of the tokens measured; none where they are not quantized.
    pub codes_used: Option<usize>,
    /// Numbers that the quantizer learns.
    pub parameters: usize,
    /// Time of the training in seconds.
    pub seconds: f64,
}

/// A backend has one generator; while weights are drawn, nobody else draws. Held by a thread of
/// rayon's it would deadlock: while that waits for the backend, it takes other work up.
static DRAWING: Mutex<()> = Mutex::new(());

/// Trains one autoencoder and measures it.
pub fn train<B: AutodiffBackend>(
    contestant: &Contestant,
    architecture: Architecture,
    split: &Split,
    epochs: usize,
    seed: u64,
    device: &B::Device,
) -> Outcome {
    let mut random = StdRng::seed_from_u64(seed);
    let mut model = {
        let _drawing = DRAWING
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        B::seed(device, random.random());
        let quantizer = contestant.settings.init::<B>(&mut random, device);
        // A fork draws all weights, which are otherwise drawn at their first use.
        let mut model = Autoencoder::new(architecture, quantizer, device).fork(device);
        if let Settings::Bitcodes(config) = &contestant.settings
            && config.assignment != Assignment::Independent
        {
            let (set, range) = &split.train;
            let first: Vec<usize> = range.clone().take(SAMPLE).collect();
            let tokens = model.encode(set.tensor(&first, device));
            let quantizer = config.init_from_sample(tokens);
            model.quantizer = Quantizer::Bitcodes(quantizer.expect("tokens are finite"));
        }
        model
    };
    let mut optimizer = AdamWConfig::new()
        .with_epsilon(1e-8)
        .with_weight_decay(WEIGHT_DECAY as f32)
        .init();
    let (set, range) = &split.train;
    let mut order: Vec<usize> = range.clone().collect();
    let steps = epochs * order.len().div_ceil(BATCH);
    let mut schedule = CosineAnnealingLrSchedulerConfig::new(LEARNING_RATE, steps)
        .init()
        .expect("the learning rate and the number of steps are above 0");

    let start = Instant::now();
    for _ in 0..epochs {
        order.shuffle(&mut random);
        for batch in order.chunks(BATCH) {
            let images: Tensor<B, 3> = set.tensor(batch, device);
            let tokens = model.encode(images.clone());
            let quantized = model.quantizer.forward(tokens, &mut random);
            let error = model.decode(quantized.vectors) - images;
            let mut loss = error.powi_scalar(2).mean();
            if let Some(more) = quantized.loss {
                loss = loss + more;
            }
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(schedule.step(), model, gradients);
        }
    }
    let seconds = start.elapsed().as_secs_f64();

    let (psnr_db, codes_used) = measure(&model, &split.measured, device);
    let (train_psnr_db, _) = measure(&model, &split.train, device);
    Outcome {
        name: contestant.name.clone(),
        architecture,
        seed,
        bits_per_image: contestant.settings.bits_per_image(),
        psnr_db,
        train_psnr_db,
        codes_used,
        parameters: parameters(&model.quantizer),
        seconds,
    }
}

/// PSNR over all pixels in dB, and how many different codes the tokens have.
fn measure<B: Backend>(
    model: &Autoencoder<B>,
    (set, range): &(&ImageSet, Range<usize>),
    device: &B::Device,
) -> (f64, Option<usize>) {
    let indices: Vec<usize> = range.clone().collect();
    let images: Tensor<B, 3> = set.tensor(&indices, device);
    let quantized = model.quantizer.quantize(model.encode(images.clone()));
    let error = model.decode(quantized.vectors) - images;
    let mse = error.powi_scalar(2).mean().into_data().iter::<f64>().sum();
    let codes_used = quantized.codes.map(|codes| {
        let [_, width] = codes.dims();
        let codes: Vec<i64> = codes.into_data().iter().collect();
        codes.chunks(width).collect::<HashSet<_>>().len()
    });
    (psnr_db(mse), codes_used)
}

fn parameters<B: Backend>(quantizer: &Quantizer<B>) -> usize {
    match quantizer {
        Quantizer::Vector(vector) => vector.num_values(),
        _ => quantizer.num_params(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contestants::contestants;
    use bitcodes_train::data::Images;
    use burn::backend::{Autodiff, Flex};

    fn briefly(contestant: &Contestant, architecture: Architecture, images: usize) -> Outcome {
        let digits = Images::digits();
        let split = Split {
            train: (digits.train(), 0..images),
            measured: (digits.test(), 0..16),
        };
        train::<Autodiff<Flex>>(contestant, architecture, &split, 1, 7, &Default::default())
    }

    #[test]
    fn every_quantizer_trains_in_both_architectures() {
        for contestant in contestants() {
            for architecture in [Architecture::Mixer, Architecture::Conv] {
                let outcome = briefly(&contestant, architecture, 70);
                assert!(outcome.psnr_db.is_finite(), "{outcome:?}");
                let most = 16 * crate::autoencoder::TOKENS;
                assert!(
                    outcome
                        .codes_used
                        .is_none_or(|used| (1..=most).contains(&used))
                );
            }
        }
    }

    #[test]
    fn a_seed_repeats_a_run_beside_others() {
        let all = contestants();
        for name in ["VQ 256", "Bitcodes 8"] {
            let contestant = all
                .iter()
                .find(|one| one.name == name)
                .expect("there is one");
            let run = || briefly(contestant, Architecture::Mixer, 130).psnr_db;
            let (first, second) = std::thread::scope(|scope| {
                let other = scope.spawn(run);
                (run(), other.join().expect("it ends"))
            });
            assert_eq!(first, second, "{name}");
        }
    }

    #[test]
    fn a_quantizer_that_is_none_learns_most() {
        let all = contestants();
        let psnr = |name| {
            let contestant = all
                .iter()
                .find(|one| one.name == name)
                .expect("there is one");
            briefly(contestant, Architecture::Mixer, 1500).psnr_db
        };
        assert!(psnr("none") > psnr("LFQ 8"));
    }
}
