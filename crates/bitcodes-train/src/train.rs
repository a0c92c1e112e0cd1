//! Training an autoencoder from a configuration to a folder of results.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use bitcodes_core::{BitcodesConfig, CodesError, ConfigError};
use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::module::Module;
use burn::optim::AdamWConfig;
use burn::record::Recorder;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::train::checkpoint::KeepLastNCheckpoints;
use burn::train::{Interrupter, Learner, SupervisedTraining};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::autoencoder::{Autoencoder, AutoencoderConfig};
use crate::code_metrics::CodeMetric;
use crate::config::{RunConfig, TrainConfig, TrainConfigError};
use crate::data::{ImageLoader, Images};
use crate::evaluate::Reconstructions;
use crate::files;
use crate::metrics::{ReconstructionMetric, psnr_db};
use crate::picture::side_by_side;
use crate::progress::{EpochLog, NoDashboard};
use crate::run::{RunFolder, Unwritten, WholeFileRecorder};
use crate::seed;

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// PSNR of the test images as decoded from their packed bits, in dB.
    pub test_psnr_db: f64,
    /// Bits that an image is quantized to.
    pub bits_per_image: usize,
    /// Bits of a token.
    pub bits_per_token: usize,
    /// Different codes that the tokens of the test images have.
    pub codes_used: usize,
    /// Whether they were counted; otherwise estimated, see
    /// [`BitStatistics`](bitcodes_core::BitStatistics).
    pub codes_used_exact: bool,
    /// Perplexity of those codes.
    pub perplexity: f64,
    /// Mean entropy of a bit in those codes, 0 to 1.
    pub bit_entropy: f64,
    /// Mean magnitude of the correlation of two bits in those codes, 0 to 1.
    pub bit_correlation: f64,
    /// Tokens of all test images.
    pub test_tokens: usize,
    /// Whole epochs trained.
    pub epochs: usize,
    /// Epochs asked for; more than trained where the training was stopped.
    pub epochs_wanted: usize,
    /// Time of the training with its tests, in seconds.
    pub seconds: f64,
    /// The seed.
    pub seed: u64,
    /// The backend.
    pub backend: String,
}

/// How the backend at hand is best used.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// Name of the backend, for the summary.
    pub backend: String,
    /// The most images that a thread works on in a step; `None` leaves a step in one piece, as a
    /// GPU wants it. Training with normalized vectors depends a little on it.
    pub images_per_thread: Option<NonZeroUsize>,
}

/// How a training shows that it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Burn's dashboard where standard output is a terminal.
    Dashboard,
    /// A line an epoch.
    Lines,
    /// Nothing.
    Silent,
}

/// A training to be done.
#[derive(Debug)]
pub struct Job {
    /// What tokens are quantized by; its features are [`AutoencoderConfig::FEATURES`].
    pub quantizer: BitcodesConfig,
    /// How to train.
    pub config: TrainConfig,
    /// What to train on, and to test with.
    pub images: Images,
    /// Where the results go.
    pub run: RunFolder,
    /// How the backend is used.
    pub execution: Execution,
    /// What is shown meanwhile.
    pub progress: Progress,
}

/// A training that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] TrainConfigError),
    /// The quantizer cannot start from the images.
    #[error("the quantizer cannot start from the first images: {0}")]
    Start(#[from] ConfigError),
    /// Progress, a checkpoint or a result cannot be written.
    #[error(transparent)]
    Unwritten(#[from] Unwritten),
    /// The backend gave codes that are none.
    #[error(transparent)]
    Codes(#[from] CodesError),
    /// Burn's learner stopped before its end, unasked.
    #[error("the training stopped after {epochs} epochs: {reason}")]
    Stopped {
        /// Epochs that were done.
        epochs: usize,
        /// Why it stopped.
        reason: String,
    },
    /// The error on the test images is not a number.
    #[error(
        "the training diverged: the squared error on the test images is {0}, expected a number \
         (a lower learning rate may help)"
    )]
    Diverged(f64),
}

/// Images whose tokens the codebook starts from.
const START_IMAGES: usize = 256;

/// Images that are tested together.
const TEST_BATCH: usize = 256;

/// What Burn's dashboard gives as the reason where its user stops the training.
const STOPPED_BY_USER: &str = "Stopping training from user input.";

/// Trains an autoencoder and leaves the files of [`files`] in the folder of the run.
///
/// # Errors
///
/// See [`TrainError`].
pub fn train<B: AutodiffBackend>(job: &Job, device: &B::Device) -> Result<Summary, TrainError> {
    let Job {
        quantizer,
        config,
        images,
        run,
        execution,
        ..
    } = job;
    config.validate(quantizer)?;
    let (height, width) = images.train().size();
    let model_config = AutoencoderConfig::new(height, width, quantizer.clone());
    B::seed(device, seed::of_epoch(config.seed, 0).random());
    let model = match quantizer.assignment.starts_from_sample() {
        false => model_config.init::<B>(device),
        true => {
            let first: Vec<usize> = (0..images.train().len().min(START_IMAGES)).collect();
            model_config.init_from_images(images.train().tensor(&first, device))?
        }
    };
    let run_config = RunConfig::new(config.clone(), model_config.clone());
    run.write_json(files::CONFIG, &run_config)?;
    let Fit {
        model,
        epochs,
        seconds,
    } = fit(model, job, device)?;

    let test = images.test();
    let reconstructions = Reconstructions::of(&model, test, device)?;
    let mse = reconstructions.error().mean();
    if !mse.is_finite() {
        return Err(TrainError::Diverged(mse));
    }
    let recorder = WholeFileRecorder::default();
    let path = run.path().join(files::MODEL);
    Recorder::<B::InnerBackend>::record(&recorder, model.into_record(), path.clone())
        .map_err(|error| Unwritten::to(&path)(io::Error::other(error)))
        .map_err(|error| recorder.take_error().unwrap_or(error))?;
    let npy = reconstructions.to_npy();
    let npy = npy.map_err(Unwritten::to(files::RECONSTRUCTIONS))?;
    run.write(files::RECONSTRUCTIONS, &npy)?;
    let picture = side_by_side(test, &reconstructions);
    let picture =
        picture.map_err(|error| Unwritten::to(files::PICTURE)(io::Error::other(error)))?;
    run.write(files::PICTURE, &picture)?;
    let statistics = reconstructions.statistics();
    let codes_used = statistics.codes_used();
    let summary = Summary {
        test_psnr_db: psnr_db(mse),
        bits_per_image: model_config.bits_per_image(),
        bits_per_token: quantizer.num_bits,
        codes_used: codes_used.value.round() as usize,
        codes_used_exact: codes_used.exact,
        perplexity: statistics.perplexity().value,
        bit_entropy: statistics.mean_entropy(),
        bit_correlation: statistics.mean_correlation(),
        test_tokens: test.len() * model_config.tokens(),
        epochs,
        epochs_wanted: config.epochs,
        seconds,
        seed: config.seed,
        backend: execution.backend.clone(),
    };
    run.write_json(files::SUMMARY, &summary)?;
    Ok(summary)
}

struct Fit<B: Backend> {
    model: Autoencoder<B>,
    /// Epochs that were done.
    epochs: usize,
    seconds: f64,
}

/// Burn's learner on a model.
fn fit<B: AutodiffBackend>(
    model: Autoencoder<B>,
    job: &Job,
    device: &B::Device,
) -> Result<Fit<B::InnerBackend>, TrainError> {
    let Job {
        quantizer,
        config,
        images,
        run,
        execution,
        progress,
    } = job;
    let optimizer = AdamWConfig::new()
        .with_epsilon(1e-8)
        .with_weight_decay(0.01)
        .init();
    let steps = config.epochs * images.train().len().div_ceil(config.batch_size);
    let schedule = CosineAnnealingLrSchedulerConfig::new(config.learning_rate, steps)
        .init()
        .expect("the learning rate and the number of steps are checked");

    let (train, test) = (images.train().clone(), images.test().clone());
    // Balance is asked of all bits of a batch together.
    let in_parts = execution
        .images_per_thread
        .filter(|_| quantizer.entropy_weight == 0.0);
    let part_of = |batch| in_parts.map_or(batch, NonZeroUsize::get);
    let train = ImageLoader::shuffled(train, config.batch_size, config.seed, device)
        .in_parts_of(part_of(config.batch_size));
    let test = ImageLoader::in_order(test, TEST_BATCH, device).in_parts_of(part_of(TEST_BATCH));
    let interrupter = Interrupter::new();
    let lines = (*progress == Progress::Lines).then_some(config.epochs);
    let metrics = run.path().join(files::METRICS);
    let (log, outcome) = EpochLog::create(metrics, lines, interrupter.clone())?;
    let recorder = WholeFileRecorder::default();
    let training = SupervisedTraining::new(run.path(), Arc::new(train), Arc::new(test))
        .metrics((ReconstructionMetric::mse(), ReconstructionMetric::psnr()))
        .with_metric_logger(log)
        .with_file_checkpointer(recorder.clone())
        .with_checkpointing_strategy(KeepLastNCheckpoints::new(1))
        .with_interrupter(interrupter.clone())
        .with_application_logger(None)
        .num_epochs(config.epochs);
    let training = match progress {
        // Where nobody sees them they are not computed.
        Progress::Dashboard => training.metrics((
            CodeMetric::bit_entropy(),
            CodeMetric::bit_correlation(),
            CodeMetric::codes_used(),
            CodeMetric::perplexity(),
        )),
        Progress::Lines | Progress::Silent => training.renderer(NoDashboard),
    };

    let start = Instant::now();
    let result = training.launch(Learner::new(model, optimizer, schedule));
    let seconds = start.elapsed().as_secs_f64();
    // The dashboard leaves the screen when it is dropped.
    drop(result.renderer);
    if let Some(error) = outcome.take_error().or_else(|| recorder.take_error()) {
        return Err(error.into());
    }
    let epochs = outcome.epochs();
    match interrupter.get_message() {
        Some(reason) if reason != STOPPED_BY_USER => Err(TrainError::Stopped { epochs, reason }),
        _ => Ok(Fit {
            model: result.model,
            epochs,
            seconds,
        }),
    }
}
