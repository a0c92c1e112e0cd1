//! Records that are checked before they are loaded.
//!
//! Burn's `load_record` takes any record: a codebook of other dimensions replaces the module's,
//! another precision is converted without a word, and too few bytes reach code that does not check
//! their number. A quantizer takes the method and the beam of the record. If the record's method is
//! another, the settings of that method which a record does not hold (temperature, initializer) get
//! their defaults. Noise scale and weights stay those of the module. [`load`] compares the record
//! with the module first, tensor by tensor, and refuses a quantizer that decides bits by another
//! method than the module's.
//!
//! The bytes are those of Burn's `NamedMpkBytesRecorder<FullPrecisionSettings>`, which
//! `bitcodes_format::record` describes. [`Checkpoint`](crate::Checkpoint) makes a quantizer from a
//! record without a module to load it into.

mod compare;
mod error;
mod parameters;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bitcodes_format::record::Record;
use burn::module::{Module, ModuleVisitor, Param};
use burn::record::{FullPrecisionSettings, NamedMpkBytesRecorder, Recorder};
use burn::tensor::{DType, Tensor, backend::Backend};

use self::compare::{check_id, compare};
pub use self::error::RecordError;
use self::parameters::Parameters;

type FullPrecision = NamedMpkBytesRecorder<FullPrecisionSettings>;

/// Returns the record of a module as bytes, in full precision.
///
/// # Errors
///
/// Returns [`RecordError::Precision`] if a tensor is in f64, which a record would round to f32, and
/// [`RecordError::Burn`] if Burn cannot write the record.
///
/// # Panics
///
/// Panics on a GPU in a browser, whose tensors cannot be read without waiting.
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

/// A search for a tensor in f64.
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

/// Returns a copy of the module with the values of a record, which [`save`] or Burn's
/// `NamedMpkFileRecorder<FullPrecisionSettings>` wrote. No tensor is read back from the device.
///
/// # Errors
///
/// Returns [`RecordError`] if the record and the module differ; it names the place.
pub fn load<B: Backend, M: Module<B>>(
    module: &M,
    bytes: &[u8],
    device: &B::Device,
) -> Result<M, RecordError> {
    let record = Record::from_bytes(bytes)?;
    let tensors = compare(record.item(), module)?;
    for path in &tensors {
        check_id(record.item(), path)?;
    }
    let record = Recorder::<B>::load(&FullPrecision::default(), bytes.to_vec(), device)
        .map_err(|error| RecordError::Burn(error.to_string()))?;
    Ok(module.clone().load_record(record))
}

/// Returns a copy of the module with the parameters of a record, for use and not for training.
///
/// The rest of the record is compared with the module as in [`load`], but not loaded: steps, the
/// width of a beam, Boolean and quantized parameters, and the ids by which optimizers know
/// parameters stay the module's.
///
/// This takes much less code than [`load`], which matters for a program that is loaded from a
/// server.
///
/// # Errors
///
/// As [`load`].
pub fn load_parameters<B: Backend, M: Module<B>>(
    module: &M,
    bytes: &[u8],
    device: &B::Device,
) -> Result<M, RecordError> {
    let record = Record::from_bytes(bytes)?;
    compare(record.item(), module)?;
    let mut parameters = Parameters::of(record.item(), device);
    Ok(module.clone().map(&mut parameters))
}
