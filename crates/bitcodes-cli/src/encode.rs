//! `bitcodes encode`.

use std::path::{Path, PathBuf};

use bitcodes_matrix::{Contents, Format, MatrixReader, MatrixWriter};
use burn::tensor::backend::Backend;
use clap::Args;

use crate::backend::{Compute, on_backend};
use crate::engine::Engine;
use crate::error::CliError;
use crate::fingerprint::fingerprint;
use crate::finite::{BadElement, Limit, NonFinite, replace_non_finite};
use crate::model::ModelArgs;
use crate::output::{Output, is_stdout, unwritten};
use crate::rows::Rows;
use crate::stream::stream;
use crate::{report, signals};

/// Keys of the metadata of codes in safetensors.
pub(crate) mod keys {
    /// Number of bits of a code, in decimal.
    pub const NUM_BITS: &str = "num_bits";
    /// Order of the bits in a byte: `little`, as NumPy calls it.
    pub const BIT_ORDER: &str = "bit_order";
    /// See [`fingerprint`](crate::fingerprint::fingerprint).
    pub const FINGERPRINT: &str = "fingerprint";
}

/// Encode vectors to codes.
#[derive(Debug, Args)]
pub(crate) struct EncodeArgs {
    #[command(flatten)]
    model: ModelArgs,

    /// Vectors to encode, [n, features]: a .npy file of float32, float16 or float64, safetensors of F32, F16, BF16
    /// or F64, or .fvecs; `-` is standard input, for a .npy file
    #[arg(long, value_name = "FILE")]
    input: PathBuf,

    /// Name of the tensor, in safetensors with several [default: vectors]
    #[arg(long, value_name = "NAME")]
    tensor: Option<String>,

    /// File to write the codes to, uint8 [n, ceil(num_bits / 8)], packed as by numpy.packbits(bits, axis=1,
    /// bitorder="little"): .npy or .safetensors, which keeps a fingerprint of the codebook; `-` is standard output,
    /// for a .npy file
    #[arg(long, value_name = "FILE")]
    output: PathBuf,

    /// Encode these rows only, counted from 0, the end not included: 0..1000, 1000.. or ..1000. The codes of
    /// consecutive parts, one after the other, are those of the whole
    #[arg(long, value_name = "A..B")]
    rows: Option<Rows>,

    /// What to do with elements that are NaN or infinite
    #[arg(long, value_enum, default_value_t = NonFinite::Error)]
    nan: NonFinite,

    #[command(flatten)]
    compute: Compute,
}

pub(crate) fn run(args: &EncodeArgs) -> Result<(), CliError> {
    args.compute.check()?;
    signals::end_without_unfinished_files()?;
    let output = Output::open(&args.output, "--output", &args.model.inputs(&args.input))?;
    let contents = Contents::Codes { bytes: 1 };
    let format = output_format(&args.output, contents)?;
    on_backend!(args.compute, B, device => run_on::<B>(args, format, output, device))
}

fn run_on<B: Backend>(
    args: &EncodeArgs,
    format: Format,
    output: Output,
    device: B::Device,
) -> Result<(), CliError> {
    let quantizer = args.model.load::<B>(&device)?;
    let (features, num_bits) = (quantizer.features(), quantizer.num_bits());
    let contents = Contents::Vectors { features };
    let mut reader = MatrixReader::open(&args.input, contents, args.tensor.as_deref())?;
    let rows = among(args.rows, reader.rows(), &args.input)?;
    reader.skip(rows.start)?;

    let bytes = num_bits.div_ceil(8);
    let fingerprint = fingerprint(&quantizer);
    let texts = [
        (keys::NUM_BITS, &*num_bits.to_string()),
        (keys::BIT_ORDER, "little"),
        (keys::FINGERPRINT, &fingerprint),
    ];
    let contents = Contents::Codes { bytes };
    let writer = MatrixWriter::begin(output, format, contents, rows.len(), &texts);
    let mut writer = writer.map_err(unwritten(&args.output))?;

    let limit = Limit::of(&quantizer);
    let mut engine = Engine::new(quantizer, &args.compute, device)?;
    let mut replaced = 0;
    let end = rows.end;
    stream(
        rows.clone(),
        features,
        |here, x: &mut Vec<f32>| {
            reader.read_vectors(here.len(), x)?;
            if args.nan == NonFinite::Zero {
                replaced += replace_non_finite(x);
            }
            match limit.bad_elements(here.start, features, x) {
                None => Ok(()),
                Some((first, count)) => {
                    let more = bad_elements_in_the_rest(
                        &mut reader,
                        here.end..end,
                        limit,
                        features,
                        args.nan,
                        x,
                    )?;
                    Err(refused(args, limit, first, count + more))
                }
            }
        },
        |_, x, codes: &mut Vec<u8>| Ok(engine.encode(x, features, codes)?),
        |codes| Ok(writer.write_codes(codes).map_err(unwritten(&args.output))?),
    )?;
    writer.into_inner().finish()?;
    let note = match replaced {
        0 => String::new(),
        1 => "; 1 element was NaN or infinite and was taken as 0".into(),
        n => format!("; {n} elements were NaN or infinite and were taken as 0"),
    };
    report(
        is_stdout(&args.output),
        format_args!(
            "{} vectors of {features} features to codes of {num_bits} bits: {}{note}",
            rows.len(),
            args.output.display()
        ),
    )
}

/// Counts the elements that cannot be encoded, so that the error says whether there are few or many.
fn bad_elements_in_the_rest(
    reader: &mut MatrixReader,
    mut rows: std::ops::Range<usize>,
    limit: Limit,
    features: usize,
    nan: NonFinite,
    x: &mut Vec<f32>,
) -> Result<usize, CliError> {
    let block = (x.len() / features).max(1);
    let mut count = 0;
    while !rows.is_empty() {
        let here = block.min(rows.len());
        reader.read_vectors(here, x)?;
        if nan == NonFinite::Zero {
            replace_non_finite(x);
        }
        count += limit.bad_elements(0, features, x).map_or(0, |(_, n)| n);
        rows.start += here;
    }
    Ok(count)
}

fn refused(args: &EncodeArgs, limit: Limit, first: BadElement, count: usize) -> CliError {
    CliError::Element {
        path: args.input.clone(),
        first,
        count,
        limit: limit.value(),
    }
}

/// Returns the format of a file to be written, by its suffix.
pub(crate) fn output_format(output: &Path, contents: Contents) -> Result<Format, CliError> {
    if is_stdout(output) {
        return Ok(Format::Npy);
    }
    Format::of_path(output, contents).map_err(|found| CliError::Suffix {
        path: output.to_path_buf(),
        found,
        wanted: match contents {
            Contents::Codes { .. } => ".npy or .safetensors",
            Contents::Vectors { .. } => ".npy, .safetensors or .fvecs",
        },
    })
}

/// Returns the rows to read of a file.
pub(crate) fn among(
    wanted: Option<Rows>,
    rows: usize,
    input: &Path,
) -> Result<std::ops::Range<usize>, CliError> {
    let Some(wanted) = wanted else {
        return Ok(0..rows);
    };
    wanted.among(rows).map_err(|wanted| CliError::Rows {
        path: input.to_path_buf(),
        wanted,
        found: rows,
    })
}
