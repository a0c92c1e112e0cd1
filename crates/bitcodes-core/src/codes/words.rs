//! Bits packed into 32-bit words, on the device.

use alloc::vec::Vec;
use bitcodes_kernels::layout;
use burn::tensor::backend::Backend;
use burn::tensor::{
    DType, Element, ElementConversion, Int, IntDType, Tensor, TensorData, read_sync,
};

use super::decimal::{check_bits_async, check_range};
use super::{CodesError, read};

const WORD_BITS: usize = 32;

/// Packs bits into words: bit `p` of a row is bit `p % 32` (the least significant is 0) of its word
/// `p / 32`, bits past the last are zero; see [`bitcodes_kernels::layout`].
///
/// The words are unsigned ([`DType::U32`]) on every backend.
///
/// # Shapes
///
/// - bits: `[.., num_bits]`
/// - output: `[.., ceil(num_bits / 32)]`
///
/// # Errors
///
/// [`CodesError::OutOfRange`] for bits that are not 0 or 1, [`CodesError::NoBits`] where the last
/// axis is empty. The check reads two numbers back from the device; in a browser use
/// [`pack_words_async`].
pub fn pack_words<B: Backend, const D: usize>(
    bits: Tensor<B, D, Int>,
) -> Result<Tensor<B, D, Int>, CodesError> {
    read_sync(pack_words_async(bits))
}

/// [`pack_words`] where reading back has to be waited for.
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
    // At most one bit a place: no sum carries.
    let words = (bits.reshape([rows, num_words, WORD_BITS]) * places).sum_dim(2);
    Ok(words.reshape(shape))
}

/// Unpacks what [`pack_words`] packs.
///
/// # Shapes
///
/// - words: `[.., ceil(num_bits / 32)]`, of a type of at least 32 bits; in an [`DType::I32`] the
///   32 bits of a word are taken as they are, so that words from 2^31 on are negative there
/// - output: `[.., num_bits]`, each 0 or 1, of the backend's integer type
///
/// # Errors
///
/// [`CodesError::NoBits`], [`CodesError::WordCount`] for more or fewer words than the bits need,
/// [`CodesError::WordType`] for a type of fewer than 32 bits, [`CodesError::OutOfRange`] for a
/// 64-bit number that is no word, [`CodesError::TailWord`] where a bit past the last one is set.
/// The checks read numbers back from the device; in a browser use [`unpack_words_async`].
pub fn unpack_words<B: Backend, const D: usize>(
    words: Tensor<B, D, Int>,
    num_bits: usize,
) -> Result<Tensor<B, D, Int>, CodesError> {
    read_sync(unpack_words_async(words, num_bits))
}

/// [`unpack_words`] where reading back has to be waited for.
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

/// Checks that `words` can hold rows of `num_bits` bits: their number, their type, their range.
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

/// Checks that of the words that end the rows no bit from `used` on is set.
async fn check_tail<B: Backend>(
    last: Tensor<B, 3, Int>,
    num_bits: usize,
    used: usize,
) -> Result<(), CodesError> {
    let tail = last
        .clone()
        .bitwise_right_shift_scalar((used as u32).elem());
    let any = read(tail.not_equal_elem(0).any()).await?;
    if !any.iter::<bool>().any(|set| set) {
        return Ok(());
    }
    let words = read(last).await?;
    // Of an i32 the 32 bits, of wider types what is known to fit.
    let mut words = words.iter::<i64>().map(|word| word as u32);
    let found = words.find(|word| word >> used != 0).unwrap_or_default();
    Err(CodesError::TailWord { num_bits, found })
}
