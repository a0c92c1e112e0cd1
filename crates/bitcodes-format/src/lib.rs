//! Quantizers of Bitcodes in files, without Burn.
//!
//! [`File::from_bytes`] takes the bytes of a PyTorch file (`.pt`, `.pth`), of safetensors or of a
//! Burn record (`.mpk`), and recognizes the kind of file. [`File::quantizer`] gives the quantizer
//! in the file as [`QuantizerParts`]: plain values, shapes and settings, from which any front end
//! can build a quantizer.
//!
//! ```
//! # #[cfg(feature = "safetensors")] {
//! use bitcodes_format::{File, Method, Values, to_safetensors};
//!
//! // One bit, two features: the vector (0, 1) or the vector (2, 3).
//! let codebook = Values::from_f32(&[0.0, 1.0, 2.0, 3.0]);
//! let config = r#"{"features": 2, "num_bits": 1, "normalize": false,
//!     "assignment": {"method": "joint", "beam": 8}}"#;
//! let bytes = to_safetensors(&codebook, 2, None, config, 100);
//!
//! let parts = File::from_bytes(&bytes).unwrap().quantizer(None).unwrap();
//! assert_eq!((parts.num_bits, parts.features), (1, 2));
//! assert_eq!(parts.codebook.to_f32(), [0.0, 1.0, 2.0, 3.0]);
//! assert_eq!(parts.method, Some(Method::Joint { beam: 8 }));
//! assert_eq!(parts.step, 100);
//! # }
//! ```
//!
//! The bytes may come from anywhere. Every length in them is checked before it is used, and every
//! count has a limit: a damaged or hostile file gives a [`FormatError`] that names the value found
//! and the value wanted. Nothing in a pickle is executed.
//!
//! # Features
//!
//! Each feature brings the reader of one container; all are on by default.
//!
//! | feature | container |
//! |---|---|
//! | `pytorch` | zip archives that `torch.save` writes |
//! | `safetensors` | safetensors, and [`to_safetensors`], which writes them |
//! | `record` | MessagePack records that Burn writes in full precision |

mod container;
mod error;
mod file;
mod parts;
#[cfg(feature = "pytorch")]
mod pytorch;
#[cfg(feature = "record")]
pub mod record;
#[cfg(feature = "safetensors")]
mod safetensors;
mod values;

pub use error::FormatError;
pub use file::File;
pub use parts::{Method, NormalizationParts, QuantizerParts};
#[cfg(feature = "safetensors")]
pub use safetensors::to_safetensors;
pub use values::{ElementType, FloatType, TensorInfo, Values};

#[cfg(all(doctest, feature = "safetensors"))]
#[doc = include_str!("../README.md")]
struct Readme;
