//! `bitcodes encode` and `bitcodes decode`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bitcodes_core::PackedCodes;
use bitcodes_train::{Unwritten, npy, write_file};
use burn::tensor::{Tensor, TensorData, backend::Backend};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::backend::{Compute, on_backend};
use crate::error::CliError;
use crate::model::ModelArgs;
use crate::npy::read;

/// Number of vectors that are computed together.
const BLOCK: usize = 1 << 15;

/// Encode vectors to codes.
#[derive(Debug, Args)]
pub(crate) struct EncodeArgs {
    #[command(flatten)]
    model: ModelArgs,

    /// Vectors to encode: a .npy file of float32 [n, features]
    #[arg(long, value_name = "FILE")]
    input: PathBuf,

    /// File to write the codes to: a .npy file of uint8 [n, ceil(num_bits / 8)], packed as by
    /// numpy.packbits(bits, axis=1, bitorder="little")
    #[arg(long, value_name = "FILE")]
    output: PathBuf,

    #[command(flatten)]
    compute: Compute,
}

/// Decode codes to vectors.
#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    #[command(flatten)]
    model: ModelArgs,

    /// Codes to decode: a .npy file of uint8 [n, ceil(num_bits / 8)], as `encode` writes it
    #[arg(long, value_name = "FILE")]
    input: PathBuf,

    /// File to write the vectors to: a .npy file of float32 [n, features], in the units of the
    /// vectors that were encoded
    #[arg(long, value_name = "FILE")]
    output: PathBuf,

    /// Write the vectors in normalized units, as a model's next layer sees them
    #[arg(long)]
    normalized: bool,

    #[command(flatten)]
    compute: Compute,
}

pub(crate) fn encode(args: &EncodeArgs) -> Result<(), CliError> {
    check(&args.output, &args.model, &args.input, &args.compute)?;
    on_backend!(args.compute, B, device => encode_on::<B>(args, device))
}

fn encode_on<B: Backend>(args: &EncodeArgs, device: B::Device) -> Result<(), CliError> {
    let quantizer = args.model.load::<B>(&device)?;
    let (features, num_bits) = (quantizer.features(), quantizer.num_bits());
    let (vectors, x) = read::<f32>(&args.input, features)?;
    let mut bytes = Vec::with_capacity(vectors * num_bits.div_ceil(8));
    let progress = progress(vectors);
    for block in x.chunks(BLOCK * features) {
        let block_vectors = block.len() / features;
        let block = TensorData::new(block.to_vec(), [block_vectors, features]);
        let codes = quantizer.encode_packed(Tensor::<B, 2>::from_data(block, &device))?;
        bytes.extend_from_slice(codes.as_bytes());
        progress.inc(block_vectors as u64);
    }
    progress.finish_and_clear();
    let shape = [vectors as u64, num_bits.div_ceil(8) as u64];
    let file = npy(&shape, &bytes).map_err(unwritten(&args.output))?;
    write_file(&args.output, &file)?;
    say(format_args!(
        "{vectors} vectors of {features} features to codes of {num_bits} bits: {}",
        args.output.display()
    ))
}

pub(crate) fn decode(args: &DecodeArgs) -> Result<(), CliError> {
    check(&args.output, &args.model, &args.input, &args.compute)?;
    on_backend!(args.compute, B, device => decode_on::<B>(args, device))
}

fn decode_on<B: Backend>(args: &DecodeArgs, device: B::Device) -> Result<(), CliError> {
    let quantizer = args.model.load::<B>(&device)?;
    let (features, num_bits) = (quantizer.features(), quantizer.num_bits());
    let (vectors, bytes) = read::<u8>(&args.input, num_bits.div_ceil(8))?;
    let codes = PackedCodes::from_bytes([vectors], num_bits, bytes);
    let codes = codes.map_err(|source| CliError::Codes {
        path: args.input.clone(),
        source,
    })?;
    let mut y: Vec<f32> = Vec::with_capacity(vectors * features);
    let progress = progress(vectors);
    for start in (0..vectors).step_by(BLOCK) {
        let block = codes.slice(start..vectors.min(start + BLOCK));
        let decoded: Tensor<B, 2> = match args.normalized {
            true => quantizer.decode_packed(&block),
            false => quantizer.reconstruct_packed(&block),
        };
        y.extend(decoded.into_data().iter::<f32>());
        progress.inc(block.len() as u64);
    }
    progress.finish_and_clear();
    let file = npy(&[vectors as u64, features as u64], &y).map_err(unwritten(&args.output))?;
    write_file(&args.output, &file)?;
    say(format_args!(
        "{vectors} codes of {num_bits} bits to vectors of {features} features: {}",
        args.output.display()
    ))
}

/// Checks the arguments before anything is computed.
fn check(
    output: &Path,
    model: &ModelArgs,
    input: &Path,
    compute: &Compute,
) -> Result<(), CliError> {
    let model = model.files();
    let mut read = vec![("--input", input)];
    read.extend(model.iter().map(|file| ("--model", file.as_path())));
    check_output(output, "--output", &read)?;
    compute.check()
}

/// Refuses an output that is one of the files to read.
pub(crate) fn check_output(
    output: &Path,
    name: &'static str,
    read: &[(&'static str, &Path)],
) -> Result<(), CliError> {
    let Ok(real) = fs::canonicalize(output) else {
        return Ok(());
    };
    for &(option, read) in read {
        if fs::canonicalize(read).is_ok_and(|read| read == real) {
            let path = output.to_path_buf();
            return Err(CliError::OutputIsInput { name, path, option });
        }
    }
    Ok(())
}

pub(crate) fn unwritten(path: &Path) -> impl FnOnce(io::Error) -> Unwritten {
    let what = path.display().to_string();
    |source| Unwritten { what, source }
}

/// Makes a progress bar on standard error. It is hidden if standard error is not a terminal.
fn progress(vectors: usize) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} vectors, {eta} left");
    ProgressBar::new(vectors as u64).with_style(style.expect("the template is valid"))
}

fn say(line: std::fmt::Arguments) -> Result<(), CliError> {
    Ok(writeln!(io::stdout(), "{line}")?)
}
