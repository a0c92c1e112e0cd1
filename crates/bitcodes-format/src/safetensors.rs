//! Safetensors, read and written.

use std::collections::BTreeMap;

use ::safetensors::tensor::{TensorInfo as Entry, TensorView};
use ::safetensors::{Dtype, SafeTensors, serialize};
use serde::Deserialize;

use crate::container::{Container, Settings};
use crate::error::shortened;
use crate::parts::{CENTER, CODEBOOK, LOG_SCALE, WrongField};
use crate::{ElementType, FloatType, FormatError, Method, NormalizationParts, TensorInfo, Values};

/// Keys of the metadata for the configuration, as JSON, and for the step.
const CONFIG: &str = "bitcodes";
const STEP: &str = "bitcodes.step";

/// The tensors of a safetensors file, and the entries of its metadata that are ours.
#[derive(Debug)]
pub(crate) struct Safetensors<'a> {
    tensors: BTreeMap<String, Entry>,
    /// The bytes of all tensors.
    data: &'a [u8],
    config: Option<String>,
    step: Option<String>,
}

/// The part of a configuration that says what the tensors of a file mean.
#[derive(Debug, Deserialize)]
struct Config {
    features: usize,
    num_bits: usize,
    normalize: bool,
    assignment: Assignment,
}

#[derive(Debug, Deserialize)]
struct Assignment {
    method: String,
    beam: Option<usize>,
}

impl<'a> Safetensors<'a> {
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, FormatError> {
        // This checks that each tensor has the bytes of its shape, and that together they fill the
        // file.
        let (length, header) = SafeTensors::read_metadata(bytes)
            .map_err(|error| FormatError::Safetensors(error.to_string(), bytes.len()))?;
        let tensors = header.tensors().into_iter();
        let metadata = header.metadata().as_ref();
        let entry = |key| metadata.and_then(|entries| entries.get(key)).cloned();
        Ok(Self {
            tensors: tensors.map(|(name, entry)| (name, entry.clone())).collect(),
            data: &bytes[size_of::<u64>() + length..],
            config: entry(CONFIG),
            step: entry(STEP),
        })
    }
}

impl Container for Safetensors<'_> {
    fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        let Entry { dtype, shape, .. } = self.tensors.get(name)?;
        let element_type = match dtype {
            Dtype::F64 => ElementType::Float(FloatType::F64),
            Dtype::F32 => ElementType::Float(FloatType::F32),
            Dtype::F16 => ElementType::Float(FloatType::F16),
            Dtype::BF16 => ElementType::Float(FloatType::Bf16),
            other => ElementType::Other(other.to_string()),
        };
        Some(TensorInfo {
            shape: shape.clone(),
            element_type,
        })
    }

    fn bytes(&self, name: &str, _: FloatType) -> Result<Vec<u8>, FormatError> {
        let (start, end) = self.tensors[name].data_offsets;
        Ok(self.data[start..end].to_vec())
    }

    fn settings(&self, _: &str) -> Result<Settings, FormatError> {
        let Some(json) = &self.config else {
            return Ok(Settings::NONE);
        };
        let wrong = |key, found: &str, reason| FormatError::Metadata {
            key,
            found: shortened(found),
            reason,
        };
        let wrong_config = |reason| wrong("configuration", json, reason);
        let config = serde_json::from_str(json);
        let Config {
            features,
            num_bits,
            normalize,
            assignment: Assignment { method, beam },
        } = config.map_err(|error| wrong_config(error.to_string()))?;
        let method = Method::of_file(&method, beam).map_err(
            |WrongField {
                 field,
                 found,
                 wanted,
             }| {
                wrong_config(format!("assignment.{field} is {found}, expected {wanted}"))
            },
        )?;
        let step = self.step.as_deref().unwrap_or("");
        Ok(Settings {
            part: Some("metadata"),
            codebook_shape: Some([num_bits.saturating_mul(2), features]),
            method: Some(method),
            normalizes: normalize,
            step: step
                .parse()
                .map_err(|_| wrong("step", step, "expected a whole number".into()))?,
            config: Some(json.clone()),
        })
    }
}

/// Returns the bytes of a safetensors file with one quantizer, which [`File`](crate::File) reads
/// again.
///
/// `config` is the configuration as JSON. It has to have the fields `features`, `num_bits`,
/// `normalize` and `assignment`, and to agree with the tensors; others are kept as they are. This
/// function does not check `config`: [`File::quantizer`](crate::File::quantizer) refuses a file whose
/// configuration lacks one of these fields, or does not agree with the tensors.
///
/// # Shapes
///
/// - codebook: `[2 * num_bits, features]`
/// - center: `[features]`
/// - log_scale: `[1]`
///
/// # Panics
///
/// Panics if `features` is 0, or if the number of values of the codebook is not a multiple of
/// `features`.
pub fn to_safetensors(
    codebook: &Values,
    features: usize,
    normalization: Option<&NormalizationParts>,
    config: &str,
    step: usize,
) -> Vec<u8> {
    let is_whole = features > 0 && codebook.len().is_multiple_of(features);
    assert!(
        is_whole,
        "to_safetensors: a codebook of {} values, expected whole vectors of {features} features",
        codebook.len()
    );
    let rows = codebook.len() / features;
    let mut tensors = vec![(CODEBOOK, view(vec![rows, features], codebook))];
    if let Some(NormalizationParts { center, log_scale }) = normalization {
        tensors.push((CENTER, view(vec![center.len()], center)));
        tensors.push((LOG_SCALE, view(vec![log_scale.len()], log_scale)));
    }
    let metadata = [
        ("format", "pt".to_string()),
        (CONFIG, config.to_string()),
        (STEP, step.to_string()),
    ];
    let metadata = metadata.map(|(key, value)| (key.to_string(), value));
    serialize(tensors, Some(metadata.into())).expect("tensors can be written to memory")
}

fn view(shape: Vec<usize>, values: &Values) -> TensorView<'_> {
    let dtype = match values.float_type() {
        FloatType::F16 => Dtype::F16,
        FloatType::Bf16 => Dtype::BF16,
        FloatType::F32 => Dtype::F32,
        FloatType::F64 => Dtype::F64,
    };
    TensorView::new(dtype, shape, values.bytes()).expect("the shape has as many elements")
}
