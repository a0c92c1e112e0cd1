//! Rows of bits joined to longer rows, and split into shorter ones.
//!
//! The bits keep their order. So in the number that [`to_decimal`](super::to_decimal) makes of a
//! joined row, the first of the rows has the most significant places.

use burn::tensor::{Int, Tensor, backend::Backend};

use super::CodesError;

/// Joins each group of `rows` consecutive rows to one row.
///
/// bitcodes-pytorch converts its matrix of bits to numbers "one or two rows at a time": two joined
/// rows of 4 bits are a number below 256. [`split_rows`] is the inverse.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use bitcodes_core::{join_rows, to_decimal};
/// use bitcodes_core::burn::{backend::Flex, tensor::{Int, Tensor}};
///
/// let device = Default::default();
/// let bits = [[0, 0, 0, 0], [1, 0, 1, 1], [1, 0, 0, 1], [1, 0, 0, 0]];
/// let bits = Tensor::<Flex, 2, Int>::from_data(bits, &device);
/// let pairs = join_rows(bits, 2).unwrap();
/// assert_eq!(pairs.dims(), [2, 8]);
/// let indices: Tensor<Flex, 1, Int> = to_decimal(pairs).unwrap();
/// assert_eq!(indices.into_data().iter::<i64>().collect::<Vec<_>>(), [11, 152]);
/// # }
/// ```
///
/// # Shapes
///
/// - bits: `[.., n, num_bits]`
/// - output: `[.., n / rows, rows * num_bits]`
///
/// # Errors
///
/// Returns [`CodesError::NotDivisible`] if `rows` is 0 or does not divide `n`.
pub fn join_rows<B: Backend, const D: usize>(
    bits: Tensor<B, D, Int>,
    rows: usize,
) -> Result<Tensor<B, D, Int>, CodesError> {
    const { assert!(D >= 2, "rows to join have two axes") };
    let mut shape = bits.dims();
    shape[D - 2] = divide("rows", shape[D - 2], rows)?;
    shape[D - 1] *= rows;
    Ok(reshape_any(bits, shape))
}

/// Splits each row into `rows` consecutive rows of equal length; the inverse of [`join_rows`].
///
/// # Shapes
///
/// - bits: `[.., n, rows * num_bits]`
/// - output: `[.., n * rows, num_bits]`
///
/// # Errors
///
/// Returns [`CodesError::NotDivisible`] if `rows` is 0 or does not divide the number of bits.
pub fn split_rows<B: Backend, const D: usize>(
    bits: Tensor<B, D, Int>,
    rows: usize,
) -> Result<Tensor<B, D, Int>, CodesError> {
    const { assert!(D >= 2, "rows to split have two axes") };
    let mut shape = bits.dims();
    shape[D - 1] = divide("bits", shape[D - 1], rows)?;
    shape[D - 2] *= rows;
    Ok(reshape_any(bits, shape))
}

/// Splits each row into `chunks` chunks of equal length, along a new axis.
///
/// A row with more bits than an integer holds becomes several numbers in this way:
/// [`to_decimal`](super::to_decimal) of the result is `[.., chunks]`. [`join_bits`] is the inverse.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use bitcodes_core::{split_bits, to_decimal};
/// use bitcodes_core::burn::{backend::Flex, tensor::{Int, Tensor}};
///
/// let device = Default::default();
/// let bits = Tensor::<Flex, 2, Int>::from_data([[1, 0, 0, 1, 1, 0, 0, 0]], &device);
/// let chunks: Tensor<Flex, 3, Int> = split_bits(bits, 2).unwrap();
/// assert_eq!(chunks.dims(), [1, 2, 4]);
/// let indices: Tensor<Flex, 2, Int> = to_decimal(chunks).unwrap();
/// assert_eq!(indices.into_data().iter::<i64>().collect::<Vec<_>>(), [9, 8]);
/// # }
/// ```
///
/// # Shapes
///
/// - bits: `[.., num_bits]`
/// - output: `[.., chunks, num_bits / chunks]`; `D2` has to be `D + 1`, or it does not compile
///
/// # Errors
///
/// Returns [`CodesError::NotDivisible`] if `chunks` is 0 or does not divide the number of bits.
pub fn split_bits<B: Backend, const D: usize, const D2: usize>(
    bits: Tensor<B, D, Int>,
    chunks: usize,
) -> Result<Tensor<B, D2, Int>, CodesError> {
    const { assert!(D2 == D + 1, "D2 is D + 1") };
    let dims = bits.dims();
    let mut shape = [chunks; D2];
    shape[..D - 1].copy_from_slice(&dims[..D - 1]);
    shape[D2 - 1] = divide("bits", dims[D - 1], chunks)?;
    Ok(reshape_any(bits, shape))
}

/// Joins the chunks of each row to one row; the inverse of [`split_bits`].
///
/// # Shapes
///
/// - bits: `[.., chunks, num_bits]`
/// - output: `[.., chunks * num_bits]`; `D2` has to be `D - 1`, or it does not compile
pub fn join_bits<B: Backend, const D: usize, const D2: usize>(
    bits: Tensor<B, D, Int>,
) -> Tensor<B, D2, Int> {
    const { assert!(D2 + 1 == D, "D2 is D - 1") };
    let dims = bits.dims();
    let mut shape = [dims[D - 2] * dims[D - 1]; D2];
    shape[..D2 - 1].copy_from_slice(&dims[..D2 - 1]);
    reshape_any(bits, shape)
}

/// Divides a number of rows or bits, which has to leave no remainder.
fn divide(what: &'static str, number: usize, parts: usize) -> Result<usize, CodesError> {
    match number.checked_rem(parts) {
        Some(0) => Ok(number / parts),
        _ => Err(CodesError::NotDivisible {
            what,
            number,
            parts,
        }),
    }
}

/// Reshapes a tensor, also an empty one, which Burn's `reshape` refuses.
fn reshape_any<B: Backend, const D: usize, const D2: usize>(
    bits: Tensor<B, D, Int>,
    shape: [usize; D2],
) -> Tensor<B, D2, Int> {
    match shape.contains(&0) {
        true => Tensor::zeros(shape, (&bits.device(), bits.dtype())),
        false => bits.reshape(shape),
    }
}
