//! The type that is computed in.

use burn::tensor::{DType, FloatDType};

/// f64 where one of the types is, f32 otherwise: bits are never decided in half precision, where
/// rounding would decide those whose logits are small beside their terms.
pub(crate) fn working(dtypes: impl IntoIterator<Item = DType>) -> FloatDType {
    match dtypes.into_iter().any(|dtype| dtype == DType::F64) {
        true => FloatDType::F64,
        false => FloatDType::F32,
    }
}
