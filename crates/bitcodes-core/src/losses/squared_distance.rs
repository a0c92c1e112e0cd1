//! The mean squared distance of vectors to constants.

use burn::tensor::{Bool, Tensor, backend::Backend};

use crate::precision::working;

/// Computes `mean((x - stop_gradient(fixed))^2)` over the elements of all valid rows; 0 if no row
/// is valid.
///
/// The commitment loss, the codebook's loss and the likelihood of the vectors' normalization are
/// made of this. The computation runs in f64 if an operand is f64, in f32 otherwise.
///
/// # Shapes
///
/// - x: `[rows, features]`
/// - fixed: the same
/// - valid: `[rows, 1]`; `None` means that all rows are valid
/// - output: `[1]`
pub(crate) fn mean_squared_distance<B: Backend>(
    x: Tensor<B, 2>,
    fixed: Tensor<B, 2>,
    valid: Option<Tensor<B, 2, Bool>>,
) -> Tensor<B, 1> {
    let dtype = working([x.dtype(), fixed.dtype()]);
    let [rows, features] = x.dims();
    if rows == 0 {
        return Tensor::zeros([1], (&x.device(), dtype.into()));
    }
    let mut difference = x.cast(dtype) - fixed.detach().cast(dtype);
    let Some(valid) = valid else {
        return difference.powi_scalar(2).mean();
    };
    let valid_rows = valid.clone().int().cast(dtype).sum().clamp_min(1.0);
    difference = difference.mask_fill(valid.bool_not().expand([rows, features]), 0.0);
    difference.powi_scalar(2).sum() / (valid_rows * features as f64)
}
