//! `bitcodes eval`.

use std::io::Write;
use std::path::PathBuf;

use bitcodes_train::data::{Images, data_files};
use bitcodes_train::{LoadedRun, Reconstructions, load_model, psnr_db};
use burn::tensor::backend::Backend;
use clap::Args;

use crate::backend::{Compute, on_backend};
use crate::error::CliError;
use crate::model::{model_files, say_unfinished};
use crate::output::{Output, is_stdout, unwritten};
use crate::{codes_used, report, signals};

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
    args.compute.check()?;
    signals::end_without_unfinished_files()?;
    let mut inputs = model_files(&args.model);
    if let Some(folder) = &args.data {
        let images = data_files(folder).into_iter();
        inputs.extend(images.map(|file| ("--data", file)));
    }
    let codes = match &args.codes {
        Some(path) => Some(Output::open(path, "--codes", &inputs)?),
        None => None,
    };
    on_backend!(args.compute, B, device => eval_on::<B>(args, codes, device))
}

fn eval_on<B: Backend>(
    args: &EvalArgs,
    codes: Option<Output>,
    device: B::Device,
) -> Result<(), CliError> {
    let run = load_model::<B>(&args.model, &device)?;
    say_unfinished(&args.model, &run);
    let LoadedRun { config, model, .. } = run;
    let test = match &args.data {
        Some(folder) => Images::test_from_folder(folder)?,
        None => Images::digits().test().clone(),
    };
    let (found, wanted) = (test.size(), (config.height, config.width));
    if found != wanted {
        return Err(CliError::ImageSize { found, wanted });
    }
    let reconstructions = Reconstructions::of(&model, &test, &device)?;
    if let (Some(path), Some(mut output)) = (&args.codes, codes) {
        let codes = reconstructions.codes_to_npy();
        let written = codes.and_then(|codes| output.write_all(&codes));
        written.map_err(unwritten(path))?;
        output.finish()?;
    }
    let mse = reconstructions.error().mean();
    if !mse.is_finite() {
        return Err(CliError::SquaredError(mse));
    }
    let statistics = reconstructions.statistics();
    let num_bits = config.quantizer.num_bits;
    let text = format!(
        "test PSNR        {:.2} dB, decoded from packed bits alone\n\
         images           {} of {} x {} pixels\n\
         bits an image    {} ({num_bits} a token)\n\
         codes used       {}\n\
         perplexity       {:.1}\n\
         bit entropy      {:.3} of 1\n\
         bit correlation  {:.3}",
        psnr_db(mse),
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
    );
    report(
        args.codes.as_deref().is_some_and(is_stdout),
        format_args!("{text}"),
    )
}
