//! Training an autoencoder and writing the results to the folder of a run.

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use bitcodes_core::record::{self, RecordError};
use bitcodes_core::{BitcodesConfig, CodesError, ConfigError};
use burn::lr_scheduler::LrScheduler;
use burn::lr_scheduler::cosine::{CosineAnnealingLrScheduler, CosineAnnealingLrSchedulerConfig};
use burn::module::Module;
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{AdamW, AdamWConfig, Optimizer};
use burn::record::{Record, Recorder};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::train::{Interrupter, Learner, SupervisedTraining};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::autoencoder::{Autoencoder, AutoencoderConfig};
use crate::checkpoints::{Checkpoints, OPTIMIZER, SCHEDULER, SaveEachEpoch, WholeFileRecorder};
use crate::code_metrics::CodeMetric;
use crate::config::{RunConfig, TrainConfig, TrainConfigError};
use crate::curves::curves;
use crate::data::{ImageLoader, Images};
use crate::epoch_log::{DIVERGED, EpochLog, Lines, read_psnr};
use crate::evaluate::Reconstructions;
use crate::files;
use crate::live::Live;
use crate::load::{LoadCause, LoadError, WholeEpoch, checkpoint_model, whole_epoch};
use crate::metrics::{ReconstructionMetric, psnr_db};
use crate::picture::side_by_side;
use crate::run::RunFolder;
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
    /// Number of epochs trained.
    pub epochs: usize,
    /// Time of the training in seconds, with the tests after each epoch, without pauses.
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
    /// One line per epoch, and a bar below them, for a terminal.
    Live,
    /// One line per epoch.
    Lines,
    /// No output.
    Silent,
}

/// A training job.
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
    /// Stops the training after a step, from another thread.
    pub interrupter: Interrupter,
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
    /// The run cannot be continued from its checkpoint.
    #[error("the run cannot be continued: {0}")]
    Resume(#[from] LoadError),
    /// The training was stopped by the job's interrupter. It can be continued.
    #[error("stopped after {epochs} of {wanted} epochs ({reason})")]
    Interrupted {
        /// Number of whole epochs, which are kept.
        epochs: usize,
        /// Number of epochs wanted.
        wanted: usize,
        /// Reason that the interrupter was given.
        reason: String,
    },
    /// A squared error is not a finite number.
    #[error(
        "the training diverged in epoch {}, as a squared error is not a number; a lower learning rate may \
         help. The checkpoint of the epoch before is kept", epochs + 1
    )]
    Diverged {
        /// Number of whole epochs before, which are kept.
        epochs: usize,
    },
}

/// Number of images whose tokens are the sample that the codebook starts from.
const START_IMAGES: usize = 256;

/// Number of images in a test batch.
const TEST_BATCH: usize = 256;

/// Trains an autoencoder and writes the files that [`files`] names to the folder of the run.
///
/// If the folder has a whole epoch, of the same job, the training goes on after it. On a CPU the result is
/// that of an unbroken training.
///
/// # Errors
///
/// Returns [`TrainError`] if the training fails or is stopped, or if a result cannot be written.
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
    let whole = whole_epoch(run.path())?;
    if whole.epoch > config.epochs {
        let message = format!("epoch {}, expected at most {}", whole.epoch, config.epochs);
        return Err(TrainError::Resume(LoadError {
            path: run.path().join(files::CHECKPOINTS).join(files::WHOLE_EPOCH),
            cause: LoadCause::Config(message),
        }));
    }
    let model = match whole.epoch {
        0 => start::<B>(&model_config, config, images, device)?,
        epoch => resume::<B>(&model_config, run.path(), epoch, device)?,
    };
    let run_config = RunConfig::new(config.clone(), model_config.clone());
    run.write_json(files::CONFIG, &run_config)?;
    let Fit { model, seconds } = fit(model, whole, job, device)?;

    // First of all the model, as what follows takes time and memory.
    let path = run.path().join(files::MODEL);
    let recorder = WholeFileRecorder::default();
    Recorder::<B::InnerBackend>::record(&recorder, model.clone().into_record(), path.clone())
        .map_err(|error| Unwritten::to(&path)(io::Error::other(error)))?;
    write_curves(run)?;
    let test = images.test();
    let reconstructions = Reconstructions::of(&model, test, device)?;
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
        test_psnr_db: psnr_db(reconstructions.error().mean()),
        bits_per_image: model_config.bits_per_image(),
        bits_per_token: quantizer.num_bits,
        codes_used: codes_used.value.round() as usize,
        codes_used_exact: codes_used.exact,
        perplexity: statistics.perplexity().value,
        bit_entropy: statistics.mean_entropy(),
        bit_correlation: statistics.mean_correlation(),
        test_tokens: test.len() * model_config.tokens(),
        epochs: config.epochs,
        seconds,
        seed: config.seed,
        backend: execution.backend.clone(),
    };
    run.write_json(files::SUMMARY, &summary)?;
    Ok(summary)
}

/// Makes the model that a training starts from.
fn start<B: AutodiffBackend>(
    model: &AutoencoderConfig,
    config: &TrainConfig,
    images: &Images,
    device: &B::Device,
) -> Result<Autoencoder<B>, TrainError> {
    B::seed(device, seed::epoch_rng(config.seed, 0).random());
    if !model.quantizer.assignment.starts_from_sample() {
        return Ok(model.init::<B>(device));
    }
    let first: Vec<usize> = (0..images.train().len().min(START_IMAGES)).collect();
    Ok(model.try_init_from_images(images.train().tensor(&first, device))?)
}

/// Loads the model of a checkpoint, and checks that Burn can load the other two files of it.
fn resume<B: AutodiffBackend>(
    model: &AutoencoderConfig,
    run: &Path,
    epoch: usize,
    device: &B::Device,
) -> Result<Autoencoder<B>, LoadError> {
    let of_file = |path: &Path, cause: LoadCause| LoadError {
        path: path.to_path_buf(),
        cause,
    };
    let path = checkpoint_model(run, epoch);
    let bytes = fs::read(&path).map_err(|error| of_file(&path, error.into()))?;
    let model = record::load(&model.init::<B>(device), &bytes, device);
    let model = model.map_err(|error| of_file(&path, error.into()))?;
    type Adam<B> = OptimizerAdaptor<AdamW, Autoencoder<B>, B>;
    type State<B> = <Adam<B> as Optimizer<Autoencoder<B>, B>>::Record;
    type Schedule<B> = <CosineAnnealingLrScheduler as LrScheduler>::Record<B>;
    check_record::<B, State<B>>(run, OPTIMIZER, epoch, device)?;
    check_record::<B, Schedule<B>>(run, SCHEDULER, epoch, device)?;
    Ok(model)
}

/// Checks that a file of a checkpoint can be loaded, as Burn's learner panics if not.
fn check_record<B: AutodiffBackend, R: Record<B>>(
    run: &Path,
    part: &str,
    epoch: usize,
    device: &B::Device,
) -> Result<(), LoadError> {
    let path = run.join(files::CHECKPOINTS).join(format!("{part}-{epoch}"));
    let loaded = Recorder::<B>::load::<R>(&WholeFileRecorder::default(), path.clone(), device);
    loaded.map(drop).map_err(|error| LoadError {
        path,
        cause: RecordError::Burn(error.to_string()).into(),
    })
}

/// Draws the metrics of all epochs.
fn write_curves(run: &RunFolder) -> Result<(), TrainError> {
    let path = run.path().join(files::METRICS);
    let epochs = read_psnr(&path).map_err(Unwritten::to(&path))?;
    if let Some(picture) = curves(&epochs) {
        run.write(files::CURVES, picture.as_bytes())?;
    }
    Ok(())
}

struct Fit<B: Backend> {
    model: Autoencoder<B>,
    /// Time of the training, in seconds, of all processes together.
    seconds: f64,
}

/// Trains a model with Burn's learner, after the epochs that are whole.
fn fit<B: AutodiffBackend>(
    model: Autoencoder<B>,
    whole: WholeEpoch,
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
        interrupter,
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
        .after_epochs(whole.epoch)
        .in_parts_of(part_of(config.batch_size));
    let test = ImageLoader::in_order(test, TEST_BATCH, device).in_parts_of(part_of(TEST_BATCH));
    let hidden = *progress != Progress::Live;
    let live = Live::new(images.train().len(), config.epochs, whole.epoch, hidden);
    let lines = match progress {
        Progress::Live => Some(Lines::new(config.epochs, Some(live.bar()))),
        Progress::Lines => Some(Lines::new(config.epochs, None)),
        Progress::Silent => None,
    };
    let checkpoints = Checkpoints::after(whole, run.path());
    let metrics = run.path().join(files::METRICS);
    let log = EpochLog::open(metrics, lines, checkpoints.clone(), interrupter.clone())?;
    let training = SupervisedTraining::new(run.path(), Arc::new(train), Arc::new(test))
        .metrics((ReconstructionMetric::mse(), ReconstructionMetric::psnr()))
        .with_metric_logger(log)
        .with_file_checkpointer(WholeFileRecorder::of(checkpoints.clone()))
        .with_checkpointing_strategy(SaveEachEpoch)
        .with_interrupter(interrupter.clone())
        .with_application_logger(None)
        .num_epochs(config.epochs);
    let training = match whole.epoch {
        0 => training,
        epoch => training.checkpoint(epoch),
    };
    let training = match progress {
        // Only the display shows these metrics.
        Progress::Live => training
            .metric_valid_numeric(CodeMetric::bit_entropy())
            .metric_valid_numeric(CodeMetric::codes_used()),
        Progress::Lines | Progress::Silent => training,
    };

    let result = training
        .renderer(live)
        .launch(Learner::new(model, optimizer, schedule));
    // Dropping the display clears it from the screen.
    drop(result.renderer);
    if let Some(error) = checkpoints.take_error() {
        return Err(error.into());
    }
    let WholeEpoch {
        epoch: epochs,
        seconds,
    } = checkpoints.whole();
    let wanted = config.epochs;
    if epochs == wanted {
        let model = result.model;
        return Ok(Fit { model, seconds });
    }
    let reason = interrupter.get_message().unwrap_or_default();
    Err(match &*reason {
        DIVERGED => TrainError::Diverged { epochs },
        _ => TrainError::Interrupted {
            epochs,
            wanted,
            reason,
        },
    })
}
