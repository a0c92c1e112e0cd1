//! Records that are checked before they are loaded.
//!
//! Burn's `load_record` takes what it is given: a codebook of other dimensions replaces the one
//! there is, other precision is converted in silence, and too few bytes reach code that does not
//! check them. [`load`] compares the record with the module first, tensor by tensor.
//!
//! The bytes are those of Burn's `NamedMpkBytesRecorder<FullPrecisionSettings>`: MessagePack, with
//! `metadata` and `item`, in which a tensor is a map of `bytes`, `shape` and `dtype`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use burn::module::{Module, Param, ParamId};
use burn::record::{FullPrecisionSettings, NamedMpkBytesRecorder, Recorder};
use burn::tensor::{Tensor, backend::Backend};
use rmpv::Value;

use crate::{Bitcodes, BitcodesConfig, BitcodesRecord, ConfigError};

/// A record that cannot be loaded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The bytes are no record.
    #[error("not a record: {0}, expected MessagePack with metadata and item, whole")]
    NotARecord(String),
    /// A tensor of the module is not in the record.
    #[error("the record has no tensor {path}, expected one of shape {shape:?}")]
    Missing {
        /// Where it belongs.
        path: String,
        /// Its shape in the module.
        shape: Vec<u64>,
    },
    /// A tensor of the record is not in the module.
    #[error("the record has a tensor {path} of shape {shape:?}, expected none")]
    Unexpected {
        /// Where it is.
        path: String,
        /// Its shape.
        shape: Vec<u64>,
    },
    /// A tensor has another shape than in the module.
    #[error("{path} has shape {found:?} in the record, expected {wanted:?}")]
    Shape {
        /// Which tensor.
        path: String,
        /// Its shape in the record.
        found: Vec<u64>,
        /// Its shape in the module.
        wanted: Vec<u64>,
    },
    /// A tensor has another precision than records of full precision have.
    #[error("{path} has precision {found} in the record, expected {wanted}")]
    Precision {
        /// Which tensor.
        path: String,
        /// Its type in the record.
        found: String,
        /// Its type in a record of full precision.
        wanted: String,
    },
    /// A tensor has more or fewer bytes than its shape needs.
    #[error("{path} has {found} bytes, expected {wanted} by its shape")]
    ByteCount {
        /// Which tensor.
        path: String,
        /// Bytes that are there.
        found: usize,
        /// Bytes that are needed.
        wanted: u64,
    },
    /// A list of modules has another length than in the module.
    #[error("{path} has {found} parts in the record, expected {wanted}")]
    Parts {
        /// Which list.
        path: String,
        /// Its length in the record.
        found: usize,
        /// Its length in the module.
        wanted: usize,
    },
    /// A tensor's id is none of Burn's.
    #[error("{path} has the id {found:?}, expected one that Burn wrote")]
    Id {
        /// Which tensor.
        path: String,
        /// What stands there.
        found: String,
    },
    /// The codebook of a record has dimensions that no quantizer has.
    #[error("the codebook has shape {0:?}, expected [2 * num_bits, features]")]
    NoQuantizer(Vec<u64>),
    /// The dimensions of the record cannot be a configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Burn cannot read it for another reason.
    #[error("not a record: {0}")]
    Burn(String),
}

type FullPrecision = NamedMpkBytesRecorder<FullPrecisionSettings>;

/// The record of a module as bytes, in full precision.
///
/// # Errors
///
/// [`RecordError::Burn`] where Burn cannot write it.
pub fn save<B: Backend, M: Module<B>>(module: &M) -> Result<Vec<u8>, RecordError> {
    let record = module.clone().into_record();
    Recorder::<B>::record(&FullPrecision::default(), record, ())
        .map_err(|error| RecordError::Burn(error.to_string()))
}

/// The module with the values of a record, which [`save`] or Burn's
/// `NamedMpkFileRecorder<FullPrecisionSettings>` wrote; the module given stays as it is.
///
/// # Errors
///
/// See [`RecordError`]; each names where the record and the module differ.
pub fn load<B: Backend, M: Module<B>>(
    module: &M,
    bytes: &[u8],
    device: &B::Device,
) -> Result<M, RecordError> {
    let found = item(bytes)?;
    let wanted = item(&save::<B, M>(module)?)?;
    compare("", &found, &wanted)?;
    let record = Recorder::<B>::load(&FullPrecision::default(), bytes.to_vec(), device)
        .map_err(|error| RecordError::Burn(error.to_string()))?;
    Ok(module.clone().load_record(record))
}

impl<B: Backend> Bitcodes<B> {
    /// The quantizer with the values of a record that a recorder of Burn's has read; it stays as
    /// it is itself. [`load`] does so from bytes, and sees their precision too.
    ///
    /// # Errors
    ///
    /// [`RecordError::Shape`] for a codebook of other dimensions.
    pub fn try_load_record(&self, record: BitcodesRecord<B>) -> Result<Self, RecordError> {
        let dims = |codebook: &Param<Tensor<B, 2>>| {
            let dims: [usize; 2] = codebook.lazy_shape().dims();
            dims.map(|dim| dim as u64).to_vec()
        };
        let (found, wanted) = (dims(&record.codebook), dims(&self.codebook));
        match found == wanted {
            true => Ok(self.clone().load_record(record)),
            false => Err(RecordError::Shape {
                path: "codebook".into(),
                found,
                wanted,
            }),
        }
    }

    /// The quantizer whose record the bytes are, its dimensions read from them; what a record does
    /// not hold (temperature, noise, weights of losses) is the default configuration's.
    ///
    /// # Errors
    ///
    /// As [`load`], and [`RecordError::NoQuantizer`].
    pub fn from_record_bytes(bytes: &[u8], device: &B::Device) -> Result<Self, RecordError> {
        let item = item(bytes)?;
        let codebook = get(&item, "codebook").and_then(|codebook| get(codebook, "param"));
        let shape = match codebook.and_then(Stored::of) {
            Some(stored) => stored.shape,
            None => {
                return Err(RecordError::Missing {
                    path: "codebook".into(),
                    shape: Vec::new(),
                });
            }
        };
        let [rows, features] = shape[..] else {
            return Err(RecordError::NoQuantizer(shape));
        };
        if rows % 2 != 0 {
            return Err(RecordError::NoQuantizer(shape));
        }
        let size = |dim: u64| usize::try_from(dim).unwrap_or(usize::MAX);
        let config = BitcodesConfig::new(size(features), size(rows / 2));
        config.validate()?;
        // Before a codebook of that size is drawn.
        codebook
            .and_then(Stored::of)
            .map_or(Ok(()), |stored| stored.check_bytes("codebook"))?;
        load(&config.try_init(device)?, bytes, device)
    }
}

/// The item of a record.
fn item(bytes: &[u8]) -> Result<Value, RecordError> {
    let mut rest = bytes;
    let value = rmpv::decode::read_value(&mut rest)
        .map_err(|error| RecordError::NotARecord(format!("{error} in {} bytes", bytes.len())))?;
    if !rest.is_empty() {
        let after = format!("{} bytes follow its end", rest.len());
        return Err(RecordError::NotARecord(after));
    }
    let (mut metadata, mut item) = (None, None);
    if let Value::Map(entries) = value {
        for (key, value) in entries {
            match key.as_str() {
                Some("metadata") => metadata = Some(value),
                Some("item") => item = Some(value),
                _ => {}
            }
        }
    }
    metadata.and(item).ok_or_else(|| {
        let reason = "metadata or item is not there";
        RecordError::NotARecord(reason.into())
    })
}

/// A tensor as a record holds it.
struct Stored<'a> {
    shape: Vec<u64>,
    dtype: &'a str,
    bytes: &'a [u8],
}

impl<'a> Stored<'a> {
    fn of(value: &'a Value) -> Option<Self> {
        let dims = get(value, "shape")?.as_array()?;
        Some(Self {
            shape: dims.iter().map(Value::as_u64).collect::<Option<_>>()?,
            dtype: get(value, "dtype")?.as_str()?,
            bytes: get(value, "bytes")?.as_slice()?,
        })
    }

    fn check_bytes(&self, path: &str) -> Result<(), RecordError> {
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
                path: path.into(),
                found,
                wanted,
            }),
        }
    }
}

/// Checks that `found` has the tensors of `wanted` and no others.
fn compare(path: &str, found: &Value, wanted: &Value) -> Result<(), RecordError> {
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
                let path = join(path, key);
                match get(found, key) {
                    Some(found) if key == "id" => check_id(&path, found)?,
                    Some(found) => compare(&path, found, wanted)?,
                    // What is no tensor may have come later, and has a default.
                    None => first_tensor(&path, wanted)
                        .map_or(Ok(()), |(path, shape)| Err(missing(&path, shape)))?,
                }
            }
            let others = found.as_map().into_iter().flatten();
            for (key, value) in others {
                let key = key.as_str().unwrap_or_default();
                if get(wanted, key).is_none()
                    && let Some((path, shape)) = first_tensor(&join(path, key), value)
                {
                    return Err(RecordError::Unexpected { path, shape });
                }
            }
            Ok(())
        }
        Value::Array(wanted) => {
            let found = found.as_array().map_or(&[][..], Vec::as_slice);
            if found.len() != wanted.len() {
                return Err(RecordError::Parts {
                    path: path.into(),
                    found: found.len(),
                    wanted: wanted.len(),
                });
            }
            let parts = found.iter().zip(wanted).enumerate();
            parts.into_iter().try_for_each(|(index, (found, wanted))| {
                compare(&join(path, &index.to_string()), found, wanted)
            })
        }
        _ => Ok(()),
    }
}

fn compare_tensors(path: &str, found: &Stored, wanted: &Stored) -> Result<(), RecordError> {
    // "quantizer.codebook" rather than "quantizer.codebook.param".
    let path = path.strip_suffix(".param").unwrap_or(path);
    if found.shape != wanted.shape {
        return Err(RecordError::Shape {
            path: path.into(),
            found: found.shape.clone(),
            wanted: wanted.shape.clone(),
        });
    }
    if found.dtype != wanted.dtype {
        return Err(RecordError::Precision {
            path: path.into(),
            found: found.dtype.into(),
            wanted: wanted.dtype.into(),
        });
    }
    found.check_bytes(path)
}

/// Burn panics on an id that it cannot read.
fn check_id(path: &str, id: &Value) -> Result<(), RecordError> {
    // Ids of more than 13 characters (8 bytes) are those of an earlier Burn, and longer ones none.
    let readable = |id: &&str| id.len() <= 13 && ParamId::try_deserialize(id).is_some();
    match id.as_str().filter(readable) {
        Some(_) => Ok(()),
        None => Err(RecordError::Id {
            path: path.strip_suffix(".id").unwrap_or(path).into(),
            found: id.as_str().map_or_else(|| id.to_string(), Into::into),
        }),
    }
}

/// The first tensor of a part of a record.
fn first_tensor(path: &str, value: &Value) -> Option<(String, Vec<u64>)> {
    if let Some(stored) = Stored::of(value) {
        return Some((path.into(), stored.shape));
    }
    let mut of_map = value.as_map().into_iter().flatten();
    let of_map = of_map.find_map(|(key, value)| {
        first_tensor(&join(path, key.as_str().unwrap_or_default()), value)
    });
    let of_array = || {
        let mut parts = value.as_array().into_iter().flatten().enumerate();
        parts.find_map(|(index, value)| first_tensor(&join(path, &index.to_string()), value))
    };
    of_map.or_else(of_array)
}

fn missing(path: &str, shape: Vec<u64>) -> RecordError {
    RecordError::Missing {
        path: path.strip_suffix(".param").unwrap_or(path).into(),
        shape,
    }
}

fn join(path: &str, key: &str) -> String {
    match path {
        "" => key.into(),
        _ => format!("{path}.{key}"),
    }
}

fn get<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    let entries = value.as_map()?;
    entries
        .iter()
        .find_map(|(name, value)| (name.as_str() == Some(key)).then_some(value))
}
