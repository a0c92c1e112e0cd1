//! The training loop, which is the same for every quantizer.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Instant;

use bitcodes_train::data::{ImageSet, Images};
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

use crate::autoencoder::{Autoencoder, FEATURES, PATCH};
use crate::contestants::Settings;
use crate::outcomes::{Measured, Outcome, Run};
use crate::quantizer::{Moments, Quantizer};
use crate::seeded::seeded;

const BATCH: usize = 64;
const LEARNING_RATE: f64 = 2e-3;
/// Number of images whose tokens are the sample that our codebook starts from.
const SAMPLE: usize = 256;
const WEIGHT_DECAY: f64 = 0.01;
/// Number of images that are measured at a time.
const MEASURED: usize = 512;

/// The training images and the measured images.
#[derive(Debug)]
pub struct Split<'a> {
    /// The set that holds the training images, and their range in it.
    pub train: (&'a ImageSet, Range<usize>),
    /// The set that holds the measured images, and their range in it.
    pub measured: (&'a ImageSet, Range<usize>),
}

/// One of this many training images is held out. Settings are chosen by the held-out images.
const HELD_OUT: usize = 5;

impl<'a> Split<'a> {
    /// Smallest number of training images of which some can be held out.
    pub const LEAST: usize = HELD_OUT;

    /// Returns the number of tokens in a row of an image.
    fn tokens_along(&self) -> usize {
        self.train.0.size().1 / PATCH
    }

    /// Splits images into training images and measured images.
    pub fn of(images: &'a Images, measured: Measured) -> Self {
        let (all, test) = (images.train().as_ref(), images.test().as_ref());
        let last = all.len() - all.len() / HELD_OUT;
        match measured {
            Measured::HeldOut => Self {
                train: (all, 0..last),
                measured: (all, last..all.len()),
            },
            Measured::Test => Self {
                train: (all, 0..all.len()),
                measured: (test, 0..test.len()),
            },
        }
    }
}

/// Trains an autoencoder and measures it.
pub fn train<B: AutodiffBackend>(run: &Run, split: &Split, device: &B::Device) -> Outcome {
    let contestant = &run.contestant;
    let mut random = StdRng::seed_from_u64(run.seed);
    let seed = random.random();
    let mut model = seeded::<B, _>(seed, device, || untrained(run, split, &mut random, device));
    let mut optimizer = AdamWConfig::new()
        .with_epsilon(1e-8)
        .with_weight_decay(WEIGHT_DECAY as f32)
        .init();
    let (set, range) = &split.train;
    let mut order: Vec<usize> = range.clone().collect();
    let steps = run.epochs * order.len().div_ceil(BATCH);
    let mut schedule = CosineAnnealingLrSchedulerConfig::new(LEARNING_RATE, steps)
        .init()
        .expect("the learning rate and the number of steps are above 0");

    let start = Instant::now();
    for _ in 0..run.epochs {
        order.shuffle(&mut random);
        for batch in order.chunks(BATCH) {
            let images: Tensor<B, 3> = set.tensor(batch, device);
            let tokens = model.encode(images.clone());
            let quantized = model.quantize_in_training(tokens, &mut random);
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

    let (psnr_db, codes) = measure(&model, &split.measured, device);
    let (train_psnr_db, _) = measure(&model, &split.train, device);
    let of_bits = matches!(
        contestant.settings,
        Settings::Bitcodes(_) | Settings::LookupFree(_)
    );
    let bits_per_token = contestant.settings.bits_per_token();
    let tokens = split.tokens_along().pow(2);
    Outcome {
        run: run.clone(),
        bits_per_image: bits_per_token.map(|bits| tokens as f64 * bits),
        psnr_db,
        train_psnr_db,
        codes_used: codes.as_ref().map(|codes| different(codes)),
        least_bit_entropy: codes.filter(|_| of_bits).map(|codes| least_entropy(&codes)),
        parameters: parameters(&model.quantizer),
        seconds,
    }
}

/// Makes the autoencoder of a run with random weights.
fn untrained<B: AutodiffBackend>(
    run: &Run,
    split: &Split,
    random: &mut StdRng,
    device: &B::Device,
) -> Autoencoder<B> {
    let contestant = &run.contestant;
    let quantizer = contestant.settings.init::<B>(random, device);
    // Burn draws weights at their first use. A fork draws them all now.
    let model = Autoencoder::new(run.architecture, split.tokens_along(), quantizer, device);
    let mut model = model.fork(device);
    if let Settings::Bitcodes(config) = &contestant.settings
        && config.assignment.starts_from_sample()
    {
        let (set, range) = &split.train;
        let first: Vec<usize> = range.clone().take(SAMPLE).collect();
        let tokens = model.encode(set.tensor(&first, device));
        let quantizer = config.try_init_from_sample(tokens);
        model.quantizer = Quantizer::Bitcodes(quantizer.expect("tokens are finite"));
    }
    model.moments = contestant
        .deviation
        .map(|deviation| Moments::new(FEATURES, deviation, device));
    model
}

/// Returns the PSNR over all pixels in dB, and the code of each token if tokens are quantized.
fn measure<B: Backend>(
    model: &Autoencoder<B>,
    (set, range): &(&ImageSet, Range<usize>),
    device: &B::Device,
) -> (f64, Option<Vec<Vec<i64>>>) {
    let (mut square, mut pixels) = (0.0, 0);
    let mut codes: Option<Vec<Vec<i64>>> = None;
    let indices: Vec<usize> = range.clone().collect();
    for indices in indices.chunks(MEASURED) {
        let images: Tensor<B, 3> = set.tensor(indices, device);
        let quantized = model.quantize(model.encode(images.clone()));
        let error = model.decode(quantized.vectors) - images;
        pixels += error.shape().num_elements();
        let sum = error.powi_scalar(2).sum().into_data();
        square += sum.iter::<f64>().sum::<f64>();
        if let Some(more) = quantized.codes {
            let [_, width] = more.dims();
            let more: Vec<i64> = more.into_data().iter().collect();
            let codes = codes.get_or_insert_default();
            codes.extend(more.chunks(width).map(<[i64]>::to_vec));
        }
    }
    (psnr_db(square / pixels as f64), codes)
}

fn different(codes: &[Vec<i64>]) -> usize {
    codes.iter().collect::<HashSet<_>>().len()
}

/// Returns the smallest entropy of a bit, in bits, of codes made of 0 and 1.
fn least_entropy(codes: &[Vec<i64>]) -> f64 {
    let entropy = |bit: usize| {
        let ones: i64 = codes.iter().map(|code| code[bit]).sum();
        let p = ones as f64 / codes.len() as f64;
        let part = |p: f64| if p > 0.0 { -p * p.log2() } else { 0.0 };
        part(p) + part(1.0 - p)
    };
    let bits = codes.first().map_or(0, Vec::len);
    (0..bits).map(entropy).fold(1.0, f64::min)
}

fn parameters<B: Backend>(quantizer: &Quantizer<B>) -> usize {
    match quantizer {
        Quantizer::Vector(vector) => vector.num_values(),
        _ => quantizer.num_params(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::autoencoder::Architecture;
    use crate::contestants::{Contestant, contestants};
    use burn::backend::{Autodiff, Flex};

    fn briefly(contestant: &Contestant, architecture: Architecture, images: usize) -> Outcome {
        let run = Run {
            contestant: contestant.clone(),
            architecture,
            images: "digits".into(),
            measured: Measured::Test,
            epochs: 1,
            seed: 7,
        };
        let digits = Images::digits();
        let split = Split {
            train: (digits.train(), 0..images),
            measured: (digits.test(), 0..16),
        };
        train::<Autodiff<Flex>>(&run, &split, &Default::default())
    }

    #[test]
    fn every_quantizer_trains_in_both_architectures() {
        for architecture in [Architecture::Mixer, Architecture::Conv] {
            for contestant in contestants(architecture) {
                let outcome = briefly(&contestant, architecture, 70);
                assert!(outcome.psnr_db.is_finite(), "{outcome:?}");
                // 16 images of four tokens.
                let most = 16 * 4;
                let codes_used = outcome.codes_used;
                assert!(codes_used.is_none_or(|used| (1..=most).contains(&used)));
            }
        }
    }

    #[test]
    fn images_of_other_sizes_are_trained_on() {
        let folder = tempfile::tempdir().expect("a folder");
        for (set, count) in [("train", 70u8), ("t10k", 16)] {
            let images = folder.path().join(format!("{set}-images-idx3-ubyte"));
            let pixels = (0..28 * 28 * u32::from(count)).map(|index| (index * 7919 % 251) as u8);
            let header = [0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 28, 0, 0, 0, 28];
            let bytes: Vec<u8> = header.into_iter().chain(pixels).collect();
            fs::write(images, bytes).expect("written");
            let labels = folder.path().join(format!("{set}-labels-idx1-ubyte"));
            let bytes = [&[0, 0, 8, 1, 0, 0, 0, count], &vec![0; count.into()][..]].concat();
            fs::write(labels, bytes).expect("written");
        }
        let images = Images::from_folder(folder.path()).expect("MNIST's files");
        let split = Split {
            train: (images.train(), 0..70),
            measured: (images.test(), 0..16),
        };
        for architecture in [Architecture::Mixer, Architecture::Conv] {
            let all = contestants(architecture);
            for name in ["Bitcodes 8", "VQ 256", "FSQ 8 6 5"] {
                let contestant = all.iter().find(|one| one.name == name);
                let run = Run {
                    contestant: contestant.expect("the contestant exists").clone(),
                    architecture,
                    images: "noise".into(),
                    measured: Measured::Test,
                    epochs: 1,
                    seed: 7,
                };
                let outcome = train::<Autodiff<Flex>>(&run, &split, &Default::default());
                assert!(outcome.psnr_db.is_finite(), "{outcome:?}");
                let bits = outcome.bits_per_image.expect("it is quantized");
                assert!((49.0 * 7.5..=49.0 * 8.0).contains(&bits), "{bits}");
                let used = outcome.codes_used.expect("it is quantized");
                assert!((2..=16 * 49).contains(&used), "{used}");
            }
        }
    }

    #[test]
    fn a_seed_repeats_a_training_while_others_run() {
        let all = contestants(Architecture::Mixer);
        for name in ["VQ 256", "Bitcodes 8"] {
            let contestant = all
                .iter()
                .find(|one| one.name == name)
                .expect("the contestant exists");
            let run = || briefly(contestant, Architecture::Mixer, 130).psnr_db;
            let (first, second) = std::thread::scope(|scope| {
                let other = scope.spawn(run);
                (
                    run(),
                    other.join().expect("the other training does not panic"),
                )
            });
            assert_eq!(first, second, "{name}");
        }
    }

    #[test]
    fn least_entropy_is_that_of_the_most_unbalanced_bit() {
        let codes = [[0, 1, 1], [1, 1, 0], [0, 1, 0], [1, 0, 0]].map(|code| code.to_vec());
        let wanted = -(0.25f64.log2() * 0.25 + 0.75f64.log2() * 0.75);
        assert_eq!(least_entropy(&codes), wanted);
        assert_eq!(least_entropy(&[vec![1, 0], vec![1, 1]]), 0.0);
    }

    #[test]
    fn an_autoencoder_without_a_quantizer_has_the_highest_psnr() {
        let all = contestants(Architecture::Mixer);
        let psnr = |name| {
            let contestant = all
                .iter()
                .find(|one| one.name == name)
                .expect("the contestant exists");
            briefly(contestant, Architecture::Mixer, 1500).psnr_db
        };
        assert!(psnr("none") > psnr("LFQ 8"));
    }
}
