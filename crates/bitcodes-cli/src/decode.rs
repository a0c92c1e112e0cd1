//! `bitcodes decode`.

use std::path::PathBuf;

use bitcodes_core::{CodesError, PackedCodes};
use bitcodes_matrix::{Contents, Format, MatrixReader, MatrixWriter};
use burn::tensor::backend::Backend;
use clap::Args;

use crate::backend::{Compute, on_backend};
use crate::encode::{among, keys, output_format};
use crate::engine::Engine;
use crate::error::CliError;
use crate::fingerprint::fingerprint;
use crate::model::ModelArgs;
use crate::output::{Output, is_stdout, unwritten};
use crate::rows::Rows;
use crate::stream::stream;
use crate::{report, signals};

/// Decode codes to vectors.
#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    #[command(flatten)]
    model: ModelArgs,

    /// Codes to decode, uint8 [n, ceil(num_bits / 8)], as `encode` writes them: a .npy file or safetensors, whose
    /// fingerprint has to be the model's; `-` is standard input
    #[arg(long, value_name = "FILE")]
    input: PathBuf,

    /// Name of the tensor, in safetensors with several [default: codes]
    #[arg(long, value_name = "NAME")]
    tensor: Option<String>,

    /// File to write the vectors to, float32 [n, features], in the units of the vectors that were encoded: .npy,
    /// .safetensors or .fvecs; `-` is standard output, for a .npy file
    #[arg(long, value_name = "FILE")]
    output: PathBuf,

    /// Write the vectors in normalized units, as a model's next layer sees them
    #[arg(long)]
    normalized: bool,

    /// Decode these rows only, counted from 0, the end not included: 0..1000, 1000.. or ..1000
    #[arg(long, value_name = "A..B")]
    rows: Option<Rows>,

    #[command(flatten)]
    compute: Compute,
}

pub(crate) fn run(args: &DecodeArgs) -> Result<(), CliError> {
    args.compute.check()?;
    signals::end_without_unfinished_files()?;
    let output = Output::open(&args.output, "--output", &args.model.inputs(&args.input))?;
    let contents = Contents::Vectors { features: 1 };
    let format = output_format(&args.output, contents)?;
    on_backend!(args.compute, B, device => run_on::<B>(args, format, output, device))
}

fn run_on<B: Backend>(
    args: &DecodeArgs,
    format: Format,
    output: Output,
    device: B::Device,
) -> Result<(), CliError> {
    let quantizer = args.model.load::<B>(&device)?;
    let (features, num_bits) = (quantizer.features(), quantizer.num_bits());
    let bytes = num_bits.div_ceil(8);
    let contents = Contents::Codes { bytes };
    let mut reader = MatrixReader::open(&args.input, contents, args.tensor.as_deref())?;
    check_texts(args, &reader, num_bits, &fingerprint(&quantizer))?;
    let rows = among(args.rows, reader.rows(), &args.input)?;
    reader.skip(rows.start)?;

    let contents = Contents::Vectors { features };
    let writer = MatrixWriter::begin(output, format, contents, rows.len(), &[]);
    let mut writer = writer.map_err(unwritten(&args.output))?;
    let engine = Engine::new(quantizer, &args.compute, device)?;
    stream(
        rows.clone(),
        features,
        |here, codes: &mut Vec<u8>| Ok(reader.read_codes(here.len(), codes)?),
        |here, codes, y: &mut Vec<f32>| {
            let packed = PackedCodes::from_bytes([here.len()], num_bits, std::mem::take(codes));
            let packed = packed.map_err(|error| not_codes(args, here.start, error))?;
            engine.decode(&packed, args.normalized, y);
            *codes = packed.into_bytes();
            Ok(())
        },
        |y| Ok(writer.write_vectors(y).map_err(unwritten(&args.output))?),
    )?;
    writer.into_inner().finish()?;
    report(
        is_stdout(&args.output),
        format_args!(
            "{} codes of {num_bits} bits to vectors of {features} features: {}",
            rows.len(),
            args.output.display()
        ),
    )
}

/// Adds the file to an error, and the number of the block's first row to that of a row.
fn not_codes(args: &DecodeArgs, first_row: usize, error: CodesError) -> CliError {
    let source = match error {
        CodesError::Layout { row, source } => CodesError::Layout {
            row: first_row + row,
            source,
        },
        other => other,
    };
    CliError::Codes {
        path: args.input.clone(),
        source,
    }
}

/// Compares what a file says of its codes with the quantizer.
fn check_texts(
    args: &DecodeArgs,
    codes: &MatrixReader,
    num_bits: usize,
    fingerprint: &str,
) -> Result<(), CliError> {
    let num_bits = num_bits.to_string();
    for (key, wanted) in [
        (keys::NUM_BITS, &*num_bits),
        (keys::BIT_ORDER, "little"),
        (keys::FINGERPRINT, fingerprint),
    ] {
        if let Some(found) = codes.text(key).filter(|found| *found != wanted) {
            return Err(CliError::OtherCodes {
                path: args.input.clone(),
                key,
                found: found.into(),
                wanted: wanted.into(),
            });
        }
    }
    Ok(())
}
