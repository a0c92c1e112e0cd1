//! Checkpoints of the reference, and ours for Python.
//!
//! A state dict of the reference holds one tensor, `codebook [2 * num_bits, features]`, alone or
//! among the tensors of a larger model under a prefix. Both forms in which PyTorch's users keep it
//! are read, what `torch.save` writes (`.pt`, `.pth`) and safetensors; safetensors are written.
//!
//! Bytes go in, so that it works where there are no files. Each tensor's strides, its storage's
//! length and its checksum are looked at: what is damaged is an error, never a row of zeros.

#[cfg(all(test, feature = "flex", feature = "checkpoints"))]
mod hostile;
#[cfg(feature = "checkpoints")]
mod pickle;
#[cfg(feature = "checkpoints")]
mod pytorch;
#[cfg(feature = "checkpoints")]
mod rebuild;
mod safetensors;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use burn::tensor::{DType, Tensor, TensorData, backend::Backend};

#[cfg(feature = "checkpoints")]
use self::pytorch::StateDict;
use crate::{Bitcodes, BitcodesConfig, ConfigError, Normalization};

/// The names of a quantizer's tensors, those of the normalization where there is one.
const CODEBOOK: &str = "codebook";
const CENTER: &str = "normalization.center";
const LOG_SCALE: &str = "normalization.log_scale";

/// A state dict from Python, as the bytes of its file.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use bitcodes_core::{BitcodesConfig, Checkpoint};
/// use bitcodes_core::burn::backend::Flex;
///
/// let device = Default::default();
/// let bitcodes = BitcodesConfig::new(8, 4).init::<Flex>(&device);
/// let bytes = bitcodes.to_safetensors(); // std::fs::write("bitcodes.safetensors", &bytes)
///
/// let checkpoint = Checkpoint::from_bytes(&bytes).unwrap();
/// let names = ["codebook", "normalization.center", "normalization.log_scale"];
/// assert_eq!(checkpoint.names().collect::<Vec<_>>(), names);
/// let again = checkpoint.quantizer::<Flex>(None, &device).unwrap();
/// assert_eq!(again.codebook.val().into_data(), bitcodes.codebook.val().into_data());
/// # }
/// ```
#[derive(Debug)]
pub struct Checkpoint<'a> {
    format: Format<'a>,
}

#[derive(Debug)]
enum Format<'a> {
    #[cfg(feature = "checkpoints")]
    Pytorch(StateDict<'a>),
    Safetensors(::safetensors::SafeTensors<'a>, Option<Box<Saved>>),
}

/// What we store beside the codebook.
#[derive(Debug)]
struct Saved {
    config: BitcodesConfig,
    step: usize,
}

/// A tensor of a state dict: what is known before its data are read.
#[derive(Debug, Clone, PartialEq)]
struct TensorInfo {
    shape: Vec<usize>,
    /// `None` for a type that is not looked for.
    dtype: Option<DType>,
    /// What the file calls the type.
    type_name: String,
}

/// A checkpoint that cannot be read, or that has no quantizer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The bytes are neither a PyTorch file nor safetensors.
    #[error(
        "neither PyTorch's zip archive nor safetensors: {bytes} bytes, the first {first:02x?} \
         (torch.save of a state dict in its default form writes the one)"
    )]
    Format {
        /// How many there are.
        bytes: usize,
        /// The first few.
        first: Vec<u8>,
    },
    /// A PyTorch file, where only safetensors are read.
    #[error("PyTorch's zip archive, expected safetensors: this was built without `checkpoints`")]
    NoPytorch,
    /// A PyTorch file of before version 1.6.
    #[error("PyTorch's older form, expected its zip archive, as torch.save writes it by default")]
    OlderForm,
    /// The safetensors are damaged.
    #[error("safetensors: {0}, in {1} bytes")]
    Safetensors(String, usize),
    /// PyTorch's archive is damaged or has not the files of one.
    #[error("PyTorch archive: {0}")]
    Archive(String),
    /// The pickle of a PyTorch file cannot be followed.
    #[error("PyTorch archive: data.pkl, byte {position}: {reason}")]
    Pickle {
        /// Where in the pickle.
        position: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A tensor's storage is shorter than its shape needs.
    #[error("{name}: its storage has {found} bytes, expected {wanted}")]
    Storage {
        /// Which tensor.
        name: String,
        /// Bytes that are there.
        found: usize,
        /// Bytes that are needed.
        wanted: String,
    },
    /// There is no codebook where one is wanted.
    #[error("no tensor {wanted}, found {}", listed(found))]
    NoCodebook {
        /// The name that was looked for.
        wanted: String,
        /// The names that are there.
        found: Vec<String>,
    },
    /// Without a prefix several codebooks could be meant.
    #[error("{} codebooks, expected one, or a prefix that says which: {}", found.len(), listed(found))]
    Ambiguous {
        /// The names of all.
        found: Vec<String>,
    },
    /// The codebook has dimensions that no quantizer has.
    #[error("{name} has shape {found:?}, expected [2 * num_bits, features]")]
    Shape {
        /// The codebook.
        name: String,
        /// Its shape.
        found: Vec<usize>,
    },
    /// A tensor that the stored configuration asks for is missing.
    #[error("no tensor {wanted}, which its metadata asks for")]
    Missing {
        /// The name that was looked for.
        wanted: String,
    },
    /// There is a normalization, but no metadata that say how it is used: the tensors of a file of
    /// ours, saved again without them.
    #[error("{found} is there, but no metadata that say how bits are decided")]
    NoMetadata {
        /// The normalization's tensor.
        found: String,
    },
    /// A tensor has another shape than the codebook asks for.
    #[error("{name} has shape {found:?}, expected {wanted:?}")]
    OtherShape {
        /// Which tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// Its shape by the codebook.
        wanted: Vec<usize>,
    },
    /// The codebook is not of floating-point numbers.
    #[error("{name} has type {found}, expected F16, BF16, F32 or F64")]
    Type {
        /// The codebook.
        name: String,
        /// Its type.
        found: String,
    },
    /// The codebook has a value that is not finite, or would not be as the backend's type.
    #[error("{name} has a value of {found}, expected finite numbers")]
    NotFinite {
        /// The codebook.
        name: String,
        /// The value, as the backend's type.
        found: f64,
    },
    /// The dimensions of the codebook, or what is stored with it, cannot be a configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration that is stored with the codebook cannot be read.
    #[error("its metadata has the configuration {found:?}: {reason}")]
    Metadata {
        /// What stands there.
        found: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The first few names.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let quoted = |name: &String| match name.as_str() {
        "" => "a tensor without a name".to_string(),
        name => name.to_string(),
    };
    let shown: Vec<String> = names.iter().take(SHOWN).map(quoted).collect();
    match names.len().saturating_sub(SHOWN) {
        0 if names.is_empty() => "none".into(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(feature = "checkpoints")]
fn pytorch(bytes: &[u8]) -> Result<Format<'_>, CheckpointError> {
    Ok(Format::Pytorch(StateDict::read(bytes)?))
}

#[cfg(not(feature = "checkpoints"))]
fn pytorch(_: &[u8]) -> Result<Format<'_>, CheckpointError> {
    Err(CheckpointError::NoPytorch)
}

impl<'a> Checkpoint<'a> {
    /// Reads what there is; the tensors' data are read when they are asked for.
    ///
    /// # Errors
    ///
    /// Where the bytes are no whole state dict, [`CheckpointError`] says why.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, CheckpointError> {
        const ZIP: &[u8] = b"PK\x03\x04";
        // A pickle of the number by which PyTorch knew its files before.
        const OLDER: &[u8] = &[0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46];
        // After its length in eight bytes the header of safetensors is JSON.
        let format = if bytes.starts_with(ZIP) {
            pytorch(bytes)?
        } else if bytes.get(8) == Some(&b'{') {
            let (tensors, saved) = safetensors::read(bytes)?;
            Format::Safetensors(tensors, saved.map(Box::new))
        } else if bytes.starts_with(OLDER) {
            return Err(CheckpointError::OlderForm);
        } else {
            return Err(CheckpointError::Format {
                bytes: bytes.len(),
                first: bytes[..bytes.len().min(8)].to_vec(),
            });
        };
        Ok(Self { format })
    }

    /// The names of all tensors, in the order of the alphabet; those of nested dicts are joined by
    /// dots.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let mut names: Vec<&str> = match &self.format {
            #[cfg(feature = "checkpoints")]
            Format::Pytorch(dict) => dict.names().collect(),
            Format::Safetensors(tensors, _) => tensors.names(),
        };
        names.sort_unstable();
        names.into_iter()
    }

    /// The quantizer whose codebook is `PREFIX.codebook`; without a prefix the only one there is.
    ///
    /// Its dimensions are the codebook's, its numbers are converted to the backend's. What the
    /// codebook does not tell (how bits are decided, temperature, noise, weights of losses) comes
    /// from the metadata that [`Bitcodes::to_safetensors`] writes, with the step that the schedules
    /// are at, and the normalization from two more tensors, where there is one. In a state dict of
    /// the reference there is nothing of it, and
    /// [its configuration's](BitcodesConfig::reference) is taken; so it is for tensors of ours that
    /// Python saved again, which keeps no metadata, and which is an error where they normalize.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] where there is no such codebook, or it is none.
    pub fn quantizer<B: Backend>(
        &self,
        prefix: Option<&str>,
        device: &B::Device,
    ) -> Result<Bitcodes<B>, CheckpointError> {
        let name = self.codebook_name(prefix)?;
        let info = self.info(&name);
        let [rows, features] = info.shape[..] else {
            return Err(CheckpointError::Shape {
                name,
                found: info.shape,
            });
        };
        if rows % 2 != 0 {
            return Err(CheckpointError::Shape {
                name,
                found: info.shape,
            });
        }
        let (config, step) = match &self.format {
            Format::Safetensors(_, Some(saved)) => (saved.config.clone(), saved.step),
            _ => (BitcodesConfig::reference(features, rows / 2), 0),
        };
        let prefix = &name[..name.len() - CODEBOOK.len()];
        let center = format!("{prefix}{CENTER}");
        if !config.normalize && self.names().any(|found| found == center) {
            return Err(CheckpointError::NoMetadata { found: center });
        }
        config.validate()?;
        let codebook = Tensor::<B, 2>::from_data(self.numbers::<B>(&name)?, device);
        let quantizer = config.try_init_from_codebook(codebook)?.at_step(step);
        if !config.normalize {
            return Ok(quantizer);
        }
        let beside = |part: &str, length: usize| {
            let name = format!("{prefix}{part}");
            if !self.names().any(|found| found == name) {
                return Err(CheckpointError::Missing { wanted: name });
            }
            let (found, wanted) = (self.info(&name).shape, [length].to_vec());
            if found != wanted {
                return Err(CheckpointError::OtherShape {
                    name,
                    found,
                    wanted,
                });
            }
            Ok(Tensor::<B, 1>::from_data(self.numbers::<B>(&name)?, device))
        };
        let normalization = Normalization::of(beside(CENTER, features)?, beside(LOG_SCALE, 1)?);
        Ok(quantizer.normalized_by(normalization))
    }

    /// A tensor that is there, as numbers of the backend's type.
    fn numbers<B: Backend>(&self, name: &str) -> Result<TensorData, CheckpointError> {
        let info = self.info(name);
        match info.dtype {
            Some(DType::F16 | DType::BF16 | DType::F32 | DType::F64) => {}
            _ => {
                return Err(CheckpointError::Type {
                    name: name.into(),
                    found: info.type_name,
                });
            }
        }
        let data = self.data(name)?.convert::<B::FloatElem>();
        if let Some(found) = data.iter::<f64>().find(|value| !value.is_finite()) {
            let name = name.into();
            return Err(CheckpointError::NotFinite { name, found });
        }
        Ok(data)
    }

    fn codebook_name(&self, prefix: Option<&str>) -> Result<String, CheckpointError> {
        let wanted = match prefix {
            Some(prefix) if !prefix.is_empty() => format!("{prefix}.{CODEBOOK}"),
            _ => CODEBOOK.to_string(),
        };
        if self.names().any(|name| name == wanted) {
            return Ok(wanted);
        }
        let ends = |name: &&str| name.ends_with(&format!(".{CODEBOOK}"));
        let mut found: Vec<String> = match prefix {
            Some(_) => Vec::new(),
            None => self.names().filter(ends).map(Into::into).collect(),
        };
        match found.len() {
            0 => Err(CheckpointError::NoCodebook {
                wanted,
                found: self.names().map(Into::into).collect(),
            }),
            1 => Ok(found.remove(0)),
            _ => Err(CheckpointError::Ambiguous { found }),
        }
    }

    /// Of a tensor that is there.
    fn info(&self, name: &str) -> TensorInfo {
        match &self.format {
            #[cfg(feature = "checkpoints")]
            Format::Pytorch(dict) => dict.info(name),
            Format::Safetensors(tensors, _) => safetensors::info(tensors, name),
        }
        .expect("the name is one of names()")
    }

    /// Of a tensor that is there, of a type that Burn has.
    fn data(&self, name: &str) -> Result<TensorData, CheckpointError> {
        let TensorInfo { shape, dtype, .. } = self.info(name);
        let dtype = dtype.expect("the type was looked at");
        let bytes = match &self.format {
            #[cfg(feature = "checkpoints")]
            Format::Pytorch(dict) => dict.data(name, dtype)?,
            Format::Safetensors(tensors, _) => {
                safetensors::data(tensors, name).expect("the name is one of names()")
            }
        };
        Ok(TensorData::from_bytes_vec(bytes, shape, dtype))
    }
}
