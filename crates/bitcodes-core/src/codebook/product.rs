//! Products of a matrix with vectors along axis 1, which are rows or positions of channel-first
//! maps.

use burn::tensor::{Tensor, backend::Backend};

use crate::backend::known::has_values_in_host_memory;
use crate::vectors::along;

/// Computes `matrix v + offset` for each vector `v` along axis 1. `x` is not copied.
///
/// Takes `matrix [out, in]` and `offset [out]`; without an offset none is added.
pub(crate) fn product<B: Backend, const N: usize>(
    matrix: Tensor<B, 2>,
    x: Tensor<B, N>,
    offset: Option<Tensor<B, 1>>,
) -> Tensor<B, N> {
    let ([out, within], vectors) = (matrix.dims(), x.dims()[0]);
    if N > 2 {
        return plus(matrix.unsqueeze().matmul(x), offset.map(along));
    }
    let matrix = matrix.transpose();
    let device = x.device();
    if !B::ad_enabled(&device) || has_values_in_host_memory::<B>() {
        return plus(x.matmul(matrix.unsqueeze()), offset.map(along));
    }
    let parts = parts(vectors, out * within);
    let x = x.reshape([parts, vectors / parts, within]);
    let offset = offset.map(|offset| offset.reshape([1, 1, out]));
    let product: Tensor<B, 3> = plus(x.matmul(matrix.unsqueeze()), offset);
    let mut shape = [vectors; N];
    shape[1] = out;
    product.reshape(shape)
}

fn plus<B: Backend, const N: usize>(
    product: Tensor<B, N>,
    offset: Option<Tensor<B, N>>,
) -> Tensor<B, N> {
    match offset {
        Some(offset) => product + offset,
        None => product,
    }
}

/// Returns the number of equal parts in which `vectors` vectors are multiplied with a matrix of
/// `elements` elements.
///
/// The gradients of matrix and offset have few elements, each a sum over all vectors. Burn's GPU
/// backends, if they do not tune, give the whole sum of an element to one group of threads unless
/// it comes in parts. On an NVIDIA H200 through Vulkan, for 65,536 vectors of 64 features and 32
/// bits, the matrix's gradient took 21 ms as a whole, and 0.5 ms in 256 parts. A prime number of
/// vectors is one part.
fn parts(vectors: usize, elements: usize) -> usize {
    const MOST: usize = 256;
    /// Parts of fewer vectors gain nothing.
    const LEAST_VECTORS: usize = 64;
    /// Most elements in the gradients of all parts: a large matrix keeps the GPU busy without parts.
    const MOST_ELEMENTS: usize = 1 << 21;
    let most = (vectors / LEAST_VECTORS).min(MOST_ELEMENTS / elements);
    let divides = |parts: &usize| vectors.is_multiple_of(*parts);
    (1..=most.min(MOST)).rev().find(divides).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn parts_are_equal_not_small_and_not_many() {
        for (vectors, elements, wanted) in [
            (1, 6, 1),
            (63, 6, 1),
            (127, 6, 1),
            (128, 6, 2),
            (320, 6, 5),
            (321, 6, 3),
            (331, 6, 1),
            (65_536, 2048, 256),
            (65_537, 2048, 1),
            (50_000, 2048, 250),
            (16_384, 1 << 15, 64),
            (16_384, 1 << 20, 2),
            (16_384, 1 << 22, 1),
        ] {
            assert_eq!(parts(vectors, elements), wanted, "{vectors}, {elements}");
        }
    }
}
