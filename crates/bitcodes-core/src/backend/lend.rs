//! Tensors in the host's memory, whose elements are lent to kernels without a copy.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::any::Any;

use bitcodes_kernels::Rows;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Element, Int, Tensor, TensorData, TensorPrimitive};

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
#[allow(
    dead_code,
    reason = "no backend lends integers in a build for GPUs alone"
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
    let tensor = vectors.clone().into_primitive().tensor();
    lend(&tensor, &vectors.dims(), read)
}

/// Lends the vectors along the last axis of a tensor with these axes.
fn lend<R>(tensor: &dyn Any, dims: &[usize], read: impl FnOnce(Rows<'_>) -> R) -> Option<R> {
    let (leading, features) = (&dims[..dims.len() - 1], dims[dims.len() - 1]);
    let count: usize = leading.iter().product();
    #[cfg(feature = "flex")]
    if let Some(tensor) = tensor.downcast_ref::<burn_flex::FlexTensor>()
        && tensor.dtype() == DType::F32
        && let Some(stride) = row_stride(dims, tensor.layout().strides())
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

/// Lends vectors as [`lend_rows`] does, also those of a backend that differentiates, or a copy of
/// them if they cannot be lent. The graph does not learn of it.
pub(crate) fn with_rows<B: Backend, const D: usize, R>(
    vectors: &Tensor<B, D>,
    read: impl FnOnce(Rows<'_>) -> R,
) -> R {
    let mut read = Some(read);
    let mut once = |rows: Rows<'_>| read.take().map(|read| read(rows));
    let tensor = vectors.clone().into_primitive().tensor();
    if let Some(given) = lend(values(&tensor), &vectors.dims(), &mut once).flatten() {
        return given;
    }
    let copy: Vec<f32> = vectors.to_data().iter().collect();
    once(Rows::new(&copy, vectors.dims()[D - 1])).expect("it was not lent")
}

/// Returns the elements of rows, one row after the other: a copy if the rows lie apart.
pub(crate) fn adjacent(rows: Rows<'_>) -> Cow<'_, [f32]> {
    match rows.as_slice() {
        Some(elements) => Cow::Borrowed(elements),
        None => Cow::Owned(rows.iter().flatten().copied().collect()),
    }
}

/// Returns the tensor that a backend in host memory has inside of `Autodiff`, or else the tensor
/// itself.
fn values(tensor: &dyn Any) -> &dyn Any {
    #[cfg(all(feature = "autodiff", feature = "flex"))]
    if let Some(tracked) = tensor.downcast_ref::<Tracked<burn::backend::Flex>>() {
        return &tracked.primitive;
    }
    #[cfg(all(feature = "autodiff", feature = "ndarray"))]
    if let Some(tracked) = tensor.downcast_ref::<Tracked<burn::backend::NdArray>>() {
        return &tracked.primitive;
    }
    tensor
}

#[cfg(all(feature = "autodiff", any(feature = "flex", feature = "ndarray")))]
type Tracked<K> = burn::tensor::ops::FloatTensor<burn::backend::Autodiff<K>>;

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
    if let Some(tensor) = tensor.downcast_ref::<burn_flex::FlexTensor>() {
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

/// Reshapes as `Tensor::reshape` does, without the copies that Burn's CPU backends make: burn-ndarray
/// of every tensor, burn-flex of slices.
pub(crate) fn reshaped_floats<B: Backend, const D: usize, const D2: usize>(
    tensor: Tensor<B, D>,
    shape: [usize; D2],
) -> Tensor<B, D2> {
    if let TensorPrimitive::Float(mut primitive) = tensor.clone().into_primitive()
        && (rows_in_place(&mut primitive, &tensor.dims(), &shape)
            || reshape_in_place(&mut primitive, &tensor.dims(), &shape))
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
    let mut primitive = tensor.clone().into_primitive();
    match reshape_in_place(&mut primitive, &tensor.dims(), &shape) {
        true => Tensor::from_primitive(primitive),
        false => tensor.reshape(shape),
    }
}

/// Gives a tensor another shape if no element has to be copied. Returns whether it did.
fn reshape_in_place(tensor: &mut dyn Any, dims: &[usize], shape: &[usize]) -> bool {
    if dims == shape {
        return true;
    }
    #[cfg(feature = "ndarray")]
    if let Some(tensor) = tensor.downcast_mut::<burn_ndarray::NdArrayTensor>() {
        return reshape_ndarray(tensor, shape);
    }
    let _ = tensor;
    false
}

/// Gives a slice of burn-flex the shape of its rows, which stay where they are, as kernels read rows
/// at any distance. Returns whether it did.
fn rows_in_place(tensor: &mut dyn Any, dims: &[usize], shape: &[usize]) -> bool {
    #[cfg(feature = "flex")]
    if let Some(tensor) = tensor.downcast_mut::<burn_flex::FlexTensor>()
        && let &[rows, last] = shape
        && let Some((&features, leading)) = dims.split_last()
        && (rows, last) == (leading.iter().product(), features)
        && let Some(stride) = row_stride(dims, tensor.layout().strides())
    {
        let strides = alloc::vec![stride as isize, 1];
        let offset = tensor.layout().start_offset();
        let layout = burn_flex::Layout::new([rows, last].into(), strides, offset);
        *tensor = tensor.clone().with_layout(layout);
        return true;
    }
    let _ = (tensor, dims, shape);
    false
}

/// Reshapes a tensor of burn-ndarray whose elements lie in the order of its axes.
#[cfg(feature = "ndarray")]
fn reshape_ndarray(tensor: &mut burn_ndarray::NdArrayTensor, shape: &[usize]) -> bool {
    use burn_ndarray::NdArrayTensor;

    macro_rules! reshape {
        ($($DType:ident),*) => {
            match tensor {
                $(
                    NdArrayTensor::$DType(storage) if storage.view().is_standard_layout() => {
                        // The clone shares the elements.
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

    /// A backend of the list whose memory were not lent would compute without kernels, slower.
    #[cfg(feature = "autodiff")]
    #[test]
    fn every_backend_in_host_memory_lends_vectors_and_bits() {
        struct Lends;

        impl crate::backend::known::OnKnown for Lends {
            type Output = bool;

            fn run<K: Backend>(self) -> bool {
                let device = K::Device::default();
                let vectors = Tensor::<K, 2>::ones([3, 2], (&device, DType::F32));
                let bits = vectors.clone().greater_elem(0.0).int();
                let address = |rows: Rows<'_>| rows.row(0).as_ptr() as usize;
                let tracked = Tensor::<burn::backend::Autodiff<K>, 2>::from_inner(vectors.clone());
                // A copy would lie elsewhere.
                lend_rows(&vectors, address) == Some(with_rows(&tracked, address))
                    && lend_integers(&bits, |_| ()).is_some()
            }
        }

        for known in Known::ALL.iter().filter(|known| known.is_in_host_memory()) {
            assert!(known.run(Lends), "{known:?} lends nothing");
        }
    }

    /// Kernels read the elements of a slice where they lie.
    #[test]
    fn rows_of_a_slice_are_not_copied() {
        let device = Default::default();
        let all = Tensor::<Flex, 1, Int>::arange(0..2 * 5 * 7, &device).float();
        let all: Tensor<Flex, 3> = all.reshape([2, 5, 7]);
        let address = |tensor: &Tensor<Flex, 2>| {
            lend_rows(tensor, |rows| rows.row(0).as_ptr() as usize).expect("rows of f32")
        };
        let first = address(&reshaped_floats(all.clone(), [10, 7]));
        let bytes = |elements: usize| elements * size_of::<f32>();
        let slice = all.clone().narrow(2, 3, 4);
        let rows = reshaped_floats(slice.clone(), [10, 4]);
        assert_eq!(address(&rows), first + bytes(3));
        assert_eq!(rows.into_data(), slice.reshape([10, 4]).into_data());
        let second = all.clone().narrow(0, 1, 1);
        assert_eq!(address(&reshaped_floats(second, [5, 7])), first + bytes(35));
        // These rows lie at different distances, so they are copied.
        let parts = all.narrow(1, 1, 3);
        let rows = reshaped_floats(parts.clone(), [6, 7]);
        assert_eq!(rows.into_data(), parts.reshape([6, 7]).into_data());
    }

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
