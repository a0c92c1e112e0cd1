//! Records that Burn's `NamedMpkBytesRecorder<FullPrecisionSettings>` writes.
//!
//! A record is a map of MessagePack with `metadata` and `item`. The item of a module is a map of
//! its fields; a parameter is a map of `id` and `param`, and a tensor a map of `bytes`, `shape` and
//! `dtype`, the name of its type.

mod message_pack;

use std::collections::BTreeMap;

pub use self::message_pack::Value;
use crate::container::{Container, Settings};
use crate::error::shortened;
use crate::{ElementType, FloatType, FormatError, Method, TensorInfo};

/// The item of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Record<'a> {
    item: Value<'a>,
}

impl<'a> Record<'a> {
    /// Reads the whole record; bytes of tensors are borrowed.
    ///
    /// # Errors
    ///
    /// Returns [`FormatError::NotARecord`] if the bytes are not a whole record.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let value = message_pack::read(bytes).map_err(FormatError::NotARecord)?;
        let (mut has_metadata, mut item) = (false, None);
        if let Value::Map(entries) = value {
            for (key, value) in entries {
                match key {
                    "metadata" => has_metadata = true,
                    "item" => item = Some(value),
                    _ => {}
                }
            }
        }
        match item {
            Some(item) if has_metadata => Ok(Self { item }),
            _ => Err(FormatError::NotARecord(
                "metadata or item is not there".into(),
            )),
        }
    }

    /// Returns the fields of the module that was recorded.
    pub fn item(&self) -> &Value<'a> {
        &self.item
    }
}

/// A tensor as a record holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTensor<'a> {
    /// Length of each axis.
    pub shape: Vec<u64>,
    /// Name of the type of its elements, such as `F32`.
    pub type_name: &'a str,
    /// All elements, in row-major order.
    pub bytes: &'a [u8],
}

impl<'a> StoredTensor<'a> {
    /// Reads a value as a tensor; `None` for any other value, and for a tensor whose type has no
    /// plain name: Boolean and quantized ones.
    pub fn of(value: &Value<'a>) -> Option<Self> {
        let dims = value.get("shape")?.items()?;
        Some(Self {
            shape: dims.iter().map(Value::as_number).collect::<Option<_>>()?,
            type_name: value.get("dtype")?.as_text()?,
            bytes: value.get("bytes")?.as_bytes()?,
        })
    }

    /// Checks that the tensor has as many bytes as its shape needs.
    ///
    /// # Errors
    ///
    /// Returns [`FormatError::ByteCount`], with the path, if it has more or fewer bytes.
    pub fn check_bytes(&self, path: impl FnOnce() -> String) -> Result<(), FormatError> {
        let size = match self.type_name {
            "F64" | "I64" | "U64" => 8,
            "F32" | "I32" | "U32" | "Flex32" => 4,
            "F16" | "BF16" | "I16" | "U16" => 2,
            _ => 1,
        };
        let dims = self.shape.iter();
        let wanted = dims.fold(size, |bytes: u64, &dim| bytes.saturating_mul(dim));
        match self.bytes.len() {
            found if found as u64 == wanted => Ok(()),
            found => Err(FormatError::ByteCount {
                path: path(),
                found,
                wanted,
            }),
        }
    }
}

/// The tensors of a record, by the paths that lead to them.
#[derive(Debug)]
pub(crate) struct NamedTensors<'a> {
    record: Record<'a>,
    tensors: BTreeMap<String, StoredTensor<'a>>,
}

impl<'a> NamedTensors<'a> {
    pub fn of(record: Record<'a>) -> Result<Self, FormatError> {
        let mut tensors = BTreeMap::new();
        collect(&record.item, &mut String::new(), &mut tensors)?;
        Ok(Self { record, tensors })
    }
}

/// Limit on the bytes of a path: more than any parameter needs. Each tensor below has a copy.
const MAX_PATH: usize = 1 << 10;

fn collect<'a>(
    value: &Value<'a>,
    path: &mut String,
    tensors: &mut BTreeMap<String, StoredTensor<'a>>,
) -> Result<(), FormatError> {
    if path.len() > MAX_PATH {
        return Err(FormatError::NotARecord(format!(
            "a path of {} bytes, expected at most {MAX_PATH}",
            path.len()
        )));
    }
    let tensor = value.get("param").unwrap_or(value);
    if let Some(tensor) = StoredTensor::of(tensor) {
        tensors.insert(path.clone(), tensor);
        return Ok(());
    }
    let mut below = |step: &str, value: &Value<'a>| {
        let length = path.len();
        if length > 0 {
            path.push('.');
        }
        path.push_str(step);
        let result = collect(value, path, tensors);
        path.truncate(length);
        result
    };
    let has_parts = |value: &Value| matches!(value, Value::Map(_) | Value::List(_));
    for (key, value) in value.entries().unwrap_or_default() {
        if has_parts(value) {
            below(key, value)?;
        }
    }
    for (index, value) in value.items().unwrap_or_default().iter().enumerate() {
        if has_parts(value) {
            below(&index.to_string(), value)?;
        }
    }
    Ok(())
}

impl Container for NamedTensors<'_> {
    fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        let tensor = self.tensors.get(name)?;
        let element_type = match tensor.type_name {
            "F64" => ElementType::Float(FloatType::F64),
            "F32" => ElementType::Float(FloatType::F32),
            "F16" => ElementType::Float(FloatType::F16),
            "BF16" => ElementType::Float(FloatType::Bf16),
            other => ElementType::Other(shortened(other)),
        };
        // A dimension that cannot be addressed has more bytes than any file.
        let dims = tensor.shape.iter();
        let dims = dims.map(|&dim| usize::try_from(dim).unwrap_or(usize::MAX));
        Some(TensorInfo {
            shape: dims.collect(),
            element_type,
        })
    }

    fn bytes(&self, name: &str, _: FloatType) -> Result<Vec<u8>, FormatError> {
        let tensor = &self.tensors[name];
        tensor.check_bytes(|| name.into())?;
        Ok(tensor.bytes.to_vec())
    }

    fn settings(&self, prefix: &str) -> Result<Settings, FormatError> {
        let fields = Fields {
            module: match prefix.strip_suffix('.') {
                Some(path) => self.record.item.at(path.split('.')),
                None => Some(&self.record.item),
            },
            prefix,
        };
        let step = fields.get("step", "a number of steps", size)?;
        let normalizes = fields.get("normalization", "a map or nothing", |value| match value {
            Value::Map(_) => Some(true),
            Value::Nil => Some(false),
            _ => None,
        })?;
        Ok(Settings {
            part: Some("record"),
            codebook_shape: None,
            method: Some(fields.method()?),
            normalizes,
            step,
            config: None,
        })
    }

    fn is_single_precision(&self) -> bool {
        true
    }
}

/// Returns the method of a quantizer's record.
///
/// `prefix` is the beginning of the quantizer's names with its last dot, for errors.
///
/// # Errors
///
/// Returns [`FormatError::Field`] if the method or its beam is missing, or is not one that a
/// quantizer has.
pub fn method(quantizer: Option<&Value>, prefix: &str) -> Result<Method, FormatError> {
    let module = quantizer;
    Fields { module, prefix }.method()
}

fn size(value: &Value) -> Option<usize> {
    usize::try_from(value.as_number()?).ok()
}

/// The plain fields of a quantizer's record.
struct Fields<'r, 'a> {
    module: Option<&'r Value<'a>>,
    prefix: &'r str,
}

impl<'r, 'a> Fields<'r, 'a> {
    /// Returns the field at a path, if it has a value that is wanted.
    fn get<T>(
        &self,
        path: &str,
        wanted: &'static str,
        read: impl FnOnce(&'r Value<'a>) -> Option<T>,
    ) -> Result<T, FormatError> {
        let value = self.module.and_then(|module| module.at(path.split('.')));
        value.and_then(read).ok_or_else(|| FormatError::Field {
            path: format!("{}{path}", self.prefix),
            found: value.map_or("missing".into(), described),
            wanted,
        })
    }

    fn method(&self) -> Result<Method, FormatError> {
        let name = self.get("assignment.method", "independent or joint", Value::as_text)?;
        let beam = self.get(
            "assignment.beam",
            "a number or nothing",
            |value| match value {
                Value::Nil => Some(None),
                _ => size(value).map(Some),
            },
        )?;
        Method::of_file(name, beam).map_err(|wrong| FormatError::Field {
            path: format!("{}assignment.{}", self.prefix, wrong.field),
            found: wrong.found,
            wanted: wrong.wanted,
        })
    }
}

/// Describes a value that is not wanted in its place.
fn described(value: &Value) -> String {
    match value {
        Value::Nil => "nothing".into(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => format!("{:?}", shortened(text)),
        Value::Bytes(_) => "bytes".into(),
        Value::List(_) => "a list".into(),
        Value::Map(_) => "a map".into(),
        Value::Other => "another value".into(),
    }
}
