//! Rows of bits joined to longer ones, and cut into shorter ones.
//!
//! Bits keep their order, so that [`to_decimal`](super::to_decimal) of a joined row writes its
//! first part in the most significant places.

use burn::tensor::{Int, Tensor, backend::Backend};

use super::CodesError;

/// Joins each `rows` consecutive rows to one, the first of them first.
///
/// The reference converts its matrix "one or two rows at a time": two rows of 4 bits joined and
/// then [`to_decimal`](super::to_decimal) give a number below 256. [`split_rows`] reverses it.
///
/// # Shapes
///
/// - bits: `[.., n, num_bits]`
/// - output: `[.., n / rows, rows * num_bits]`
///
/// # Errors
///
/// [`CodesError::NotDivisible`] where `rows` does not divide `n`, or is 0.
pub fn join_rows<B: Backend, const D: usize>(
    bits: Tensor<B, D, Int>,
    rows: usize,
) -> Result<Tensor<B, D, Int>, CodesError> {
    const { assert!(D >= 2, "rows to join have two axes") };
    let mut shape = bits.dims();
    shape[D - 2] = divide("rows", shape[D - 2], rows)?;
    shape[D - 1] *= rows;
    Ok(reshaped(bits, shape))
}

/// Cuts each row into `rows` consecutive ones; reverses [`join_rows`].
///
/// # Shapes
///
/// - bits: `[.., n, rows * num_bits]`
/// - output: `[.., n * rows, num_bits]`
///
/// # Errors
///
/// [`CodesError::NotDivisible`] where `rows` does not divide the number of bits, or is 0.
pub fn split_rows<B: Backend, const D: usize>(
    bits: Tensor<B, D, Int>,
    rows: usize,
) -> Result<Tensor<B, D, Int>, CodesError> {
    const { assert!(D >= 2, "rows to split have two axes") };
    let mut shape = bits.dims();
    shape[D - 1] = divide("bits", shape[D - 1], rows)?;
    shape[D - 2] *= rows;
    Ok(reshaped(bits, shape))
}

/// Cuts each row into `tokens` tokens of equal length, along a new axis; [`join_bits`] reverses it.
///
/// With it a row of more bits than an integer holds becomes several numbers:
/// [`to_decimal`](super::to_decimal) of the result is `[.., tokens]`.
///
/// # Shapes
///
/// - bits: `[.., num_bits]`
/// - output: `[.., tokens, num_bits / tokens]`; `D2` is `D + 1`, or it does not compile
///
/// # Errors
///
/// [`CodesError::NotDivisible`] where `tokens` does not divide the number of bits, or is 0.
pub fn split_bits<B: Backend, const D: usize, const D2: usize>(
    bits: Tensor<B, D, Int>,
    tokens: usize,
) -> Result<Tensor<B, D2, Int>, CodesError> {
    const { assert!(D2 == D + 1, "D2 is D + 1") };
    let dims = bits.dims();
    let mut shape = [tokens; D2];
    shape[..D - 1].copy_from_slice(&dims[..D - 1]);
    shape[D2 - 1] = divide("bits", dims[D - 1], tokens)?;
    Ok(reshaped(bits, shape))
}

/// Joins the tokens of each row to one row; reverses [`split_bits`].
///
/// # Shapes
///
/// - bits: `[.., tokens, num_bits]`
/// - output: `[.., tokens * num_bits]`; `D2` is `D - 1`, or it does not compile
pub fn join_bits<B: Backend, const D: usize, const D2: usize>(
    bits: Tensor<B, D, Int>,
) -> Tensor<B, D2, Int> {
    const { assert!(D2 + 1 == D, "D2 is D - 1") };
    let dims = bits.dims();
    let mut shape = [dims[D - 2] * dims[D - 1]; D2];
    shape[..D2 - 1].copy_from_slice(&dims[..D2 - 1]);
    reshaped(bits, shape)
}

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

/// `reshape`, also of what is empty, which Burn's refuses.
fn reshaped<B: Backend, const D: usize, const D2: usize>(
    bits: Tensor<B, D, Int>,
    shape: [usize; D2],
) -> Tensor<B, D2, Int> {
    match shape.contains(&0) {
        true => Tensor::zeros(shape, (&bits.device(), bits.dtype())),
        false => bits.reshape(shape),
    }
}
