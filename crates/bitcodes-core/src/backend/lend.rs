//! Tensors that lie in the host's memory.

use alloc::vec::Vec;
use core::any::{Any, TypeId};

use bitcodes_kernels::Rows;
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{DType, Element, Int, Tensor, TensorData};

/// Joins parts `[rows of the part, columns]` to `[rows, columns]`.
///
/// As `Tensor::cat`, but in host memory a part is freed once it is appended, where `cat` holds all
/// of them beside the whole. `slice_assign` would do as well, did Burn's Flex not copy the whole
/// tensor each time.
pub(crate) fn concatenate<B: Backend>(
    parts: impl Iterator<Item = Tensor<B, 2>>,
    [rows, columns]: [usize; 2],
    dtype: DType,
    device: &B::Device,
) -> Tensor<B, 2> {
    match dtype {
        DType::F32 if in_host_memory::<B>() => append::<B, f32>(parts, [rows, columns], device),
        DType::F64 if in_host_memory::<B>() => append::<B, f64>(parts, [rows, columns], device),
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

/// Whether the backend's tensors lie there.
pub(super) fn in_host_memory<B: Backend>() -> bool {
    let tensor = TypeId::of::<FloatTensor<B>>();
    macro_rules! any_of {
        ($($feature:literal $Backend:ident),*) => { $(
            #[cfg(feature = $feature)]
            if tensor == TypeId::of::<FloatTensor<burn::backend::$Backend>>() {
                return true;
            }
        )* };
    }
    any_of!("flex" Flex, "ndarray" NdArray);
    let _ = tensor;
    false
}

/// Integers one after the other.
#[cfg_attr(
    not(any(feature = "flex", feature = "ndarray")),
    expect(dead_code, reason = "no backend has any there")
)]
pub(super) enum Integers<'a> {
    I32(&'a [i32]),
    I64(&'a [i64]),
}

/// Lends vectors of f32 along the last axis there, or gives none where they are not, or their elements
/// are apart, or they are at different distances.
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
        && let Some(stride) = distance(&dims, tensor.layout().strides())
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

/// As [`lend_rows`], of a copy where they cannot be lent.
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

/// The distance of vectors along the last axis that lie one after the other.
#[cfg(feature = "flex")]
fn distance(dims: &[usize], strides: &[isize]) -> Option<usize> {
    let ([leading @ .., features], [leading_strides @ .., 1]) = (dims, strides) else {
        return None;
    };
    let [.., last] = leading_strides else {
        return Some(*features);
    };
    let distance = usize::try_from(*last)
        .ok()
        .filter(|last| last >= features)?;
    let axes = leading.iter().zip(leading_strides).rev();
    let mut wanted = distance;
    for (&dim, &stride) in axes {
        if usize::try_from(stride) != Ok(wanted) {
            return None;
        }
        wanted *= dim;
    }
    Some(distance)
}

/// Lends integers there, or gives none where they are not, or are apart.
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

/// Whether what a tensor holds, beside its graph, lies there: also inside of `Autodiff`.
pub(crate) fn has_values_in_host_memory<B: Backend>() -> bool {
    #[cfg(feature = "autodiff")]
    {
        let tensor = TypeId::of::<FloatTensor<B>>();
        macro_rules! any_of {
            ($($feature:literal $Backend:ident),*) => { $(
                #[cfg(feature = $feature)]
                if tensor == TypeId::of::<FloatTensor<burn::backend::Autodiff<burn::backend::$Backend>>>() {
                    return true;
                }
            )* };
        }
        any_of!("flex" Flex, "ndarray" NdArray);
        let _ = tensor;
    }
    in_host_memory::<B>()
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use burn::backend::Flex;

    #[test]
    fn parts_are_joined_in_their_order() {
        assert!(in_host_memory::<Flex>());
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
