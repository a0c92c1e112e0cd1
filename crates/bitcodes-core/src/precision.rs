//! The float type of computations, and the sigmoid in it.

use burn::tensor::{DType, FloatDType, Tensor, activation, backend::Backend};

/// Returns f64 if one of the types is f64, otherwise f32.
///
/// Bits are never decided in half precision: if the terms of a logit are much larger than the
/// logit, rounding would decide the bit.
pub(crate) fn working(dtypes: impl IntoIterator<Item = DType>) -> FloatDType {
    match dtypes.into_iter().any(|dtype| dtype == DType::F64) {
        true => FloatDType::F64,
        false => FloatDType::F32,
    }
}

/// Computes `1 / (1 + exp(-x))`.
///
/// Burn 0.21 computes it in f32 for any type, on backends without a sigmoid of their own. So for
/// f64 it is computed here from the hyperbolic tangent, whose gradient is finite as well.
pub(crate) fn sigmoid<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    match x.dtype() {
        DType::F64 => (x * 0.5).tanh() * 0.5 + 0.5,
        _ => activation::sigmoid(x),
    }
}
