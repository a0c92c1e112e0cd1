//! Codes in other forms than a tensor of bits.
//!
//! What has to look at values reads them back from their device. Each such function comes twice:
//! plainly, and as `.._async`, which alone works on a GPU in a browser, where nothing can wait.

mod decimal;
mod from_device;
mod packed;
mod rows;
mod words;

pub use bitcodes_kernels::layout::LayoutError;
pub use decimal::{
    check_bits, check_bits_async, to_bits, to_bits_async, to_decimal, to_decimal_async,
};
pub use packed::PackedCodes;
pub use rows::{join_bits, join_rows, split_bits, split_rows};
pub use words::{pack_words, pack_words_async, unpack_words, unpack_words_async};

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use burn::tensor::{BasicOps, DType, Tensor, TensorData, backend::Backend};

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
        value: i128,
        /// The largest value allowed; the smallest is 0.
        max: i128,
    },
    /// Rows or bits cannot be cut into parts of equal size.
    #[error("{number} {what} cannot be divided by {parts}, expected a multiple of it")]
    NotDivisible {
        /// Rows or bits.
        what: &'static str,
        /// How many there are.
        number: usize,
        /// How many were to be one, or to be made of one.
        parts: usize,
    },
    /// A row has more or fewer words than its bits need.
    #[error("rows of {found} words for codes of {num_bits} bits, expected {wanted}")]
    WordCount {
        /// Words of a row.
        found: usize,
        /// Words that are needed.
        wanted: usize,
        /// Bits of a code.
        num_bits: usize,
    },
    /// An integer type cannot hold a word.
    #[error("words of type {dtype:?}, expected I32, U32 or I64")]
    WordType {
        /// Type of the tensor's elements.
        dtype: DType,
    },
    /// A bit past the last one of a row is set.
    #[error(
        "the last word of a row of {num_bits} bits is {found:#010x}, \
         expected zeros past the last bit"
    )]
    TailWord {
        /// Bits of a code.
        num_bits: usize,
        /// The word.
        found: u32,
    },
    /// The bytes of packed codes are more or fewer than their dimensions need.
    #[error(
        "{found} bytes for codes of {num_bits} bits and dimensions {dims:?}, expected {}",
        wanted.map_or("fewer than can be addressed".into(), |bytes| alloc::format!("{bytes}"))
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
    /// The device could not be read.
    #[error("the device could not be read: {0}")]
    Device(String),
    /// Codes that are to be compared have other dimensions or bits.
    #[error(
        "codes of {found_bits} bits and dimensions {found:?}, \
         expected {wanted_bits} bits and {wanted:?}"
    )]
    Mismatch {
        /// Dimensions of the second.
        found: Vec<usize>,
        /// Bits of the second.
        found_bits: usize,
        /// Dimensions of the first.
        wanted: Vec<usize>,
        /// Bits of the first.
        wanted_bits: usize,
    },
}

/// The data of a tensor, from its device.
async fn read<B: Backend, const D: usize, K: BasicOps<B>>(
    tensor: Tensor<B, D, K>,
) -> Result<TensorData, CodesError> {
    let data = tensor.into_data_async().await;
    data.map_err(|error| CodesError::Device(error.to_string()))
}

/// The integers of a tensor's data, of any type.
fn integers(data: &TensorData) -> alloc::boxed::Box<dyn Iterator<Item = i128> + '_> {
    use alloc::boxed::Box;
    match data.dtype {
        // Which Burn's conversion to i64 panics on where they are too large.
        DType::U64 => Box::new(data.iter::<u64>().map(i128::from)),
        _ => Box::new(data.iter::<i64>().map(i128::from)),
    }
}
