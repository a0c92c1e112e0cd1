//! `bitcodes eval`.

use std::io::{self, Write};
use std::path::PathBuf;

use bitcodes_train::data::Images;
use bitcodes_train::{Reconstructions, load_model, psnr_db, write_file};
use burn::tensor::backend::Backend;
use clap::Args;

use crate::backend::{Compute, on_backend};
use crate::codes::{check_output, unwritten};
use crate::codes_used;
use crate::error::CliError;
use crate::model::run_files;

/// Measure a trained autoencoder on test images.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// Folder of a run, as `train` writes it
    #[arg(long, value_name = "DIR")]
    model: PathBuf,

    /// Folder with MNIST's two test files, gzipped or not [default: 8x8 digits, built in]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// File to write the codes of the images to: a .npy file of uint8 [images, tokens,
    /// ceil(num_bits / 8)], packed as by numpy.packbits(bits, axis=2, bitorder="little")
    #[arg(long, value_name = "FILE")]
    codes: Option<PathBuf>,

    #[command(flatten)]
    compute: Compute,
}

pub(crate) fn run(args: &EvalArgs) -> Result<(), CliError> {
    if let Some(codes) = &args.codes {
        let run = run_files(&args.model);
        let read = run.each_ref().map(|file| ("--model", file.as_path()));
        check_output(codes, "--codes", &read)?;
    }
    args.compute.check()?;
    on_backend!(args.compute, B, device => eval_on::<B>(args, device))
}

fn eval_on<B: Backend>(args: &EvalArgs, device: B::Device) -> Result<(), CliError> {
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
    if let Some(path) = &args.codes {
        let codes = reconstructions.codes_to_npy();
        write_file(path, &codes.map_err(unwritten(path))?)?;
    }
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
