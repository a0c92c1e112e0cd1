//! Parts of a quantizer as plain values.

use std::fmt;

use crate::Values;

/// Names of a quantizer's tensors; the last two belong to the normalization.
pub(crate) const CODEBOOK: &str = "codebook";
pub(crate) const CENTER: &str = "normalization.center";
pub(crate) const LOG_SCALE: &str = "normalization.log_scale";

/// Everything that a file holds of one quantizer.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizerParts {
    /// Beginning of the names of the quantizer's tensors, with its last dot; empty if the quantizer
    /// stands alone.
    pub prefix: String,
    /// Length of a vector, at least 1.
    pub features: usize,
    /// Number of bits of a code, at least 1.
    pub num_bits: usize,
    /// Finite values, `[2 * num_bits, features]`; rows `2p` and `2p + 1` are the pair of bit `p`.
    pub codebook: Values,
    /// Center and scale, if the quantizer normalizes.
    pub normalization: Option<NormalizationParts>,
    /// Method that decides bits. The field is `None` if the file does not name a method, as in a
    /// state dict of the reference. A quantizer without a method is [`Method::Independent`].
    pub method: Option<Method>,
    /// Number of training steps that the schedules have advanced by; 0 if the file has none.
    pub step: usize,
    /// Configuration as JSON, if the file has it: in the metadata of our safetensors.
    pub config: Option<String>,
}

/// Finite values of a normalization:
/// `normalized(x) = DEVIATION * x / exp(log_scale) - center`, with a `DEVIATION` of 1/2.
#[derive(Debug, Clone, PartialEq)]
pub struct NormalizationParts {
    /// Center of each feature, `[features]`.
    pub center: Values,
    /// Logarithm of the scale, `[1]`.
    pub log_scale: Values,
}

/// Method that decides the bits of a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Each bit is decided alone.
    Independent,
    /// A beam search decides all bits together.
    Joint {
        /// Width of the beam, as the file has it. It is not checked that the encoder takes such a
        /// beam.
        beam: usize,
    },
}

impl Method {
    /// Returns the name of the method in files: `independent` or `joint`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Independent => "independent",
            Self::Joint { .. } => "joint",
        }
    }

    /// Returns the width of the beam, if the method has one.
    pub const fn beam(self) -> Option<usize> {
        match self {
            Self::Independent => None,
            Self::Joint { beam } => Some(beam),
        }
    }

    /// Returns the method with this name and beam, as a file gives them.
    #[cfg(any(feature = "record", feature = "safetensors"))]
    pub(crate) fn of_file(name: &str, beam: Option<usize>) -> Result<Self, WrongField> {
        let wrong = |field, found, wanted| WrongField {
            field,
            found,
            wanted,
        };
        match (name, beam) {
            ("independent", None) => Ok(Self::Independent),
            ("joint", Some(beam)) => Ok(Self::Joint { beam }),
            ("independent", Some(beam)) => Err(wrong(
                "beam",
                beam.to_string(),
                "nothing for the method independent",
            )),
            ("joint", None) => {
                let found = "nothing".to_string();
                Err(wrong("beam", found, "a number for the method joint"))
            }
            (other, _) => {
                let found = format!("{:?}", crate::error::shortened(other));
                Err(wrong("method", found, "independent or joint"))
            }
        }
    }
}

/// Error of a field that gives no method, in the assignment of a file.
#[cfg(any(feature = "record", feature = "safetensors"))]
#[derive(Debug)]
pub(crate) struct WrongField {
    pub field: &'static str,
    pub found: String,
    pub wanted: &'static str,
}

/// Writes the [name](Method::name) of the method.
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
