//! PyTorch files: state dicts as `torch.save` writes them.
//!
//! A file is a zip archive. It holds a pickle, which describes the tensors, and one file for each
//! of their storages ([format](https://docs.pytorch.org/docs/stable/notes/serialization.html)). The
//! strides of each tensor, the length of its storage and the checksum of each file are checked: a
//! damaged file is an error, never a row of zeros.

mod pickle;
#[cfg(test)]
mod tests;
mod torch_objects;
mod value;

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use zip::ZipArchive;

use self::value::{Id, StridedTensor, Value};
use crate::container::{Container, Settings};
use crate::{ElementType, FloatType, FormatError, TensorInfo};

/// A PyTorch file and the tensors of its state dict.
#[derive(Debug)]
pub(crate) struct StateDict<'a> {
    bytes: &'a [u8],
    /// The folder of the archive that holds all its files.
    root: String,
    tensors: BTreeMap<String, StridedTensor>,
}

impl<'a> StateDict<'a> {
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut archive = open(bytes)?;
        let names: Vec<String> = archive
            .file_names()
            .map(|name| name.map(Into::into))
            .collect::<Result<_, _>>()
            .map_err(|error| FormatError::Archive(error.to_string()))?;
        let Some(pickle) = names.iter().find(|name| is_pickle(name)) else {
            let found = &names[..names.len().min(8)];
            return Err(FormatError::Archive(format!(
                "no data.pkl, found {found:?}"
            )));
        };
        let root = pickle.trim_end_matches("data.pkl").to_string();
        let order = format!("{root}byteorder");
        if names.contains(&order) {
            let order = read_file(&mut archive, &order)?;
            if order != b"little" {
                return Err(FormatError::Archive(format!(
                    "byte order {:?}, expected little",
                    String::from_utf8_lossy(&order)
                )));
            }
        }
        let pickle = read_file(&mut archive, pickle)?;
        let (values, root_value) = pickle::read(&pickle)?;
        let mut found = Found {
            values: &values,
            visited: 0,
            bytes_left: pickle::memory_for(pickle.len()),
            tensors: BTreeMap::new(),
        };
        found.collect(root_value, String::new(), 0)?;
        if found.tensors.is_empty() {
            return Err(FormatError::NoTensors);
        }
        Ok(Self {
            bytes,
            root,
            tensors: found.tensors,
        })
    }
}

impl Container for StateDict<'_> {
    fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        let tensor = self.tensors.get(name)?;
        let element_type = match tensor.storage.kind.as_str() {
            "DoubleStorage" => ElementType::Float(FloatType::F64),
            "FloatStorage" => ElementType::Float(FloatType::F32),
            "HalfStorage" => ElementType::Float(FloatType::F16),
            "BFloat16Storage" => ElementType::Float(FloatType::Bf16),
            other => ElementType::Other(other.to_string()),
        };
        Some(TensorInfo {
            shape: tensor.shape.clone(),
            element_type,
        })
    }

    fn settings(&self, _: &str) -> Result<Settings, FormatError> {
        Ok(Settings::NONE)
    }

    fn bytes(&self, name: &str, float_type: FloatType) -> Result<Vec<u8>, FormatError> {
        let StridedTensor {
            storage,
            offset,
            shape,
            strides,
        } = &self.tensors[name];
        let mut archive = open(self.bytes)?;
        let file = format!("{}data/{}", self.root, storage.key);
        let bytes = read_file(&mut archive, &file)?;

        let size = float_type.size_bytes();
        let too_short = |wanted: String| FormatError::Storage {
            name: name.to_string(),
            found: bytes.len(),
            wanted,
        };
        if Some(bytes.len()) != storage.elements.checked_mul(size) {
            let wanted = format!("{} elements of {size} bytes", storage.elements);
            return Err(too_short(wanted));
        }
        if shape.contains(&0) {
            return Ok(Vec::new());
        }
        // The last element is the one that lies farthest in the storage.
        let last = shape
            .iter()
            .zip(strides)
            .try_fold(*offset, |last, (&dim, &stride)| {
                last.checked_add((dim - 1).checked_mul(stride)?)
            });
        let end = last.and_then(|last| last.checked_add(1)?.checked_mul(size));
        if end.is_none_or(|end| end > bytes.len()) {
            let end = end.map_or("more than can be addressed".into(), |end| {
                format!("{end} bytes")
            });
            let wanted = format!("{end} for shape {shape:?}, strides {strides:?}, offset {offset}");
            return Err(too_short(wanted));
        }
        // Strides of 0 could ask for more than the file holds.
        let count = shape.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim));
        let Some(count) = count.filter(|&count| count <= storage.elements) else {
            return Err(too_short(format!(
                "one element for each of shape {shape:?}"
            )));
        };
        let mut data = Vec::with_capacity(count * size);
        let mut index = vec![0; shape.len()];
        for _ in 0..count {
            let steps = index.iter().zip(strides);
            let at = offset + steps.map(|(&i, &stride)| i * stride).sum::<usize>();
            data.extend_from_slice(&bytes[at * size..][..size]);
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                if index[axis] < shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        Ok(data)
    }
}

/// The tensors of a pickle that were found so far, by the keys that lead to them.
struct Found<'a> {
    values: &'a [Value],
    visited: usize,
    /// Number of bytes that further tensors and their names may take.
    bytes_left: usize,
    tensors: BTreeMap<String, StridedTensor>,
}

impl Found<'_> {
    /// Limit on the depth: more than any state dict needs. A dict that holds itself has no end.
    const MAX_DEPTH: usize = 32;
    const MAX_VISITED: usize = 1 << 20;
    const MAX_NAME: usize = 1 << 10;

    fn collect(&mut self, id: Id, path: String, depth: usize) -> Result<(), FormatError> {
        self.visited += 1;
        if depth > Self::MAX_DEPTH
            || self.visited > Self::MAX_VISITED
            || path.len() > Self::MAX_NAME
        {
            return Err(FormatError::Archive(format!(
                "{} tensors and dicts, {depth} deep, a name of {} bytes, \
                 expected at most {}, {} and {}",
                self.visited,
                path.len(),
                Self::MAX_VISITED,
                Self::MAX_DEPTH,
                Self::MAX_NAME
            )));
        }
        match &self.values[id] {
            Value::Tensor(tensor) => {
                let left = self.bytes_left.checked_sub(path.len() + tensor.bytes());
                self.bytes_left = left.ok_or_else(|| {
                    let found = self.tensors.len();
                    let message = format!("the same tensors under more names than {found}");
                    FormatError::Archive(message)
                })?;
                self.tensors.insert(path, (**tensor).clone());
            }
            Value::Dict(entries) => {
                let below = |&&(_, value): &&(Id, Id)| {
                    matches!(self.values[value], Value::Tensor(_) | Value::Dict(_))
                };
                for &(key, value) in entries.iter().filter(below) {
                    let key = match &self.values[key] {
                        Value::Text(key) => key.clone(),
                        Value::Int(key) => key.to_string(),
                        _ => continue,
                    };
                    let path = match path.as_str() {
                        "" => key,
                        path => format!("{path}.{key}"),
                    };
                    self.collect(value, path, depth + 1)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn is_pickle(name: &str) -> bool {
    name == "data.pkl" || (name.ends_with("/data.pkl") && name.matches('/').count() == 1)
}

fn open(bytes: &[u8]) -> Result<ZipArchive<Cursor<&[u8]>>, FormatError> {
    ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| FormatError::Archive(format!("{error}, in {} bytes", bytes.len())))
}

/// Reads a whole file of the archive and compares its checksum.
fn read_file(archive: &mut ZipArchive<Cursor<&[u8]>>, name: &str) -> Result<Vec<u8>, FormatError> {
    let mut bytes = Vec::new();
    archive
        .by_name(name)
        .map_err(|error| error.to_string())
        .and_then(|mut file| {
            file.read_to_end(&mut bytes)
                .map_err(|error| error.to_string())
        })
        .map_err(|error| FormatError::Archive(format!("{name}: {error}")))?;
    Ok(bytes)
}
