//! Conversions between a tensor of bits and the other forms of codes.
//!
//! A function that depends on values reads them back from the device. It has two forms: a plain
//! one, and one whose name ends in `_async`. On a GPU in a browser only the asynchronous form works,
//! as a page cannot block.

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

/// The reason why codes cannot be converted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CodesError {
    /// The codes would have no bits.
    #[error("codes of 0 bits, expected at least 1")]
    NoBits,
    /// An integer type cannot hold this many bits.
    #[error("{num_bits} bits do not fit into {dtype:?}, which holds at most {max_bits}")]
    TooManyBits {
        /// Number of bits of a code.
        num_bits: usize,
        /// Type of the tensor's elements.
        dtype: DType,
        /// The largest number of bits that the type holds.
        max_bits: usize,
    },
    /// A value lies outside its range, as a bit that is not 0 or 1.
    #[error("found a value of {value}, expected 0 to {max}")]
    OutOfRange {
        /// The value that was found.
        value: i128,
        /// The largest value allowed; the smallest is 0.
        max: i128,
    },
    /// Rows or bits cannot be cut into parts of equal size.
    #[error("{number} {what} cannot be divided by {parts}, expected a multiple of it")]
    NotDivisible {
        /// `"rows"` or `"bits"`.
        what: &'static str,
        /// Number of rows or bits.
        number: usize,
        /// The number that should divide it.
        parts: usize,
    },
    /// A row has more or fewer words than its bits need.
    #[error("rows of {found} words for codes of {num_bits} bits, expected {wanted}")]
    WordCount {
        /// Number of words of a row.
        found: usize,
        /// Number of words that the bits need.
        wanted: usize,
        /// Number of bits of a code.
        num_bits: usize,
    },
    /// The words have another type than I32, U32 or I64.
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
        /// Number of bits of a code.
        num_bits: usize,
        /// The row's last word.
        found: u32,
    },
    /// Packed codes have more or fewer bytes than their dimensions need.
    #[error(
        "{found} bytes for codes of {num_bits} bits and dimensions {dims:?}, expected {}",
        wanted.map_or("fewer than can be addressed".into(), |bytes| alloc::format!("{bytes}"))
    )]
    ByteCount {
        /// Number of bytes that were given.
        found: usize,
        /// Number of bytes that the dimensions need; `None` if it overflows.
        wanted: Option<usize>,
        /// Dimensions of the codes.
        dims: Vec<usize>,
        /// Number of bits of a code.
        num_bits: usize,
    },
    /// A packed row breaks the layout.
    #[error("row {row}: {source}")]
    Layout {
        /// Index of the row.
        row: usize,
        /// The rule that the row breaks.
        source: LayoutError,
    },
    /// The device could not be read.
    #[error("the device could not be read: {0}")]
    Device(String),
    /// Two sets of codes differ in their dimensions or their number of bits.
    #[error(
        "codes of {found_bits} bits and dimensions {found:?}, \
         expected {wanted_bits} bits and {wanted:?}"
    )]
    Mismatch {
        /// Dimensions of the given codes.
        found: Vec<usize>,
        /// Number of bits of the given codes.
        found_bits: usize,
        /// Dimensions that were expected.
        wanted: Vec<usize>,
        /// Number of bits that was expected.
        wanted_bits: usize,
    },
}

/// Reads the values of a tensor back from its device.
pub(crate) async fn read<B: Backend, const D: usize, K: BasicOps<B>>(
    tensor: Tensor<B, D, K>,
) -> Result<TensorData, CodesError> {
    let data = tensor.into_data_async().await;
    data.map_err(|error| CodesError::Device(error.to_string()))
}

/// Iterates over the integers of a tensor's data, of any integer type.
fn integers(data: &TensorData) -> alloc::boxed::Box<dyn Iterator<Item = i128> + '_> {
    use alloc::boxed::Box;
    match data.dtype {
        // Burn's conversion to i64 panics on a u64 of 2^63 or more.
        DType::U64 => Box::new(data.iter::<u64>().map(i128::from)),
        _ => Box::new(data.iter::<i64>().map(i128::from)),
    }
}
