//! Tensors in the host's memory, whose elements are lent to kernels without a copy.

use alloc::vec::Vec;
use core::any::Any;

use bitcodes_kernels::Rows;
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{DType, Element, Int, Tensor, TensorData};

use super::known::Known;

/// Joins parts `[rows of the part, columns]` to `[rows, columns]`, as `Tensor::cat` does.
///
/// In host memory a part is freed once it is appended, whereas `cat` holds all parts beside the
/// whole. `slice_assign` would do as well if Burn's Flex did not copy the whole tensor each time.
pub(crate) fn concatenate<B: Backend>(
    parts: impl Iterator<Item = Tensor<B, 2>>,
    [rows, columns]: [usize; 2],
    dtype: DType,
    device: &B::Device,
) -> Tensor<B, 2> {
    let in_host_memory = Known::of::<B>().is_some_and(Known::is_in_host_memory);
    match dtype {
        DType::F32 if in_host_memory => append::<B, f32>(parts, [rows, columns], device),
        DType::F64 if in_host_memory => append::<B, f64>(parts, [rows, columns], device),
        _ => Tensor::cat(parts.collect(), 0),
    }
}

fn append<B: Backend, E: Element>(
    parts: impl Iterator<Item = Tensor<B, 2>>,
    shape: [usize; 2],
    device: &B::Device,
) -> Tensor<B, 2> {
    let mut elements: Vec<E> = Vec::with_capacity(shape[0] * shape[1]);
    for part in parts {
        elements.extend(part.into_data().iter::<E>());
    }
    Tensor::from_data(TensorData::new(elements, shape), (device, E::dtype()))
}

/// Integers in the host's memory, one after the other.
#[cfg_attr(
    not(any(feature = "flex", feature = "ndarray")),
    expect(dead_code, reason = "no backend lends integers there")
)]
pub(super) enum Integers<'a> {
    I32(&'a [i32]),
    I64(&'a [i64]),
}

/// Lends vectors of f32 along the last axis to `read`.
///
/// Returns `None` if they do not lie in host memory, if the elements of a vector lie apart, or if
/// the distances between vectors differ.
pub(super) fn lend_rows<B: Backend, const D: usize, R>(
    vectors: &Tensor<B, D>,
    read: impl FnOnce(Rows<'_>) -> R,
) -> Option<R> {
    let dims = vectors.dims();
    let (count, features): (usize, usize) = (dims[..D - 1].iter().product(), dims[D - 1]);
    let tensor = vectors.clone().into_primitive().tensor();
    let tensor = &tensor as &dyn Any;
    #[cfg(feature = "flex")]
    if let Some(tensor) = tensor.downcast_ref::<FloatTensor<burn::backend::Flex>>()
        && tensor.dtype() == DType::F32
        && let Some(stride) = row_stride(&dims, tensor.layout().strides())
    {
        let data = &tensor.storage::<f32>()[tensor.layout().start_offset()..];
        return Some(read(Rows::strided(data, count, features, stride)));
    }
    #[cfg(feature = "ndarray")]
    if let Some(burn_ndarray::NdArrayTensor::F32(tensor)) = tensor.downcast_ref()
        && let Some(data) = tensor.view().as_slice()
    {
        return Some(read(Rows::new(data, features)));
    }
    let _ = (tensor, count, features, read);
    None
}

/// Lends vectors as [`lend_rows`] does, or a copy of them if they cannot be lent.
#[cfg(all(feature = "autodiff", any(feature = "flex", feature = "ndarray")))]
pub(super) fn with_rows<B: Backend, const D: usize, R>(
    vectors: &Tensor<B, D>,
    read: impl FnOnce(Rows<'_>) -> R,
) -> R {
    let mut read = Some(read);
    let mut once = |rows: Rows<'_>| read.take().map(|read| read(rows));
    if let Some(given) = lend_rows(vectors, &mut once).flatten() {
        return given;
    }
    let copy: Vec<f32> = vectors.to_data().iter().collect();
    once(Rows::new(&copy, vectors.dims()[D - 1])).expect("it was not lent")
}

/// Returns the distance between the starts of consecutive vectors along the last axis, if it is the
/// same everywhere and the elements of a vector lie side by side.
#[cfg(feature = "flex")]
fn row_stride(dims: &[usize], strides: &[isize]) -> Option<usize> {
    let ([leading @ .., features], [leading_strides @ .., 1]) = (dims, strides) else {
        return None;
    };
    let [.., last] = leading_strides else {
        return Some(*features);
    };
    let stride = usize::try_from(*last)
        .ok()
        .filter(|last| last >= features)?;
    let mut wanted = stride;
    for (&dim, &found) in leading.iter().zip(leading_strides).rev() {
        if usize::try_from(found) != Ok(wanted) {
            return None;
        }
        wanted *= dim;
    }
    Some(stride)
}

/// Lends integers to `read`. Returns `None` if they do not lie in host memory, or lie apart.
pub(super) fn lend_integers<B: Backend, const D: usize, R>(
    integers: &Tensor<B, D, Int>,
    read: impl FnOnce(Integers<'_>) -> R,
) -> Option<R> {
    let tensor = integers.clone().into_primitive();
    let tensor = &tensor as &dyn Any;
    #[cfg(feature = "flex")]
    if let Some(tensor) = tensor.downcast_ref::<burn::tensor::ops::IntTensor<burn::backend::Flex>>()
    {
        return match tensor.dtype() {
            DType::I32 => tensor.as_slice().map(|all| read(Integers::I32(all))),
            DType::I64 => tensor.as_slice().map(|all| read(Integers::I64(all))),
            _ => None,
        };
    }
    #[cfg(feature = "ndarray")]
    {
        use burn_ndarray::NdArrayTensor;
        match tensor.downcast_ref() {
            Some(NdArrayTensor::I32(tensor)) => {
                return tensor.view().as_slice().map(|all| read(Integers::I32(all)));
            }
            Some(NdArrayTensor::I64(tensor)) => {
                return tensor.view().as_slice().map(|all| read(Integers::I64(all)));
            }
            _ => {}
        }
    }
    let _ = (tensor, read);
    None
}

/// Reshapes as `Tensor::reshape` does, without the copy that burn-ndarray makes of every tensor.
pub(crate) fn reshaped_floats<B: Backend, const D: usize, const D2: usize>(
    tensor: Tensor<B, D>,
    shape: [usize; D2],
) -> Tensor<B, D2> {
    #[cfg(feature = "ndarray")]
    use burn::tensor::TensorPrimitive;
    #[cfg(feature = "ndarray")]
    if Known::of::<B>() == Some(Known::NdArray)
        && let TensorPrimitive::Float(mut primitive) = tensor.clone().into_primitive()
        && ndarray_reshape(&mut primitive, &shape)
    {
        return Tensor::from_primitive(TensorPrimitive::Float(primitive));
    }
    tensor.reshape(shape)
}

/// Does the same as [`reshaped_floats`] for integers.
pub(crate) fn reshaped_integers<B: Backend, const D: usize, const D2: usize>(
    tensor: Tensor<B, D, Int>,
    shape: [usize; D2],
) -> Tensor<B, D2, Int> {
    #[cfg(feature = "ndarray")]
    if Known::of::<B>() == Some(Known::NdArray) {
        let mut primitive = tensor.clone().into_primitive();
        if ndarray_reshape(&mut primitive, &shape) {
            return Tensor::from_primitive(primitive);
        }
    }
    tensor.reshape(shape)
}

/// Reshapes a tensor of burn-ndarray whose elements lie in the order of its axes. Returns whether
/// it did.
#[cfg(feature = "ndarray")]
fn ndarray_reshape(tensor: &mut dyn Any, shape: &[usize]) -> bool {
    use burn_ndarray::NdArrayTensor;

    let Some(tensor) = tensor.downcast_mut::<NdArrayTensor>() else {
        return false;
    };
    macro_rules! reshape {
        ($($DType:ident),*) => {
            match tensor {
                $(
                    NdArrayTensor::$DType(storage) if storage.view().is_standard_layout() => {
                        // This clones the handle; the elements are shared.
                        let array = storage.clone().into_shared();
                        match array.into_shape_with_order(shape.to_vec()) {
                            Ok(array) => *tensor = array.into(),
                            Err(_) => return false,
                        }
                    }
                )*
                _ => return false,
            }
        };
    }
    reshape!(F32, F64, I32, I64);
    true
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use burn::backend::Flex;

    #[test]
    fn parts_are_joined_in_their_order() {
        assert_eq!(Known::of::<Flex>(), Some(Known::Flex));
        let device = Default::default();
        for dtype in [DType::F32, DType::F64, DType::F16] {
            let whole = Tensor::<Flex, 1, burn::tensor::Int>::arange(0..35, &device);
            let whole = whole.float().reshape([7, 5]).cast(dtype);
            let parts = [0..3, 3..4, 4..7].map(|rows| whole.clone().slice([rows]));
            let joined = concatenate(parts.into_iter(), [7, 5], dtype, &device);
            assert_eq!(joined.into_data(), whole.into_data());
        }
    }
}
