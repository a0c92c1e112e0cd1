//! A record beside the one that the module would write: the same tensors, and no others.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use burn::module::ParamId;
use rmpv::Value;

use super::RecordError;

/// A tensor as a record holds it.
pub(super) struct Stored<'a> {
    pub shape: Vec<u64>,
    dtype: &'a str,
    bytes: &'a [u8],
}

impl<'a> Stored<'a> {
    pub fn of(value: &'a Value) -> Option<Self> {
        let dims = get(value, "shape")?.as_array()?;
        Some(Self {
            shape: dims.iter().map(Value::as_u64).collect::<Option<_>>()?,
            dtype: get(value, "dtype")?.as_str()?,
            bytes: get(value, "bytes")?.as_slice()?,
        })
    }

    pub fn check_bytes(&self, path: impl FnOnce() -> String) -> Result<(), RecordError> {
        let size = match self.dtype {
            "F64" | "I64" | "U64" => 8,
            "F32" | "I32" | "U32" | "Flex32" => 4,
            "F16" | "BF16" | "I16" | "U16" => 2,
            _ => 1,
        };
        let wanted = self
            .shape
            .iter()
            .fold(size, |bytes: u64, &dim| bytes.saturating_mul(dim));
        match self.bytes.len() {
            found if found as u64 == wanted => Ok(()),
            found => Err(RecordError::ByteCount {
                path: path(),
                found,
                wanted,
            }),
        }
    }
}

/// A place in a record; written out only where something is wrong there.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    Top,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    /// As a module's user knows it: `quantizer.codebook`, without what Burn puts below.
    fn name(&self) -> String {
        match self {
            Self::Top => String::new(),
            Self::Key(above, "param" | "id") => above.name(),
            Self::Key(above, key) => above.below(key.chars().take(100).collect()),
            Self::Index(above, index) => above.below(index.to_string()),
        }
    }

    fn below(&self, key: String) -> String {
        match self {
            Self::Top => key,
            _ => format!("{}.{key}", self.name()),
        }
    }
}

/// Checks that `found` has the tensors of `wanted` and no others.
pub(super) fn compare(path: &Path, found: &Value, wanted: &Value) -> Result<(), RecordError> {
    if let Some(wanted) = Stored::of(wanted) {
        return match Stored::of(found) {
            Some(found) => compare_tensors(path, &found, &wanted),
            None => Err(missing(path, wanted.shape)),
        };
    }
    match wanted {
        Value::Map(entries) => {
            for (key, wanted) in entries {
                let key = key.as_str().unwrap_or_default();
                let path = Path::Key(path, key);
                match get(found, key) {
                    Some(found) if key == "id" => check_id(&path, found)?,
                    Some(found) => compare(&path, found, wanted)?,
                    // What is no tensor may have come later, and has a default.
                    None => first_tensor(&path, wanted, &mut |path, stored| {
                        Err(missing(path, stored.shape))
                    })?,
                }
            }
            let others = found.as_map().into_iter().flatten();
            for (key, value) in others {
                let key = key.as_str().unwrap_or_default();
                if get(wanted, key).is_none() {
                    first_tensor(&Path::Key(path, key), value, &mut |path, stored| {
                        Err(RecordError::Unexpected {
                            path: path.name(),
                            shape: stored.shape,
                        })
                    })?;
                }
            }
            Ok(())
        }
        Value::Array(wanted) => {
            let found = found.as_array().map_or(&[][..], Vec::as_slice);
            if found.len() != wanted.len() {
                return Err(RecordError::Parts {
                    path: path.name(),
                    found: found.len(),
                    wanted: wanted.len(),
                });
            }
            let mut parts = found.iter().zip(wanted).enumerate();
            parts.try_for_each(|(index, (found, wanted))| {
                compare(&Path::Index(path, index), found, wanted)
            })
        }
        _ => Ok(()),
    }
}

fn compare_tensors(path: &Path, found: &Stored, wanted: &Stored) -> Result<(), RecordError> {
    if found.shape != wanted.shape {
        return Err(RecordError::Shape {
            path: path.name(),
            found: found.shape.clone(),
            wanted: wanted.shape.clone(),
        });
    }
    if found.dtype != wanted.dtype {
        return Err(RecordError::Precision {
            path: path.name(),
            found: found.dtype.into(),
            wanted: wanted.dtype.into(),
        });
    }
    found.check_bytes(|| path.name())
}

/// Burn panics on an id that it cannot read.
fn check_id(path: &Path, id: &Value) -> Result<(), RecordError> {
    // Ids of more than 13 characters (8 bytes) are those of an earlier Burn, and longer ones none.
    let readable = |id: &&str| id.len() <= 13 && ParamId::try_deserialize(id).is_some();
    match id.as_str().filter(readable) {
        Some(_) => Ok(()),
        None => Err(RecordError::Id {
            path: path.name(),
            found: id
                .as_str()
                .map_or("no text".into(), |id| id.chars().take(100).collect()),
        }),
    }
}

/// What is to be said of the first tensor of a part of a record.
fn first_tensor(
    path: &Path,
    value: &Value,
    say: &mut impl FnMut(&Path, Stored) -> Result<(), RecordError>,
) -> Result<(), RecordError> {
    if let Some(stored) = Stored::of(value) {
        return say(path, stored);
    }
    for (key, value) in value.as_map().into_iter().flatten() {
        let key = key.as_str().unwrap_or_default();
        first_tensor(&Path::Key(path, key), value, say)?;
    }
    for (index, value) in value.as_array().into_iter().flatten().enumerate() {
        first_tensor(&Path::Index(path, index), value, say)?;
    }
    Ok(())
}

fn missing(path: &Path, shape: Vec<u64>) -> RecordError {
    RecordError::Missing {
        path: path.name(),
        shape,
    }
}

pub(super) fn get<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    let entries = value.as_map()?;
    entries
        .iter()
        .find_map(|(name, value)| (name.as_str() == Some(key)).then_some(value))
}
