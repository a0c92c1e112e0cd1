//! Quantizers in files: checkpoints of PyTorch, safetensors, and records of Burn.
//!
//! `bitcodes-format` reads the bytes; this module builds quantizers from the parts that it gives.

mod config;
#[cfg(feature = "safetensors")]
mod save;

use alloc::format;
use alloc::string::String;

use bitcodes_format::{File, FloatType, FormatError, Values};
use burn::tensor::{DType, Tensor, TensorData, backend::Backend};

use crate::{Bitcodes, ConfigError, Normalization};

/// A file that holds quantizers, as its bytes.
///
/// A file is one of these:
///
/// - a state dict of PyTorch, as `torch.save` writes it (`.pt`, `.pth`; feature `checkpoints`),
/// - safetensors, of Python or of [`Bitcodes::to_safetensors`] (feature `safetensors`),
/// - a record of a module, as [`record::save`](crate::record::save) writes it (`.mpk`).
///
/// ```
/// # #[cfg(all(feature = "flex", feature = "safetensors"))] {
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
    file: File<'a>,
}

/// Error of a file that cannot be read, or from which no quantizer can be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file is damaged, or has no whole quantizer.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A value is finite in the file, but not in the backend's type.
    #[error("{name} has a value of {found} as the backend's type, expected finite numbers")]
    NotFinite {
        /// Name of the tensor.
        name: String,
        /// The first such value, in the backend's type.
        found: f64,
    },
    /// The scale of a normalization, or its inverse, is not a normal number in f32.
    #[error("{name} is {found}, expected a logarithm whose exponential f32 can hold and divide by")]
    Scale {
        /// Name of the tensor.
        name: String,
        /// The logarithm of the scale.
        found: f64,
    },
    /// The dimensions of the codebook and the settings beside it are not a valid configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration in the metadata cannot be read.
    #[error("its metadata has the configuration {found:?}: {reason}")]
    Metadata {
        /// The configuration, at most 200 characters of it.
        found: String,
        /// The reason why the configuration cannot be read.
        reason: String,
    },
}

impl<'a> Checkpoint<'a> {
    /// Recognizes the kind of file and reads its contents; the values of tensors are read when they
    /// are asked for.
    ///
    /// # Errors
    ///
    /// Returns [`CheckpointError::Format`] if the bytes are not a whole file; it holds the reason.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, CheckpointError> {
        let file = File::from_bytes(bytes)?;
        Ok(Self { file })
    }

    /// Returns the names of all tensors, in alphabetical order. Dots join the names of nested dicts
    /// and modules.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.file.names()
    }

    /// Makes the quantizer whose codebook is `PREFIX.codebook`. Without a prefix, the codebook is
    /// `codebook`, or the only tensor whose name ends with `.codebook`.
    ///
    /// The dimensions are those of the codebook, and all values are converted to the backend's
    /// type. The parameters get new ids, so an optimizer starts anew on them. The rest of the
    /// configuration depends on the file:
    ///
    /// - Safetensors of ours hold the whole configuration in their metadata, with the present step
    ///   of the schedules.
    /// - A record holds the method, its beam, the step, and whether the quantizer normalizes. The
    ///   schedules and the weights of losses are those of
    ///   [`BitcodesConfig::new`](crate::BitcodesConfig::new) for joint bits, and of
    ///   [`BitcodesConfig::reference`](crate::BitcodesConfig::reference) for independent ones.
    /// - A state dict of the reference holds no settings and gets the reference's configuration.
    ///   The same is true of our tensors if Python saved them again, which drops the metadata. Such
    ///   a file is refused if it has a normalization.
    ///
    /// # Errors
    ///
    /// Returns [`CheckpointError`] if the file has no such codebook, or if a part of it cannot be
    /// used.
    pub fn quantizer<B: Backend>(
        &self,
        prefix: Option<&str>,
        device: &B::Device,
    ) -> Result<Bitcodes<B>, CheckpointError> {
        let parts = self.file.quantizer(prefix)?;
        let config = config::of_parts(&parts)?;
        config.validate()?;
        let name = |tensor: &str| format!("{}{tensor}", parts.prefix);
        let shape = [2 * parts.num_bits, parts.features];
        let codebook = tensor(|| name("codebook"), parts.codebook, shape, device)?;
        let quantizer = config.try_init_from_codebook(codebook)?.at_step(parts.step);
        let Some(normalization) = parts.normalization else {
            return Ok(quantizer);
        };
        let found: f64 = normalization.log_scale.to_f64().iter().sum();
        let is_normal = |sign: f64| (libm::exp(sign * found) as f32).is_normal();
        if !(is_normal(1.0) && is_normal(-1.0)) {
            let name = name("normalization.log_scale");
            return Err(CheckpointError::Scale { name, found });
        }
        let center = tensor(
            || name("normalization.center"),
            normalization.center,
            [parts.features],
            device,
        )?;
        let log_scale = tensor(
            || name("normalization.log_scale"),
            normalization.log_scale,
            [1],
            device,
        )?;
        Ok(quantizer.normalized_by(Normalization::of(center, log_scale)))
    }
}

/// Makes a tensor of these values in the backend's type.
fn tensor<B: Backend, const D: usize>(
    name: impl FnOnce() -> String,
    values: Values,
    shape: [usize; D],
    device: &B::Device,
) -> Result<Tensor<B, D>, CheckpointError> {
    let dtype = match values.float_type() {
        FloatType::F16 => DType::F16,
        FloatType::Bf16 => DType::BF16,
        FloatType::F32 => DType::F32,
        FloatType::F64 => DType::F64,
    };
    let data = TensorData::from_bytes_vec(values.into_bytes(), shape, dtype);
    let data = data.convert::<B::FloatElem>();
    if let Some(found) = data.iter::<f64>().find(|value| !value.is_finite()) {
        let name = name();
        return Err(CheckpointError::NotFinite { name, found });
    }
    Ok(Tensor::from_data(data, device))
}
