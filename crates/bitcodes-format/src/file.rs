//! A file, in whichever container.

use crate::container::Container;
use crate::parts::{CENTER, CODEBOOK, LOG_SCALE, NormalizationParts};
use crate::{ElementType, FloatType, FormatError, QuantizerParts, TensorInfo, Values};

/// Tensors of a file, and the quantizers among them.
#[derive(Debug)]
pub struct File<'a> {
    container: Box<dyn Container + 'a>,
}

impl<'a> File<'a> {
    /// Recognizes the container by its bytes and reads its contents; the values of tensors are read
    /// when they are asked for.
    ///
    /// # Errors
    ///
    /// Returns [`FormatError`] if the bytes are not a whole file; it holds the reason.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, FormatError> {
        const ZIP: &[u8] = b"PK\x03\x04";
        // This is a pickle of the number that marks PyTorch's files of before version 1.6.
        const OLDER: &[u8] = &[0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46];
        let container = if bytes.starts_with(ZIP) {
            pytorch(bytes)?
        } else if bytes.get(8) == Some(&b'{') {
            // After its length in eight bytes the header of safetensors is JSON.
            safetensors(bytes)?
        } else if is_record(bytes) {
            record(bytes)?
        } else if bytes.starts_with(OLDER) {
            return Err(FormatError::OlderForm);
        } else {
            return Err(FormatError::Unknown {
                bytes: bytes.len(),
                first: bytes[..bytes.len().min(8)].to_vec(),
            });
        };
        Ok(Self { container })
    }

    /// Returns the names of all tensors, in alphabetical order. Dots join the names of nested dicts
    /// and modules.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let mut names = self.container.names();
        names.sort_unstable();
        names.into_iter()
    }

    /// Returns shape and element type of a tensor; `None` if the file has no tensor of this name.
    pub fn info(&self, name: &str) -> Option<TensorInfo> {
        self.container.info(name)
    }

    /// Returns the values of a tensor, in row-major order.
    ///
    /// # Errors
    ///
    /// Returns [`FormatError::NoTensor`] if there is no such tensor, [`FormatError::Type`] if the
    /// elements are not floating-point numbers, and the error of the container if the tensor is
    /// damaged.
    pub fn values(&self, name: &str) -> Result<Values, FormatError> {
        let info = self.info(name).ok_or_else(|| self.no_tensor(name.into()))?;
        let ElementType::Float(float_type) = info.element_type else {
            return Err(FormatError::Type {
                name: name.into(),
                found: info.element_type.to_string(),
                wanted: "F16, BF16, F32 or F64",
            });
        };
        let bytes = self.container.bytes(name, float_type)?;
        Ok(Values::new(float_type, bytes))
    }

    /// Reads the quantizer whose codebook is `PREFIX.codebook`. Without a prefix, the codebook is
    /// `codebook`, or the only tensor whose name ends with `.codebook`.
    ///
    /// The dimensions are those of the codebook. All values are finite, and all shapes fit the
    /// dimensions. It is not checked that the settings make a valid configuration, because the
    /// limits of the encoder are not known here.
    ///
    /// # Errors
    ///
    /// Returns [`FormatError`] if there is no such codebook, or if a part of the quantizer is
    /// missing, damaged, or does not fit the others.
    pub fn quantizer(&self, prefix: Option<&str>) -> Result<QuantizerParts, FormatError> {
        let name = self.codebook_name(prefix)?;
        let shape = self.info(&name).map_or(Vec::new(), |info| info.shape);
        let (rows, features) = match shape[..] {
            [rows, features] if rows > 0 && rows % 2 == 0 && features > 0 => (rows, features),
            _ => return Err(FormatError::CodebookShape { name, found: shape }),
        };
        let prefix = name[..name.len() - CODEBOOK.len()].to_string();
        let settings = self.container.settings(&prefix)?;
        let wanted = settings.codebook_shape.unwrap_or([rows, features]);
        let codebook = self.finite_values(name, &wanted)?;

        let center = format!("{prefix}{CENTER}");
        let log_scale = format!("{prefix}{LOG_SCALE}");
        let normalization = match settings.normalizes {
            true => {
                let part = |name: String, length| match self.info(&name) {
                    Some(_) => self.finite_values(name, &[length]),
                    None => Err(FormatError::Missing {
                        wanted: name,
                        asked_by: settings.part.unwrap_or("settings"),
                    }),
                };
                Some(NormalizationParts {
                    center: part(center, features)?,
                    log_scale: part(log_scale, 1)?,
                })
            }
            false if self.info(&center).is_some() => {
                return Err(match settings.part {
                    None => FormatError::NoMetadata { found: center },
                    Some(said_by) => FormatError::Unused {
                        found: center,
                        said_by,
                    },
                });
            }
            false => None,
        };
        Ok(QuantizerParts {
            prefix,
            features,
            num_bits: rows / 2,
            codebook,
            normalization,
            method: settings.method,
            step: settings.step,
            config: settings.config,
        })
    }

    fn codebook_name(&self, prefix: Option<&str>) -> Result<String, FormatError> {
        let wanted = match prefix {
            Some(prefix) if !prefix.is_empty() => format!("{prefix}.{CODEBOOK}"),
            _ => CODEBOOK.to_string(),
        };
        if self.info(&wanted).is_some() {
            return Ok(wanted);
        }
        if prefix.is_some() {
            return Err(self.no_tensor(wanted));
        }
        let end = format!(".{CODEBOOK}");
        let codebooks = self.names().filter(|name| name.ends_with(&end));
        let mut found: Vec<String> = codebooks.map(Into::into).collect();
        match found.len() {
            0 => Err(self.no_tensor(wanted)),
            1 => Ok(found.remove(0)),
            _ => Err(FormatError::Ambiguous { found }),
        }
    }

    /// Returns the values of a quantizer's tensor that the file has, all finite.
    fn finite_values(&self, name: String, wanted: &[usize]) -> Result<Values, FormatError> {
        let info = self.info(&name);
        let info = info.ok_or_else(|| self.no_tensor(name.clone()))?;
        if info.shape != wanted {
            return Err(FormatError::Shape {
                name,
                found: info.shape,
                wanted: wanted.to_vec(),
            });
        }
        let is_single = info.element_type == ElementType::Float(FloatType::F32);
        if self.container.is_single_precision() && !is_single {
            return Err(FormatError::Type {
                name,
                found: info.element_type.to_string(),
                wanted: "F32, as a record of full precision has",
            });
        }
        let values = self.values(&name)?;
        match values.to_f64().into_iter().find(|value| !value.is_finite()) {
            Some(found) => Err(FormatError::NotFinite { name, found }),
            None => Ok(values),
        }
    }

    fn no_tensor(&self, wanted: String) -> FormatError {
        FormatError::NoTensor {
            wanted,
            found: self.names().map(Into::into).collect(),
        }
    }
}

/// Returns whether the bytes begin as a map of MessagePack with the first key of a record.
fn is_record(bytes: &[u8]) -> bool {
    let Some((0x81..=0x8f, rest)) = bytes.split_first() else {
        return false;
    };
    rest.starts_with(b"\xa8metadata") || rest.starts_with(b"\xa4item")
}

#[cfg(feature = "pytorch")]
fn pytorch(bytes: &[u8]) -> Result<Box<dyn Container + '_>, FormatError> {
    Ok(Box::new(crate::pytorch::StateDict::from_bytes(bytes)?))
}

#[cfg(not(feature = "pytorch"))]
fn pytorch(_: &[u8]) -> Result<Box<dyn Container>, FormatError> {
    Err(FormatError::LeftOut {
        found: "PyTorch's zip archive",
        feature: "pytorch",
    })
}

#[cfg(feature = "safetensors")]
fn safetensors(bytes: &[u8]) -> Result<Box<dyn Container + '_>, FormatError> {
    Ok(Box::new(crate::safetensors::Safetensors::from_bytes(
        bytes,
    )?))
}

#[cfg(not(feature = "safetensors"))]
fn safetensors(_: &[u8]) -> Result<Box<dyn Container>, FormatError> {
    Err(FormatError::LeftOut {
        found: "safetensors",
        feature: "safetensors",
    })
}

#[cfg(feature = "record")]
fn record(bytes: &[u8]) -> Result<Box<dyn Container + '_>, FormatError> {
    let record = crate::record::Record::from_bytes(bytes)?;
    Ok(Box::new(crate::record::NamedTensors::of(record)?))
}

#[cfg(not(feature = "record"))]
fn record(_: &[u8]) -> Result<Box<dyn Container>, FormatError> {
    Err(FormatError::LeftOut {
        found: "a Burn record",
        feature: "record",
    })
}
