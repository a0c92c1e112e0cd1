//! Tensors that lie in the host's memory.

use alloc::vec::Vec;
use core::any::TypeId;

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{DType, Element, Tensor, TensorData};

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
fn in_host_memory<B: Backend>() -> bool {
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

/// Whether what a tensor holds, beside its graph, lies there: also inside of `Autodiff`.
pub(crate) fn has_values_in_host_memory<B: Backend>() -> bool {
    #[cfg(feature = "autodiff")]
    {
        use burn::backend::Autodiff;

        let tensor = TypeId::of::<FloatTensor<B>>();
        macro_rules! any_of {
            ($($feature:literal $Backend:ident),*) => { $(
                #[cfg(feature = $feature)]
                if tensor == TypeId::of::<FloatTensor<Autodiff<burn::backend::$Backend>>>() {
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
