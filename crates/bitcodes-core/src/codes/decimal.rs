//! Codes as whole numbers, whose most significant bit is the first bit.

use alloc::vec::Vec;
use burn::tensor::{
    DType, ElementConversion, Int, Tensor, TensorData, backend::Backend, read_sync,
};

use super::{CodesError, integers, read};

/// Converts each row of bits to the number that it writes in binary.
///
/// The first bit is the most significant: `[1, 0, 1, 1]` gives 11. [`to_bits`] is the inverse.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use bitcodes_core::to_decimal;
/// use bitcodes_core::burn::{backend::Flex, tensor::{Int, Tensor}};
///
/// let device = Default::default();
/// let bits = Tensor::<Flex, 2, Int>::from_data([[1, 0, 1, 1], [0, 0, 1, 0]], &device);
/// let indices: Tensor<Flex, 1, Int> = to_decimal(bits).unwrap();
/// assert_eq!(indices.into_data().iter::<i64>().collect::<Vec<_>>(), [11, 2]);
/// # }
/// ```
///
/// # Shapes
///
/// - bits: `[.., num_bits]`
/// - output: the leading axes; `D2` has to be `D - 1`, or it does not compile. Burn has no tensor
///   without axes, so a single row `[num_bits]` gives `[1]`, with `D2` of 1.
///
/// # Errors
///
/// Returns:
/// - [`CodesError::NoBits`] if the last axis is empty
/// - [`CodesError::TooManyBits`] if the tensor's integer type cannot hold so many bits: 31 in i32,
///   63 in i64, fewer in narrower types
/// - [`CodesError::OutOfRange`] if a bit is not 0 or 1; the check reads two numbers back from the
///   device; in a browser use [`to_decimal_async`]
/// - [`CodesError::Device`] if the device cannot be read
pub fn to_decimal<B: Backend, const D: usize, const D2: usize>(
    bits: Tensor<B, D, Int>,
) -> Result<Tensor<B, D2, Int>, CodesError> {
    read_sync(to_decimal_async(bits))
}

/// Converts each row of bits to a number; the asynchronous form of [`to_decimal`].
///
/// # Errors
///
/// As [`to_decimal`].
pub async fn to_decimal_async<B: Backend, const D: usize, const D2: usize>(
    bits: Tensor<B, D, Int>,
) -> Result<Tensor<B, D2, Int>, CodesError> {
    const {
        let leading = if D == 1 { 1 } else { D - 1 };
        assert!(D2 == leading, "D2 is D - 1, and 1 where D is 1");
    }
    let dims = bits.dims();
    let num_bits = dims[D - 1];
    check_bits_fit(num_bits, bits.dtype())?;
    check_bits_async(&bits).await?;

    let mut shape = [1; D2];
    shape[..D - 1].copy_from_slice(&dims[..D - 1]);
    let rows = shape.iter().product();
    if rows == 0 {
        return Ok(Tensor::zeros(shape, (&bits.device(), bits.dtype())));
    }
    let powers: Vec<i64> = (0..num_bits).rev().map(|power| 1 << power).collect();
    let powers = Tensor::<B, 2, Int>::from_data(
        TensorData::new(powers, [1, num_bits]),
        (&bits.device(), bits.dtype()),
    );
    let decimal = (bits.reshape([rows, num_bits]) * powers).sum_dim(1);
    Ok(decimal.reshape(shape))
}

/// Converts each number to its `num_bits` bits, the most significant first.
///
/// [`to_decimal`] is the inverse.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use bitcodes_core::to_bits;
/// use bitcodes_core::burn::{backend::Flex, tensor::{Int, Tensor}};
///
/// let device = Default::default();
/// let indices = Tensor::<Flex, 1, Int>::from_data([11, 2], &device);
/// let bits: Tensor<Flex, 2, Int> = to_bits(indices, 4).unwrap();
/// assert_eq!(
///     bits.into_data().iter::<i64>().collect::<Vec<_>>(),
///     [1, 0, 1, 1, 0, 0, 1, 0]
/// );
/// # }
/// ```
///
/// # Shapes
///
/// - indices: `[..]`
/// - output: `[.., num_bits]`; `D2` has to be `D + 1`, or it does not compile
///
/// # Errors
///
/// Returns:
/// - [`CodesError::NoBits`] if `num_bits` is 0
/// - [`CodesError::TooManyBits`] if the tensor's integer type cannot hold so many bits: 31 in i32,
///   63 in i64, fewer in narrower types
/// - [`CodesError::OutOfRange`] if a number is below 0 or not below 2^`num_bits`; the check reads
///   two numbers back from the device; in a browser use [`to_bits_async`]
/// - [`CodesError::Device`] if the device cannot be read
pub fn to_bits<B: Backend, const D: usize, const D2: usize>(
    indices: Tensor<B, D, Int>,
    num_bits: usize,
) -> Result<Tensor<B, D2, Int>, CodesError> {
    read_sync(to_bits_async(indices, num_bits))
}

/// Converts each number to its bits; the asynchronous form of [`to_bits`].
///
/// # Errors
///
/// As [`to_bits`].
pub async fn to_bits_async<B: Backend, const D: usize, const D2: usize>(
    indices: Tensor<B, D, Int>,
    num_bits: usize,
) -> Result<Tensor<B, D2, Int>, CodesError> {
    const { assert!(D2 == D + 1, "D2 is D + 1") };
    check_bits_fit(num_bits, indices.dtype())?;
    check_range(&indices, (1 << num_bits) - 1).await?;
    if indices.dims().contains(&0) {
        let mut shape = [num_bits; D2];
        shape[..D].copy_from_slice(&indices.dims());
        return Ok(Tensor::zeros(shape, (&indices.device(), indices.dtype())));
    }

    let bits = (0..num_bits as i64).rev().map(|power| {
        indices
            .clone()
            .bitwise_right_shift_scalar(power.elem())
            .bitwise_and_scalar(1.elem())
    });
    Ok(Tensor::stack(bits.collect(), D))
}

/// Checks that all bits are 0 or 1.
///
/// [`decode`](crate::Bitcodes::decode) does not check its bits. The check reads two numbers back
/// from the device; in a browser use [`check_bits_async`].
///
/// # Errors
///
/// Returns:
/// - [`CodesError::OutOfRange`] if a bit is not 0 or 1
/// - [`CodesError::Device`] if the device cannot be read
pub fn check_bits<B: Backend, const D: usize>(bits: &Tensor<B, D, Int>) -> Result<(), CodesError> {
    read_sync(check_bits_async(bits))
}

/// Checks that all bits are 0 or 1; the asynchronous form of [`check_bits`].
///
/// # Errors
///
/// As [`check_bits`].
pub async fn check_bits_async<B: Backend, const D: usize>(
    bits: &Tensor<B, D, Int>,
) -> Result<(), CodesError> {
    check_range(bits, 1).await
}

/// Checks that numbers of `num_bits` bits fit into the integer type.
fn check_bits_fit(num_bits: usize, dtype: DType) -> Result<(), CodesError> {
    let max_bits = match dtype {
        DType::I8 => 7,
        DType::U8 => 8,
        DType::I16 => 15,
        DType::U16 => 16,
        DType::I32 => 31,
        DType::U32 => 32,
        // The powers of two are made as i64, so 63 is the limit for u64, too.
        _ => 63,
    };
    match num_bits {
        0 => Err(CodesError::NoBits),
        1.. if num_bits <= max_bits => Ok(()),
        _ => Err(CodesError::TooManyBits {
            num_bits,
            dtype,
            max_bits,
        }),
    }
}

/// Checks that all values lie between 0 and `max`.
pub(super) async fn check_range<B: Backend, const D: usize>(
    values: &Tensor<B, D, Int>,
    max: i128,
) -> Result<(), CodesError> {
    if values.shape().num_elements() == 0 {
        return Ok(());
    }
    // Read as data: `into_scalar` converts to the backend's integer type, which may be narrower.
    let ends = [
        read(values.clone().min()).await?,
        read(values.clone().max()).await?,
    ];
    match ends
        .iter()
        .flat_map(integers)
        .find(|end| !(0..=max).contains(end))
    {
        Some(value) => Err(CodesError::OutOfRange { value, max }),
        None => Ok(()),
    }
}
