//! `bitcodes train`.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use bitcodes_core::{BitcodesConfig, Independent, Schedule};
use bitcodes_train::data::Images;
use bitcodes_train::{
    AutoencoderConfig, Execution, Job, Progress, RunError, RunFolder, Summary, TrainConfig, files,
    train,
};
use burn::backend::Autodiff;
use clap::Args;

use crate::backend::{Compute, on_backend};
use crate::codes_used;
use crate::error::CliError;

/// Train the toy VQ autoencoder on handwritten digits, or on a data set in MNIST's files.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Passes over the images to train on
    #[arg(long, default_value_t = TrainConfig::new().epochs, allow_hyphen_values = true)]
    epochs: usize,

    /// Bits of a token; an image has a token for each 4x4 pixels
    #[arg(long, default_value_t = 8, allow_hyphen_values = true)]
    bits: usize,

    /// Quantize as bitcodes-pytorch does, with its settings: each bit decided for itself
    #[arg(long)]
    reference: bool,

    /// What the noise of the quantizer is multiplied by, 0 for none; a number, or linear,
    /// exponential or cosine with :START:END:STEPS [default: 0.05, with --reference 1]
    #[arg(long, allow_hyphen_values = true)]
    noise_scale: Option<Schedule>,

    /// Temperature of the quantizer with --reference: the lower, the more its gradient is the
    /// step's; a number or a schedule as for the noise [default: 1]
    #[arg(long, requires = "reference", allow_hyphen_values = true)]
    temperature: Option<Schedule>,

    /// Weight of the quantizer's commitment loss [default: 0.3, with --reference 0]
    #[arg(long, allow_hyphen_values = true)]
    commitment: Option<f64>,

    /// Weight of the quantizer's entropy loss: bits that are certain, and balanced over a batch
    #[arg(long, default_value_t = 0.0, allow_hyphen_values = true)]
    entropy: f64,

    /// Images of a step
    #[arg(long, default_value_t = TrainConfig::new().batch_size, allow_hyphen_values = true)]
    batch_size: usize,

    /// Learning rate of the first step; it falls to 0 along a cosine
    #[arg(long, default_value_t = TrainConfig::new().learning_rate, allow_hyphen_values = true)]
    learning_rate: f64,

    /// Seed of all that is random: the same gives the same run on one backend
    #[arg(long, default_value_t = TrainConfig::new().seed, allow_hyphen_values = true)]
    seed: u64,

    /// Folder with MNIST's four files, gzipped or not [default: 8x8 digits, built in]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Folder for the results [default: the next free runs/N]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Replace the run that is in the folder for the results, from the start
    #[arg(long)]
    overwrite: bool,

    #[command(flatten)]
    compute: Compute,

    /// Print a line an epoch even on a terminal, where there is a dashboard otherwise
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
        BitcodesConfig {
            noise_scale: self.noise_scale.unwrap_or(defaults.noise_scale),
            commitment_weight: self.commitment.unwrap_or(defaults.commitment_weight),
            entropy_weight: self.entropy,
            ..defaults
        }
    }
}

/// Trains, and prints what came of it. Nothing is written before all arguments are checked.
pub(crate) fn run(args: &TrainArgs) -> Result<(), CliError> {
    let config = TrainConfig {
        epochs: args.epochs,
        batch_size: args.batch_size,
        learning_rate: args.learning_rate,
        seed: args.seed,
    };
    let quantizer = args.quantizer();
    config.validate(&quantizer)?;
    args.compute.check()?;
    let images = match &args.data {
        Some(folder) => Images::from_folder(folder)?,
        None => Images::digits(),
    };
    let run = match &args.out {
        Some(path) => RunFolder::at(path, args.overwrite).map_err(|error| match error {
            RunError::Taken(_) => CliError::Taken(error),
            _ => CliError::Run(error),
        })?,
        None => RunFolder::next_in(Path::new("runs"))?,
    };

    let job = Job {
        quantizer,
        config,
        images,
        run,
        execution: Execution {
            backend: args.compute.backend.name().into(),
            images_per_thread: args.compute.backend.images_per_thread(),
        },
        progress: match io::stdout().is_terminal() && !args.plain {
            true => Progress::Dashboard,
            false => Progress::Lines,
        },
    };
    let summary = train_on(&args.compute, &job)?;
    report(job.run.path(), &summary)?;
    Ok(())
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
    let trained = match summary.epochs_wanted {
        wanted if wanted == summary.epochs => format!("{wanted} epochs"),
        wanted => format!("{} of {wanted} epochs (stopped)", summary.epochs),
    };
    writeln!(
        io::stdout(),
        "\n\
         test PSNR       {:.2} dB, decoded from packed bits alone\n\
         bits an image   {} ({} a token)\n\
         codes used      {codes}\n\
         trained         {trained} in {:.1} s on {}\n\
         model           {}\n\
         picture         {}",
        summary.test_psnr_db,
        summary.bits_per_image,
        summary.bits_per_token,
        summary.seconds,
        summary.backend,
        out.join(files::MODEL).display(),
        out.join(files::PICTURE).display(),
    )
}
