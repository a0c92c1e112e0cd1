//! `bitcodes inspect`.

use std::fs;
use std::path::{Path, PathBuf};

use bitcodes_core::{BitStatistics, PackedCodes};
use bitcodes_format::{File, QuantizerParts};
use bitcodes_matrix::{ArrayDescription, Contents, Description, MatrixReader, describe};
use bitcodes_train::data::{data_files, describe_idx};
use bitcodes_train::{RunConfig, files, read_run_config, whole_epoch};
use clap::Args;

use crate::encode::keys;
use crate::error::CliError;
use crate::report;

/// Say what a file or folder is, with its shapes and settings, and how codes are used.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A file of vectors, codes, images or a quantizer, the folder of a run, or a folder of images
    #[arg(value_name = "FILE|DIR")]
    path: PathBuf,
}

pub(crate) fn run(args: &InspectArgs) -> Result<(), CliError> {
    let path = &args.path;
    let text = match path.is_dir() {
        true => folder(path)?,
        false => file(path)?,
    };
    report(false, format_args!("{}", text.trim_end()))
}

/// Adds a line to a table of two columns.
///
/// Names and values may come from anywhere, so control characters are escaped.
fn line(text: &mut String, key: &str, value: impl std::fmt::Display) {
    for character in format!("{key:16} {value}").chars() {
        match character.is_control() {
            true => text.extend(character.escape_default()),
            false => text.push(character),
        }
    }
    text.push('\n');
}

fn folder(path: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    let images: Vec<PathBuf> = data_files(path)
        .into_iter()
        .filter(|file| file.is_file())
        .collect();
    if !images.is_empty() {
        line(&mut text, "folder of", "images");
        for file in images {
            let name = file
                .strip_prefix(path)
                .unwrap_or(&file)
                .display()
                .to_string();
            line(&mut text, &name, format_args!("{:?}", describe_idx(&file)?));
        }
        return Ok(text);
    }
    let RunConfig { training, model } = read_run_config(path)?;
    let epochs = training.epochs;
    let state = match (path.join(files::MODEL).exists(), whole_epoch(path)?.epoch) {
        (true, _) => format!("trained for {epochs} epochs"),
        (false, done) => format!("not finished, {done} of {epochs} epochs are whole"),
    };
    line(&mut text, "folder of", "a run");
    line(&mut text, "state", state);
    line(
        &mut text,
        "images",
        format_args!("{} x {} pixels", model.height, model.width),
    );
    line(
        &mut text,
        "bits",
        format_args!(
            "{} per token, {} per image",
            model.quantizer.num_bits,
            model.bits_per_image()
        ),
    );
    line(
        &mut text,
        "quantizer",
        serde_json::to_string(&model.quantizer).unwrap_or_default(),
    );
    line(
        &mut text,
        "training",
        serde_json::to_string(&training).unwrap_or_default(),
    );
    if let Ok(summary) = fs::read_to_string(path.join(files::SUMMARY)) {
        let words: Vec<&str> = summary.split_whitespace().collect();
        line(&mut text, "summary", words.join(" "));
    }
    Ok(text)
}

fn file(path: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    if let Ok(shape) = describe_idx(path) {
        line(&mut text, "file of", "images or labels, IDX");
        line(&mut text, "shape", format_args!("{shape:?} of uint8"));
        return Ok(text);
    }
    let Some(description) = describe(path)? else {
        return model(path);
    };
    let has_codebook = |array: &ArrayDescription| {
        array
            .name
            .as_ref()
            .is_some_and(|name| name.ends_with("codebook"))
    };
    if description.arrays.iter().any(has_codebook) {
        return model(path);
    }
    line(
        &mut text,
        "file of",
        format_args!("arrays, {}", description.format),
    );
    for array in &description.arrays {
        let order = if array.by_columns { ", by columns" } else { "" };
        let name = array.name.as_deref().unwrap_or("array");
        line(
            &mut text,
            name,
            format_args!("{:?} of {}{order}", array.shape, array.type_name),
        );
    }
    for (key, value) in &description.texts {
        line(&mut text, key, value);
    }
    if let Some((array, bytes)) = codes_of(&description) {
        usage(&mut text, path, &description, array, bytes)?;
    }
    Ok(text)
}

/// Returns the matrix of bytes of a file, with the number of bytes of a row, if there is one alone.
fn codes_of(description: &Description) -> Option<(&ArrayDescription, usize)> {
    let [array] = &description.arrays[..] else {
        return None;
    };
    let is_u8 = ["U8", "|u1"].contains(&&*array.type_name);
    match array.shape[..] {
        [rows, bytes] if is_u8 && rows > 0 && bytes > 0 => {
            Some((array, usize::try_from(bytes).ok()?))
        }
        _ => None,
    }
}

/// Describes how codes are used, from all rows of their file.
fn usage(
    text: &mut String,
    path: &Path,
    description: &Description,
    array: &ArrayDescription,
    bytes: usize,
) -> Result<(), CliError> {
    // The statistics of pairs of bits take four bytes for each pair.
    const MAX_BITS: usize = 4096;
    if 8 * bytes > MAX_BITS {
        return Ok(());
    }
    let said = description
        .texts
        .get(keys::NUM_BITS)
        .and_then(|bits| bits.parse().ok());
    let num_bits = said
        .filter(|bits: &usize| bits.div_ceil(8) == bytes)
        .unwrap_or(8 * bytes);
    let mut reader = MatrixReader::open(path, Contents::Codes { bytes }, array.name.as_deref())?;
    let mut statistics = BitStatistics::new(num_bits);
    let mut left = reader.rows();
    let (block, mut codes) = ((1 << 20) / bytes + 1, Vec::new());
    while left > 0 {
        let rows = block.min(left);
        reader.read_codes(rows, &mut codes)?;
        let packed = PackedCodes::from_bytes([rows], num_bits, std::mem::take(&mut codes))?;
        statistics.update(&packed)?;
        codes = packed.into_bytes();
        left -= rows;
    }
    let used = statistics.codes_used();
    let about = if used.exact { "" } else { "about " };
    line(text, "as codes of", format_args!("{num_bits} bits"));
    line(text, "codes used", format_args!("{about}{:.0}", used.value));
    line(
        text,
        "perplexity",
        format_args!("{:.1}", statistics.perplexity().value),
    );
    line(
        text,
        "bit entropy",
        format_args!("{:.3} of 1", statistics.mean_entropy()),
    );
    line(
        text,
        "bit correlation",
        format_args!("{:.3}", statistics.mean_correlation()),
    );
    Ok(())
}

/// Describes a file of a quantizer, or of a model with one.
fn model(path: &Path) -> Result<String, CliError> {
    let of_file = |source| CliError::Format {
        path: path.to_path_buf(),
        source,
    };
    let bytes = fs::read(path).map_err(|source| CliError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    let file = File::from_bytes(&bytes).map_err(of_file)?;
    let mut text = String::new();
    match file.quantizer(None) {
        Ok(parts) => quantizer(&mut text, &parts),
        // With no codebook, or several, the list of tensors says more.
        Err(error) => {
            line(&mut text, "file of", "tensors");
            line(&mut text, "no quantizer", error);
        }
    }
    for name in file.names() {
        if let Some(info) = file.info(name) {
            line(
                &mut text,
                name,
                format_args!("{:?} of {}", info.shape, info.element_type),
            );
        }
    }
    Ok(text)
}

fn quantizer(text: &mut String, parts: &QuantizerParts) {
    line(text, "file of", "a quantizer");
    if !parts.prefix.is_empty() {
        line(text, "prefix", parts.prefix.trim_end_matches('.'));
    }
    line(text, "features", parts.features);
    line(text, "bits", parts.num_bits);
    let method = parts.method.map_or("independent", |method| method.name());
    line(text, "method", method);
    line(
        text,
        "normalizes",
        if parts.normalization.is_some() {
            "yes"
        } else {
            "no"
        },
    );
    line(text, "step", parts.step);
    if let Some(config) = &parts.config {
        line(text, "configuration", config);
    }
}
