//! The type that is computed in.

use burn::tensor::{DType, FloatDType, Tensor, activation, backend::Backend};

/// f64 where one of the types is, f32 otherwise: bits are never decided in half precision, where
/// rounding would decide those whose logits are small beside their terms.
pub(crate) fn working(dtypes: impl IntoIterator<Item = DType>) -> FloatDType {
    match dtypes.into_iter().any(|dtype| dtype == DType::F64) {
        true => FloatDType::F64,
        false => FloatDType::F32,
    }
}

/// `1 / (1 + exp(-x))`.
///
/// Burn 0.21 computes it in f32 whatever the type, on backends without one of their own; in f64 it
/// is written as a hyperbolic tangent, which keeps its gradient finite too.
pub(crate) fn sigmoid<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    match x.dtype() {
        DType::F64 => (x * 0.5).tanh() * 0.5 + 0.5,
        _ => activation::sigmoid(x),
    }
}
