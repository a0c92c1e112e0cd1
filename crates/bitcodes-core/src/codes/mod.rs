//! Codes in other forms than a tensor of bits.

mod decimal;
mod packed;

pub use decimal::{to_bits, to_decimal};
pub use packed::PackedCodes;

use alloc::vec::Vec;
use bitcodes_kernels::layout::LayoutError;
use burn::tensor::DType;

/// Codes that cannot be converted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CodesError {
    /// The codes would have no bits.
    #[error("codes of 0 bits, expected at least 1")]
    NoBits,
    /// An integer type cannot hold this many bits.
    #[error("{num_bits} bits do not fit into {dtype:?}, which holds at most {max_bits}")]
    TooManyBits {
        /// Bits of a code.
        num_bits: usize,
        /// Type of the tensor's elements.
        dtype: DType,
        /// The most that the type holds.
        max_bits: usize,
    },
    /// A value lies outside the range of its kind.
    #[error("found a value of {value}, expected 0 to {max}")]
    OutOfRange {
        /// What was found.
        value: i64,
        /// The largest value allowed; the smallest is 0.
        max: i64,
    },
    /// The bytes of packed codes are more or fewer than their dimensions need.
    #[error(
        "{found} bytes for codes of {num_bits} bits and dimensions {dims:?}, expected {wanted:?}"
    )]
    ByteCount {
        /// Bytes that were given.
        found: usize,
        /// Bytes that are needed; `None` where that number overflows.
        wanted: Option<usize>,
        /// Dimensions of the codes.
        dims: Vec<usize>,
        /// Bits of a code.
        num_bits: usize,
    },
    /// A packed row breaks the layout.
    #[error("row {row}: {source}")]
    Layout {
        /// Index of the row.
        row: usize,
        /// What is wrong with it.
        source: LayoutError,
    },
}
