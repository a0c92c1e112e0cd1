//! Vector quantization with binary codes for [Burn](https://burn.dev).
//!
//! [`Bitcodes`] maps a vector to a row of bits and the bits back to a vector. Its codebook holds
//! one pair of vectors for each bit. The bit chooses one vector of its pair, and the output is the
//! sum of the chosen vectors. So `num_bits` bits name 2^`num_bits` outputs with only `2 * num_bits`
//! rows. An [`Assignment`] is a method of deciding and training bits, with its settings. The
//! reference in these docs is [bitcodes-pytorch](https://pypi.org/project/bitcodes-pytorch/).
//!
//! ```
//! # #[cfg(feature = "flex")] {
//! use bitcodes_core::{BitcodesConfig, PackedCodes};
//! use bitcodes_core::burn::{backend::Flex, tensor::{Distribution, Tensor}};
//!
//! let device = Default::default();
//! let bitcodes = BitcodesConfig::new(8, 4).init::<Flex>(&device);
//!
//! let x = Tensor::<Flex, 3>::random([1, 6, 8], Distribution::Default, &device);
//! let out = bitcodes.forward(x.clone());
//! assert_eq!(out.quantized.dims(), [1, 6, 8]);
//! assert_eq!(out.bits.dims(), [1, 6, 4]);
//!
//! // Packed codes have whole bytes for each vector, and decode to the same vectors.
//! let codes = PackedCodes::from_bits(out.bits).unwrap();
//! assert_eq!(codes.as_bytes().len(), 6);
//! let y = bitcodes.decode(codes.unpack::<Flex, 3>(&device));
//! assert_eq!(y.into_data(), bitcodes.quantize(x).into_data());
//! # }
//! ```
//!
//! The crate also has:
//!
//! - codes as numbers ([`to_decimal`], [`join_rows`], [`split_bits`]), as words on the device
//!   ([`pack_words`]) and as bytes on the host ([`PackedCodes`]),
//! - losses ([`CommitmentLoss`], [`EntropyLoss`]) and [`Schedule`]s for the training,
//! - statistics of how codes are used ([`BitStatistics`]),
//! - records that are checked before they are loaded (`record`),
//! - quantizers from files of PyTorch, safetensors and records (`Checkpoint`).
//!
//! The backend is chosen by the type parameter. On a backend that differentiates (`Autodiff<..>`)
//! [`Bitcodes::forward`] trains, with noise; on any other it is deterministic.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `std` (default) | Burn's `std`, records, and quantizers from records |
//! | `autodiff` (default) | Burn's `Autodiff`, and gradients of our own on the backends below |
//! | `safetensors` | quantizers as safetensors, read and written |
//! | `checkpoints` (default) | quantizers from files of PyTorch too |
//! | `flex` (default), `ndarray` | Burn's backends for the CPU |
//! | `wgpu`, `cuda` | Burn's backends for the GPU |
//! | `simd` (default) | the CPU backends use the vector instructions of the processor |
//! | `threads` (default) | the CPU backends use several threads; a browser has none |
//!
//! Without `std` the crate is `no_std` and needs `alloc`.
#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[doc(no_inline)]
pub use bitcodes_kernels as kernels;
#[doc(no_inline)]
pub use burn;

mod assignment;
pub mod backend;
#[cfg(feature = "std")]
mod checkpoint;
mod codebook;
mod codes;
mod config;
mod error;
mod graph;
pub mod init;
mod losses;
mod noise;
mod normalization;
mod output;
mod precision;
mod quantizer;
#[cfg(feature = "std")]
pub mod record;
mod schedule;
mod statistics;
mod vectors;

pub use assignment::{Assignment, Independent, Joint};
#[cfg(feature = "std")]
pub use bitcodes_format::FormatError;
#[cfg(feature = "std")]
pub use checkpoint::{Checkpoint, CheckpointError};
pub use codes::{
    CodesError, LayoutError, PackedCodes, check_bits, check_bits_async, join_bits, join_rows,
    pack_words, pack_words_async, split_bits, split_rows, to_bits, to_bits_async, to_decimal,
    to_decimal_async, unpack_words, unpack_words_async,
};
pub use config::BitcodesConfig;
pub use error::ConfigError;
pub use init::Initializer;
pub use losses::{CommitmentLoss, EntropyLoss};
pub use noise::logistic_noise;
pub use normalization::Normalization;
pub use output::BitcodesOutput;
pub use quantizer::{Bitcodes, BitcodesRecord};
pub use schedule::{Curve, Schedule, ScheduleError, ScheduleParseError};
pub use statistics::{BitStatistics, Estimate};
