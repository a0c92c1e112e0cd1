//! Training an autoencoder and writing the results to the folder of a run.

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
use crate::run::{RunFolder, WholeFileRecorder};
use crate::seed;
use crate::whole_file::Unwritten;

/// Summary of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// PSNR in dB of the test images as decoded from their packed codes.
    pub test_psnr_db: f64,
    /// Number of bits of an image's code.
    pub bits_per_image: usize,
    /// Number of bits of a token's code.
    pub bits_per_token: usize,
    /// Number of different codes among the tokens of the test images.
    pub codes_used: usize,
    /// True if `codes_used` was counted, false if it was estimated, see
    /// [`BitStatistics`](bitcodes_core::BitStatistics).
    pub codes_used_exact: bool,
    /// Perplexity of the codes of the test images.
    pub perplexity: f64,
    /// Mean entropy of a bit in the codes of the test images, 0 to 1.
    pub bit_entropy: f64,
    /// Mean magnitude of the correlation between two bits in the codes of the test images, 0 to 1.
    pub bit_correlation: f64,
    /// Number of tokens of all test images.
    pub test_tokens: usize,
    /// Number of whole epochs trained.
    pub epochs: usize,
    /// Number of epochs asked for. It is larger than `epochs` if the training was stopped.
    pub epochs_wanted: usize,
    /// Time of the training in seconds, with the tests after each epoch.
    pub seconds: f64,
    /// Seed of the run.
    pub seed: u64,
    /// Name of the backend.
    pub backend: String,
}

/// Settings for the use of the backend.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// Name of the backend, for the summary.
    pub backend: String,
    /// Largest number of images that a thread computes at a time in a step. If it is `None`, a
    /// batch is computed as a whole, which is best on a GPU. The results of training with
    /// normalized vectors depend a little on this number.
    pub images_per_thread: Option<NonZeroUsize>,
}

/// Form in which a training shows its progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Burn's dashboard, if standard output is a terminal.
    Dashboard,
    /// One line per epoch.
    Lines,
    /// No output.
    Silent,
}

/// A training job.
#[derive(Debug)]
pub struct Job {
    /// Configuration of the quantizer. Its `features` are the size of a token, usually
    /// [`AutoencoderConfig::FEATURES`].
    pub quantizer: BitcodesConfig,
    /// Configuration of the training.
    pub config: TrainConfig,
    /// Training images and test images.
    pub images: Images,
    /// Folder for the results.
    pub run: RunFolder,
    /// Settings for the use of the backend.
    pub execution: Execution,
    /// Form in which the progress is shown.
    pub progress: Progress,
}

/// Error of a training that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] TrainConfigError),
    /// The quantizer cannot start from the images.
    #[error("the quantizer cannot start from the first images: {0}")]
    Start(#[from] ConfigError),
    /// The progress, a checkpoint or a result cannot be written.
    #[error(transparent)]
    Unwritten(#[from] Unwritten),
    /// The codes cannot be read from the device, or are not codes.
    #[error(transparent)]
    Codes(#[from] CodesError),
    /// Burn's learner stopped before the last epoch, and the user had not asked for it.
    #[error("the training stopped after {epochs} epochs: {reason}")]
    Stopped {
        /// Number of epochs that were finished.
        epochs: usize,
        /// Reason that the learner gave.
        reason: String,
    },
    /// The squared error on the test images is not a finite number.
    #[error(
        "the training diverged: the squared error on the test images is {0}, expected a number \
         (a lower learning rate may help)"
    )]
    Diverged(f64),
}

/// Number of images whose tokens are the sample that the codebook starts from.
const START_IMAGES: usize = 256;

/// Number of images in a test batch.
const TEST_BATCH: usize = 256;

/// The reason that Burn's dashboard gives if the user stops the training.
const STOPPED_BY_USER: &str = "Stopping training from user input.";

/// Trains an autoencoder and writes the files that [`files`] names to the folder of the run.
///
/// # Errors
///
/// Returns [`TrainError`] if the training fails or a result cannot be written.
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
    B::seed(device, seed::epoch_rng(config.seed, 0).random());
    let model = match quantizer.assignment.starts_from_sample() {
        false => model_config.init::<B>(device),
        true => {
            let first: Vec<usize> = (0..images.train().len().min(START_IMAGES)).collect();
            model_config.try_init_from_images(images.train().tensor(&first, device))?
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
    /// Number of epochs that were finished.
    epochs: usize,
    seconds: f64,
}

/// Trains a model with Burn's learner.
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
    // The entropy loss is over all vectors of a batch together, so it needs the batch as one part.
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
        // Without a dashboard nobody sees these metrics, so they are not computed.
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
    // Dropping the dashboard clears it from the screen.
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
