//! Codes packed to 32-bit words, on the device.

use alloc::vec::Vec;
use bitcodes_kernels::layout;
use burn::tensor::backend::Backend;
use burn::tensor::{
    DType, Element, ElementConversion, Int, IntDType, Tensor, TensorData, read_sync,
};

use super::decimal::{check_bits_async, check_range};
use super::{CodesError, read};

const WORD_BITS: usize = 32;

/// Packs each row of bits to 32-bit words, on the device.
///
/// Bit `p` of a row is bit `p % 32` (0 is the least significant) of word `p / 32`, and the bits
/// past the last one are zero; see [`bitcodes_kernels::layout`]. The words have the type
/// [`DType::U32`] on every backend. [`unpack_words`] is the inverse.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use bitcodes_core::{pack_words, unpack_words};
/// use bitcodes_core::burn::{backend::Flex, tensor::{Int, Tensor}};
///
/// let device = Default::default();
/// let bits = Tensor::<Flex, 2, Int>::from_data([[1, 0, 1, 1], [0, 0, 1, 0]], &device);
/// let words = pack_words(bits.clone()).unwrap();
/// assert_eq!(words.dims(), [2, 1]);
/// assert_eq!(words.to_data().to_vec::<u32>().unwrap(), [0b1101, 0b0100]);
/// assert_eq!(unpack_words(words, 4).unwrap().into_data(), bits.into_data());
/// # }
/// ```
///
/// # Shapes
///
/// - bits: `[.., num_bits]`
/// - output: `[.., ceil(num_bits / 32)]`
///
/// # Errors
///
/// Returns:
/// - [`CodesError::NoBits`] if the last axis is empty
/// - [`CodesError::OutOfRange`] if a bit is not 0 or 1; the check reads two numbers back from the
///   device; in a browser use [`pack_words_async`]
/// - [`CodesError::Device`] if the device cannot be read
pub fn pack_words<B: Backend, const D: usize>(
    bits: Tensor<B, D, Int>,
) -> Result<Tensor<B, D, Int>, CodesError> {
    read_sync(pack_words_async(bits))
}

/// Packs each row of bits to 32-bit words; the asynchronous form of [`pack_words`].
///
/// # Errors
///
/// As [`pack_words`].
pub async fn pack_words_async<B: Backend, const D: usize>(
    bits: Tensor<B, D, Int>,
) -> Result<Tensor<B, D, Int>, CodesError> {
    let dims = bits.dims();
    let num_bits = dims[D - 1];
    if num_bits == 0 {
        return Err(CodesError::NoBits);
    }
    check_bits_async(&bits).await?;
    let device = bits.device();
    let num_words = layout::row_words(num_bits);
    let mut shape = dims;
    shape[D - 1] = num_words;
    let rows: usize = dims[..D - 1].iter().product();
    if rows == 0 {
        return Ok(Tensor::zeros(shape, (&device, DType::U32)));
    }

    let mut bits = bits.reshape([rows, num_bits]).cast(IntDType::U32);
    let tail = num_words * WORD_BITS - num_bits;
    if tail > 0 {
        let zeros = Tensor::zeros([rows, tail], (&device, DType::U32));
        bits = Tensor::cat([bits, zeros].into(), 1);
    }
    let places: Vec<u32> = (0..WORD_BITS).map(|place| 1 << place).collect();
    let places = TensorData::new(places, [1, 1, WORD_BITS]);
    let places = Tensor::<B, 3, Int>::from_data(places, (&device, DType::U32));
    // The powers of two are distinct, so their sum is the word.
    let words = (bits.reshape([rows, num_words, WORD_BITS]) * places).sum_dim(2);
    Ok(words.reshape(shape))
}

/// Unpacks 32-bit words to rows of `num_bits` bits, on the device; the inverse of [`pack_words`].
///
/// The checks read numbers back from the device; in a browser use [`unpack_words_async`].
///
/// # Shapes
///
/// - words: `[.., ceil(num_bits / 32)]`, of type [`DType::U32`], [`DType::I32`] or [`DType::I64`].
///   An I32 has the same 32 bits as the word, so a word of 2^31 or more is negative as an I32.
/// - output: `[.., num_bits]`, each 0 or 1, of the backend's integer type
///
/// # Errors
///
/// Returns:
/// - [`CodesError::NoBits`] if `num_bits` is 0
/// - [`CodesError::WordCount`] if a row has more or fewer words than the bits need
/// - [`CodesError::WordType`] if the words have another type
/// - [`CodesError::OutOfRange`] if an I64 is not a 32-bit word
/// - [`CodesError::TailWord`] if a bit past the last one of a row is set
/// - [`CodesError::Device`] if the device cannot be read
pub fn unpack_words<B: Backend, const D: usize>(
    words: Tensor<B, D, Int>,
    num_bits: usize,
) -> Result<Tensor<B, D, Int>, CodesError> {
    read_sync(unpack_words_async(words, num_bits))
}

/// Unpacks 32-bit words to rows of bits; the asynchronous form of [`unpack_words`].
///
/// # Errors
///
/// As [`unpack_words`].
pub async fn unpack_words_async<B: Backend, const D: usize>(
    words: Tensor<B, D, Int>,
    num_bits: usize,
) -> Result<Tensor<B, D, Int>, CodesError> {
    check_word_tensor(&words, num_bits).await?;
    let dims = words.dims();
    let num_words = dims[D - 1];
    let device = words.device();
    let bits_type = IntDType::from(B::IntElem::dtype());
    let mut shape = dims;
    shape[D - 1] = num_bits;
    let rows: usize = dims[..D - 1].iter().product();
    if rows == 0 {
        return Ok(Tensor::zeros(shape, (&device, bits_type.into())));
    }

    let words = words.reshape([rows, num_words, 1]);
    let used = num_bits % WORD_BITS;
    if used > 0 {
        let last = words.clone().narrow(1, num_words - 1, 1);
        check_tail(last, num_bits, used).await?;
    }
    let places = (0..WORD_BITS as u32).map(|place| {
        words
            .clone()
            .bitwise_right_shift_scalar(place.elem())
            .bitwise_and_scalar(1.elem())
    });
    let bits = Tensor::cat(places.collect(), 2).reshape([rows, num_words * WORD_BITS]);
    let bits = bits.narrow(1, 0, num_bits).cast(bits_type);
    Ok(bits.reshape(shape))
}

/// Checks that `words` has the number of words, the type and the range for rows of `num_bits` bits.
async fn check_word_tensor<B: Backend, const D: usize>(
    words: &Tensor<B, D, Int>,
    num_bits: usize,
) -> Result<(), CodesError> {
    let (found, wanted) = (words.dims()[D - 1], layout::row_words(num_bits));
    if num_bits == 0 {
        return Err(CodesError::NoBits);
    }
    if found != wanted {
        return Err(CodesError::WordCount {
            found,
            wanted,
            num_bits,
        });
    }
    match words.dtype() {
        DType::I32 | DType::U32 => Ok(()),
        DType::I64 => check_range(words, u32::MAX.into()).await,
        dtype => Err(CodesError::WordType { dtype }),
    }
}

/// Checks that no bit from position `used` on is set in `last`, the last word of each row.
async fn check_tail<B: Backend>(
    last: Tensor<B, 3, Int>,
    num_bits: usize,
    used: usize,
) -> Result<(), CodesError> {
    let tail = last
        .clone()
        .bitwise_right_shift_scalar((used as u32).elem());
    let has_tail = read(tail.not_equal_elem(0).any()).await?;
    if !has_tail.iter::<bool>().any(|set| set) {
        return Ok(());
    }
    let words = read(last).await?;
    // The cast keeps the 32 bits of an i32; an i64 is known to fit.
    let mut words = words.iter::<i64>().map(|word| word as u32);
    let found = words.find(|word| word >> used != 0).unwrap_or_default();
    Err(CodesError::TailWord { num_bits, found })
}
