//! Records that are checked before they are loaded.
//!
//! Burn's `load_record` takes what it is given: a codebook of other dimensions replaces the one
//! there is, other precision is converted in silence, and too few bytes reach code that does not
//! check them. [`load`] compares the record with the module first, tensor by tensor.
//!
//! The bytes are those of Burn's `NamedMpkBytesRecorder<FullPrecisionSettings>`: MessagePack, with
//! `metadata` and `item`, in which a tensor is a map of `bytes`, `shape` and `dtype`.

mod compare;
mod parameters;
mod scan;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use burn::module::{Module, ModuleVisitor, Param};
use burn::record::{FullPrecisionSettings, NamedMpkBytesRecorder, Recorder};
use burn::tensor::{DType, Tensor, backend::Backend};
use rmpv::Value;

use self::compare::{Stored, check_id, compare, get};
use self::parameters::Parameters;
use self::scan::count_values;
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
    /// There is no codebook where that of a quantizer is.
    #[error("the record has no codebook at its top, expected the record of a quantizer")]
    NoCodebook,
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
/// [`RecordError::Precision`] for a tensor in f64, of which a record would keep only an f32, and
/// [`RecordError::Burn`] where Burn cannot write it.
pub fn save<B: Backend, M: Module<B>>(module: &M) -> Result<Vec<u8>, RecordError> {
    let mut doubles = Doubles::default();
    module.visit(&mut doubles);
    if let Some(path) = doubles.first {
        return Err(RecordError::Precision {
            path,
            found: "F64".into(),
            wanted: "F32 or narrower".into(),
        });
    }
    let record = module.clone().into_record();
    Recorder::<B>::record(&FullPrecision::default(), record, ())
        .map_err(|error| RecordError::Burn(error.to_string()))
}

/// Looks for a tensor in f64.
#[derive(Default)]
struct Doubles {
    path: Vec<String>,
    first: Option<String>,
}

impl<B: Backend> ModuleVisitor<B> for Doubles {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if param.val().dtype() == DType::F64 && self.first.is_none() {
            self.first = Some(self.path.join("."));
        }
    }

    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
}

/// The module with the values of a record, which [`save`] or Burn's
/// `NamedMpkFileRecorder<FullPrecisionSettings>` wrote; the module given stays as it is. Nothing is
/// read back from the device.
///
/// # Errors
///
/// See [`RecordError`]; each names where the record and the module differ.
pub fn load<B: Backend, M: Module<B>>(
    module: &M,
    bytes: &[u8],
    device: &B::Device,
) -> Result<M, RecordError> {
    let item = item(bytes)?;
    let tensors = compare(&item, module)?;
    tensors.iter().try_for_each(|path| check_id(&item, path))?;
    let record = Recorder::<B>::load(&FullPrecision::default(), bytes.to_vec(), device)
        .map_err(|error| RecordError::Burn(error.to_string()))?;
    Ok(module.clone().load_record(record))
}

/// [`load`] of the parameters alone, for a module that is used and not trained on: other state that
/// the record holds (steps, how bits are decided, Boolean and quantized parameters, and the ids by
/// which optimizers know parameters) stays the module's.
///
/// It takes much less code than [`load`], which counts where that is loaded from a server.
///
/// # Errors
///
/// As [`load`].
pub fn load_parameters<B: Backend, M: Module<B>>(
    module: &M,
    bytes: &[u8],
    device: &B::Device,
) -> Result<M, RecordError> {
    let item = item(bytes)?;
    compare(&item, module)?;
    Ok(module.clone().map(&mut Parameters::of(&item, device)))
}

impl<B: Backend> Bitcodes<B> {
    /// The quantizer with the values of a record that a recorder of Burn's has read; it stays as
    /// it is itself. [`load`] does so from bytes, and sees their precision too.
    ///
    /// # Errors
    ///
    /// [`RecordError::Shape`] for a codebook of other dimensions, [`RecordError::Missing`] or
    /// [`RecordError::Unexpected`] where one of the two normalizes and the other does not.
    pub fn try_load_record(&self, record: BitcodesRecord<B>) -> Result<Self, RecordError> {
        let dims = |codebook: &Param<Tensor<B, 2>>| {
            let dims: [usize; 2] = codebook.lazy_shape().dims();
            dims.map(|dim| dim as u64).to_vec()
        };
        let (found, wanted) = (dims(&record.codebook), dims(&self.codebook));
        if found != wanted {
            return Err(RecordError::Shape {
                path: "codebook".into(),
                found,
                wanted,
            });
        }
        let lengths = |center: &Param<Tensor<B, 1>>, log_scale: &Param<Tensor<B, 1>>| {
            let center: [usize; 1] = center.lazy_shape().dims();
            let log_scale: [usize; 1] = log_scale.lazy_shape().dims();
            [
                ("normalization.center", center[0] as u64),
                ("normalization.log_scale", log_scale[0] as u64),
            ]
        };
        let of_record = record.normalization.as_ref();
        let of_record = of_record.map(|record| lengths(&record.center, &record.log_scale));
        let of_module = self.normalization.as_ref();
        let of_module = of_module.map(|module| lengths(&module.center, &module.log_scale));
        match (of_record, of_module) {
            (Some([(path, length), _]), None) => Err(RecordError::Unexpected {
                path: path.into(),
                shape: Vec::from([length]),
            }),
            (None, Some([(path, length), _])) => Err(RecordError::Missing {
                path: path.into(),
                shape: Vec::from([length]),
            }),
            (Some(found), Some(wanted)) if found != wanted => {
                let differ = found.into_iter().zip(wanted).find(|(a, b)| a != b);
                let ((path, found), (_, wanted)) = differ.expect("they differ");
                Err(RecordError::Shape {
                    path: path.into(),
                    found: Vec::from([found]),
                    wanted: Vec::from([wanted]),
                })
            }
            _ => Ok(self.clone().load_record(record)),
        }
    }

    /// The quantizer whose record the bytes are: its dimensions, how it decides bits and whether it
    /// normalizes are read from them; what a record does not hold (temperature, noise, weights of
    /// losses) is [`BitcodesConfig::new`]'s where bits are decided together, and the
    /// [reference's](BitcodesConfig::reference) otherwise.
    ///
    /// # Errors
    ///
    /// As [`load`], and [`RecordError::NoQuantizer`].
    pub fn from_record_bytes(bytes: &[u8], device: &B::Device) -> Result<Self, RecordError> {
        let item = item(bytes)?;
        let codebook = get(&item, "codebook").and_then(|codebook| get(codebook, "param"));
        let shape = match codebook.and_then(Stored::of) {
            Some(stored) => stored.shape,
            None => return Err(RecordError::NoCodebook),
        };
        let [rows, features] = shape[..] else {
            return Err(RecordError::NoQuantizer(shape));
        };
        if rows % 2 != 0 {
            return Err(RecordError::NoQuantizer(shape));
        }
        let size = |dim: u64| usize::try_from(dim).unwrap_or(usize::MAX);
        let normalizes = get(&item, "normalization").is_some_and(Value::is_map);
        // How an Assignment is stored: an independent one as a name, others with what they hold.
        let method = match get(&item, "assignment")
            .and_then(|a| get(a, "method"))
            .and_then(Value::as_str)
        {
            Some("joint") => crate::Method::Joint,
            _ => crate::Method::Independent,
        };
        let config = BitcodesConfig::of_method(method, size(features), size(rows / 2))
            .with_normalize(normalizes);
        config.validate()?;
        // Before a codebook of that size is drawn.
        codebook
            .and_then(Stored::of)
            .map_or(Ok(()), |stored| stored.check_bytes(|| "codebook".into()))?;
        let codebook = Tensor::zeros([2 * config.num_bits, config.features], device);
        load(&config.try_init_from_codebook(codebook)?, bytes, device)
    }
}

/// The item of a record.
fn item(bytes: &[u8]) -> Result<Value, RecordError> {
    count_values(bytes).map_err(RecordError::NotARecord)?;
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
