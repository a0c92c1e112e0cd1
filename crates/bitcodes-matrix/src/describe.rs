//! What a file of arrays holds, whatever that is.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use crate::error::{MatrixCause, MatrixError};
use crate::layout::Order;
use crate::source::Source;
use crate::{fvecs, npy, safetensors};

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The format: `.npy`, `safetensors` or `.fvecs`.
    pub format: &'static str,
    /// The arrays, by their places in the file.
    pub arrays: Vec<ArrayDescription>,
    /// The metadata of safetensors.
    pub texts: BTreeMap<String, String>,
}

/// An array of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrayDescription {
    /// Its name, in safetensors.
    pub name: Option<String>,
    /// The length of each axis.
    pub shape: Vec<u64>,
    /// The file's name of the type of elements.
    pub type_name: String,
    /// Whether the elements are in the order of columns.
    pub by_columns: bool,
}

/// Describes a file by its header; `None` if it is neither `.npy` nor safetensors, and cannot be `.fvecs`.
///
/// # Errors
///
/// Returns [`MatrixError`] if the file cannot be read, or if its header is broken.
pub fn describe(path: &Path) -> Result<Option<Description>, MatrixError> {
    of(path).map_err(|cause| MatrixError {
        file: path.display().to_string(),
        cause,
    })
}

fn of(path: &Path) -> Result<Option<Description>, MatrixCause> {
    let mut source = Source::open(path)?;
    let size = source
        .size()?
        .ok_or(MatrixCause::Pipe("a file to describe"))?;
    let mut first = Vec::new();
    source.by_ref().take(9).read_to_end(&mut first)?;
    if let Some(magic) = first
        .first_chunk()
        .filter(|_| first.starts_with(npy::MAGIC))
    {
        source.seek(magic.len() as u64)?;
        let header = npy::read_header(magic, &mut source)?;
        return Ok(Some(Description {
            format: ".npy",
            arrays: vec![ArrayDescription {
                name: None,
                shape: header.shape,
                type_name: header.type_name,
                by_columns: header.order == Order::Columns,
            }],
            texts: BTreeMap::new(),
        }));
    }
    if let Some(first) = first
        .first_chunk()
        .filter(|_| safetensors::is_beginning(&first))
    {
        let (header, _) = safetensors::read_header(first, &mut source)?;
        let tensors = header.offset_keys().into_iter().filter_map(|name| {
            let tensor = header.info(&name)?;
            Some(ArrayDescription {
                shape: tensor.shape.iter().map(|&size| size as u64).collect(),
                type_name: tensor.dtype.to_string(),
                by_columns: false,
                name: Some(name),
            })
        });
        return Ok(Some(Description {
            format: "safetensors",
            arrays: tensors.collect(),
            texts: header
                .metadata()
                .clone()
                .unwrap_or_default()
                .into_iter()
                .collect(),
        }));
    }
    Ok(fvecs::shape(&first, size).map(|shape| Description {
        format: ".fvecs",
        arrays: vec![ArrayDescription {
            name: None,
            shape: shape.to_vec(),
            type_name: "float32".into(),
            by_columns: false,
        }],
        texts: BTreeMap::new(),
    }))
}
