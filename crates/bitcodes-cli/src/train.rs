//! `bitcodes train`.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use bitcodes_core::{BitcodesConfig, Independent, Joint, Schedule};
use bitcodes_train::data::Images;
use bitcodes_train::{
    AutoencoderConfig, Execution, Job, Origin, Progress, RunConfig, RunError, RunFolder, Summary,
    TrainConfig, TrainError, files, read_run_config, train, whole_epoch,
};
use burn::backend::Autodiff;
use burn::train::Interrupter;
use clap::Args;

use crate::backend::{Backend, Compute, on_backend};
use crate::error::CliError;
use crate::{codes_used, signals};

/// Train a toy VQ autoencoder on handwritten digits, or on a data set in MNIST's file format.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Number of passes over the training images
    #[arg(long, default_value_t = TrainConfig::new().epochs, allow_hyphen_values = true)]
    epochs: usize,

    /// Number of bits per token; an image has one token for each 4x4 pixels
    #[arg(long, default_value_t = 8, allow_hyphen_values = true)]
    bits: usize,

    /// Quantize like bitcodes-pytorch, which decides each bit independently
    #[arg(long)]
    reference: bool,

    /// Number of candidates that the search for joint bits keeps, 1 to 256; 1, 2, 4, 8, 16 and 32 are
    /// searched with vector instructions [default: 8]
    #[arg(long, conflicts_with = "reference", allow_hyphen_values = true)]
    beam: Option<usize>,

    /// Scale of the noise in training, 0 for none: a number, or a schedule linear:START:END:STEPS,
    /// exponential:START:END:STEPS or cosine:START:END:STEPS [default: 0.02, with --reference 1]
    #[arg(long, allow_hyphen_values = true)]
    noise_scale: Option<Schedule>,

    /// Temperature of the gradient, with --reference: a number or a schedule as for --noise-scale; a
    /// lower temperature concentrates the gradient on bits that are nearly undecided [default: 1]
    #[arg(long, requires = "reference", allow_hyphen_values = true)]
    temperature: Option<Schedule>,

    /// Weight of the commitment loss, which pulls vectors to their quantized vectors [default: 0.25,
    /// with --reference 0]
    #[arg(long, allow_hyphen_values = true)]
    commitment: Option<f64>,

    /// Weight of the entropy loss, which makes bits certain for each vector and balanced over a
    /// batch
    #[arg(long, default_value_t = 0.0, allow_hyphen_values = true)]
    entropy: f64,

    /// Number of images per training step
    #[arg(long, default_value_t = TrainConfig::new().batch_size, allow_hyphen_values = true)]
    batch_size: usize,

    /// Learning rate of the first step; it falls to 0 along half a cosine
    #[arg(long, default_value_t = TrainConfig::new().learning_rate, allow_hyphen_values = true)]
    learning_rate: f64,

    /// Seed of all random numbers; the same seed repeats a run on the same backend
    #[arg(long, default_value_t = TrainConfig::new().seed, allow_hyphen_values = true)]
    seed: u64,

    /// Folder with MNIST's four files, gzipped or not [default: the built-in 8x8 digits]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Folder for the results [default: the next free runs/N]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Delete the run that is in the folder for the results before the training starts
    #[arg(long)]
    overwrite: bool,

    /// Go on with the run in this folder, after its last whole epoch, with its settings, images and backend; --data
    /// says where the images are now, if they were moved
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = [
            "epochs", "bits", "reference", "beam", "noise_scale", "temperature", "commitment", "entropy",
            "batch_size", "learning_rate", "seed", "out", "overwrite", "backend",
        ]
    )]
    resume: Option<PathBuf>,

    #[command(flatten)]
    compute: Compute,

    /// Print lines only, without the bar that a terminal shows
    #[arg(long)]
    plain: bool,
}

impl TrainArgs {
    fn quantizer(&self) -> BitcodesConfig {
        let (features, bits) = (AutoencoderConfig::FEATURES, self.bits);
        let independent = match self.temperature {
            Some(temperature) => Independent::new().with_temperature(temperature),
            None => Independent::new(),
        };
        let defaults = match self.reference {
            true => BitcodesConfig::reference(features, bits).with_assignment(independent),
            false => BitcodesConfig::new(features, bits),
        };
        let defaults = match self.beam {
            Some(beam) => defaults.with_assignment(Joint::new().with_beam(beam)),
            None => defaults,
        };
        BitcodesConfig {
            noise_scale: self.noise_scale.unwrap_or(defaults.noise_scale),
            commitment_weight: self.commitment.unwrap_or(defaults.commitment_weight),
            entropy_weight: self.entropy,
            ..defaults
        }
    }
}

/// Trains an autoencoder and prints the summary. All arguments are checked before anything is
/// written.
pub(crate) fn run(args: &TrainArgs) -> Result<(), CliError> {
    let (compute, job) = match &args.resume {
        Some(path) => resumed(args, path)?,
        None => (args.compute.clone(), new(args)?),
    };
    // Before, nothing was lost: a signal ends the program at once.
    signals::stop_training(job.interrupter.clone())?;
    let summary = train_on(&compute, &job).map_err(|error| {
        let run = job.run.path();
        let can_go_on = matches!(
            error,
            CliError::Train(TrainError::Interrupted { .. } | TrainError::Unwritten(_))
        );
        match can_go_on && whole_epoch(run).is_ok_and(|whole| whole.epoch > 0) {
            true => CliError::Stopped {
                error: Box::new(error),
                run: run.to_path_buf(),
            },
            false => error,
        }
    })?;
    report(job.run.path(), &summary)?;
    Ok(())
}

/// Returns the job that the arguments describe.
fn new(args: &TrainArgs) -> Result<Job, CliError> {
    let config = TrainConfig {
        epochs: args.epochs,
        batch_size: args.batch_size,
        learning_rate: args.learning_rate,
        seed: args.seed,
    };
    let quantizer = args.quantizer();
    config.validate(&quantizer)?;
    args.compute.check()?;
    let images = images(args.data.as_deref())?;
    let data = args.data.as_deref().map(std::path::absolute).transpose();
    let origin = Origin {
        backend: args.compute.backend.name().into(),
        data: data?,
        images: format!("{:016x}", images.hash()),
    };
    let run = match &args.out {
        Some(path) => RunFolder::at(path, args.overwrite, origin).map_err(|error| match error {
            RunError::Taken(_) => CliError::Taken(error),
            _ => CliError::Run(error),
        })?,
        None => RunFolder::next_in(Path::new("runs"), origin)?,
    };
    Ok(Job {
        quantizer,
        config,
        images,
        run,
        execution: execution(&args.compute),
        progress: progress(args),
        interrupter: Interrupter::new(),
    })
}

/// Returns the job of a run that is to be continued.
fn resumed(args: &TrainArgs, path: &Path) -> Result<(Compute, Job), CliError> {
    let run = RunFolder::resume(path)?;
    let origin = run.origin();
    let compute = Compute {
        backend: Backend::of_name(&origin.backend)?,
        adapter: args.compute.adapter.clone(),
    };
    compute.check()?;
    let RunConfig {
        training: config,
        model,
    } = read_run_config(path)?;
    config.validate(&model.quantizer)?;
    model.validate().map_err(CliError::RunConfig)?;
    let images = images(args.data.as_deref().or(origin.data.as_deref()))?;
    let found = format!("{:016x}", images.hash());
    if found != origin.images {
        return Err(CliError::OtherImages {
            run: path.to_path_buf(),
            found,
            wanted: origin.images.clone(),
        });
    }
    let job = Job {
        quantizer: model.quantizer,
        config,
        images,
        run,
        execution: execution(&compute),
        progress: progress(args),
        interrupter: Interrupter::new(),
    };
    Ok((compute, job))
}

fn images(folder: Option<&Path>) -> Result<Images, CliError> {
    Ok(match folder {
        Some(folder) => Images::from_folder(folder)?,
        None => Images::digits(),
    })
}

fn execution(compute: &Compute) -> Execution {
    Execution {
        backend: compute.backend.name().into(),
        images_per_thread: compute.backend.images_per_thread(),
    }
}

/// A bar needs a terminal that can move its cursor.
fn progress(args: &TrainArgs) -> Progress {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    match io::stdout().is_terminal() && !is_dumb && !args.plain {
        true => Progress::Live,
        false => Progress::Lines,
    }
}

fn train_on(compute: &Compute, job: &Job) -> Result<Summary, CliError> {
    on_backend!(compute, B, device => Ok(train::<Autodiff<B>>(job, &device)?))
}

fn report(out: &Path, summary: &Summary) -> io::Result<()> {
    let codes = codes_used(
        summary.codes_used as f64,
        summary.codes_used_exact,
        summary.bits_per_token,
        summary.test_tokens,
    );
    writeln!(
        io::stdout(),
        "\n\
         test PSNR       {:.2} dB, decoded from packed bits alone\n\
         bits an image   {} ({} a token)\n\
         codes used      {codes}\n\
         trained         {} epochs in {:.1} s on {}\n\
         model           {}\n\
         pictures        {}, {}",
        summary.test_psnr_db,
        summary.bits_per_image,
        summary.bits_per_token,
        summary.epochs,
        summary.seconds,
        summary.backend,
        out.join(files::MODEL).display(),
        out.join(files::PICTURE).display(),
        files::CURVES,
    )
}
