//! Bits as whole numbers and back, the first bit the most significant.

use alloc::vec::Vec;
use burn::tensor::{
    DType, ElementConversion, Int, Tensor, TensorData, backend::Backend, read_sync,
};

use super::{CodesError, integers, read};

/// The number that each row of bits writes in binary, the first bit the most significant.
///
/// Burn has no tensor without axes: a single row `[num_bits]` gives `[1]`.
///
/// # Shapes
///
/// - bits: `[.., num_bits]`
/// - output: the leading axes; `D2` is `D - 1`, and 1 where `D` is 1, or it does not compile
///
/// # Errors
///
/// [`CodesError::TooManyBits`] for more bits than the tensor's integer type holds (31 for i32, 63
/// for i64), [`CodesError::OutOfRange`] for bits that are not 0 or 1. The check reads two numbers
/// back from the device; in a browser use [`to_decimal_async`].
pub fn to_decimal<B: Backend, const D: usize, const D2: usize>(
    bits: Tensor<B, D, Int>,
) -> Result<Tensor<B, D2, Int>, CodesError> {
    read_sync(to_decimal_async(bits))
}

/// [`to_decimal`] where reading back has to be waited for.
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

/// The bits of each number, the first bit the most significant.
///
/// # Shapes
///
/// - indices: `[..]`
/// - output: `[.., num_bits]`; `D2` is `D + 1`, or it does not compile
///
/// # Errors
///
/// [`CodesError::TooManyBits`] for more bits than the tensor's integer type holds (31 for i32, 63
/// for i64), [`CodesError::OutOfRange`] for a number below 0 or from 2^`num_bits`. The check reads
/// two numbers back from the device; in a browser use [`to_bits_async`].
pub fn to_bits<B: Backend, const D: usize, const D2: usize>(
    indices: Tensor<B, D, Int>,
    num_bits: usize,
) -> Result<Tensor<B, D2, Int>, CodesError> {
    read_sync(to_bits_async(indices, num_bits))
}

/// [`to_bits`] where reading back has to be waited for.
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

/// Checks that bits are 0 or 1, as [`decode`](crate::Bitcodes::decode) takes them unchecked.
///
/// # Errors
///
/// [`CodesError::OutOfRange`] with one that is not. The check reads two numbers back from the
/// device; in a browser use [`check_bits_async`].
pub fn check_bits<B: Backend, const D: usize>(bits: &Tensor<B, D, Int>) -> Result<(), CodesError> {
    read_sync(check_bits_async(bits))
}

/// [`check_bits`] where reading back has to be waited for.
///
/// # Errors
///
/// As [`check_bits`].
pub async fn check_bits_async<B: Backend, const D: usize>(
    bits: &Tensor<B, D, Int>,
) -> Result<(), CodesError> {
    check_range(bits, 1).await
}

fn check_bits_fit(num_bits: usize, dtype: DType) -> Result<(), CodesError> {
    let max_bits = match dtype {
        DType::I8 => 7,
        DType::U8 => 8,
        DType::I16 => 15,
        DType::U16 => 16,
        DType::I32 => 31,
        DType::U32 => 32,
        // A u64 of 64 bits would not fit the i64 through which values are read back.
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

pub(super) async fn check_range<B: Backend, const D: usize>(
    values: &Tensor<B, D, Int>,
    max: i128,
) -> Result<(), CodesError> {
    if values.shape().num_elements() == 0 {
        return Ok(());
    }
    // As data: a scalar would pass through the backend's own integer type, which may be narrower.
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
