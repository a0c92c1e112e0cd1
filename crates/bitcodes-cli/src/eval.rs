//! `bitcodes eval`.

use std::io::{self, Write};
use std::path::PathBuf;

use bitcodes_train::data::Images;
use bitcodes_train::{Reconstructions, load_model, psnr_db};
use clap::Args;

use crate::backend::{Backend, on_backend};
use crate::codes_used;
use crate::error::CliError;

/// Measure a trained autoencoder on test images.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// Folder of the run, as `train` leaves it
    #[arg(long, value_name = "DIR")]
    model: PathBuf,

    /// Folder with MNIST's two test files, gzipped or not [default: 8x8 digits, built in]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Where to compute
    #[arg(long, value_enum, default_value_t = Backend::Flex)]
    backend: Backend,
}

pub(crate) fn run(args: &EvalArgs) -> Result<(), CliError> {
    args.backend.check()?;
    on_backend!(args.backend, B => eval_on::<B>(args))
}

fn eval_on<B: burn::tensor::backend::Backend>(args: &EvalArgs) -> Result<(), CliError> {
    let device = B::Device::default();
    let (config, model) = load_model::<B>(&args.model, &device)?;
    let test = match &args.data {
        Some(folder) => Images::test_from_folder(folder)?,
        None => Images::digits().test().clone(),
    };
    let (found, wanted) = (test.size(), (config.height, config.width));
    if found != wanted {
        return Err(CliError::ImageSize { found, wanted });
    }
    let reconstructions = Reconstructions::of(&model, &test, &device)?;
    let statistics = reconstructions.statistics();
    let num_bits = config.quantizer.num_bits;
    writeln!(
        io::stdout(),
        "test PSNR        {:.2} dB, decoded from packed bits alone\n\
         images           {} of {} x {} pixels\n\
         bits an image    {} ({num_bits} a token)\n\
         codes used       {}\n\
         perplexity       {:.1}\n\
         bit entropy      {:.3} of 1\n\
         bit correlation  {:.3}",
        psnr_db(reconstructions.error().mean()),
        test.len(),
        wanted.0,
        wanted.1,
        config.bits_per_image(),
        codes_used(
            statistics.codes_used().value,
            statistics.codes_used().exact,
            num_bits,
            statistics.vectors() as usize,
        ),
        statistics.perplexity().value,
        statistics.mean_entropy(),
        statistics.mean_correlation(),
    )?;
    Ok(())
}
