//! Vectors along axis 1 of a tensor: rows `[vectors, features]` and channel-first maps
//! `[batch, features, positions]`, so that the arithmetic is written once for both.
//!
//! The same functions take tensors of bits, whose axis 1 has `num_bits` elements.

use alloc::vec;
use alloc::vec::Vec;

use burn::tensor::{BasicOps, Bool, Int, Tensor, backend::Backend};

use crate::backend::lend::{reshaped_floats, reshaped_integers};

/// Returns whether the vectors of a tensor of rank `N` are its rows, and not the positions of a
/// map.
pub(crate) const fn are_rows<const N: usize>() -> bool {
    N == 2
}

/// Reshapes a vector so that it broadcasts along axis 1.
pub(crate) fn along<B: Backend, const N: usize>(vector: Tensor<B, 1>) -> Tensor<B, N> {
    let mut shape = [1; N];
    shape[1] = vector.dims()[0];
    vector.reshape(shape)
}

/// Returns the number of vectors along axis 1.
pub(crate) fn count<B: Backend, const N: usize>(x: &Tensor<B, N>) -> usize {
    x.shape().num_elements() / x.dims()[1]
}

/// Turns `[vectors, n]` and `[batch, n, positions]` into `[vectors, n]`.
pub(crate) fn vectors_first<B: Backend, const N: usize, K: BasicOps<B>>(
    tensor: Tensor<B, N, K>,
) -> Tensor<B, 2, K> {
    let dims = tensor.dims();
    let vectors = dims.iter().product::<usize>() / dims[1];
    tensor.swap_dims(1, N - 1).reshape([vectors, dims[1]])
}

/// Does the same as [`vectors_first`] for floats, without the copy that some backends make of rows.
pub(crate) fn floats_first<B: Backend, const N: usize>(tensor: Tensor<B, N>) -> Tensor<B, 2> {
    match are_rows::<N>() {
        true => as_rows(tensor),
        false => vectors_first(tensor),
    }
}

/// Encodes vectors to rows of `row_bytes` bytes. Takes a function that encodes the vectors
/// `[vectors, features]` of a part.
///
/// A map is copied to rows part by part, so that the copy takes little memory. Rows are one part.
pub(crate) fn encode_in_parts<B: Backend, const N: usize>(
    x: Tensor<B, N>,
    row_bytes: usize,
    mut encode: impl FnMut(Tensor<B, 2>, &mut [u8]),
) -> Vec<u8> {
    /// Number of elements of a part, 4 MB of them: enough vectors for several threads.
    const ELEMENTS: usize = 1 << 20;
    let dims = x.dims();
    let mut packed = vec![0; count(&x) * row_bytes];
    if are_rows::<N>() {
        encode(as_rows(x), &mut packed);
        return packed;
    }
    let mut rest = &mut packed[..];
    let (batch, features, positions) = (dims[0], dims[1], dims[N - 1]);
    let vectors = (ELEMENTS / features).max(1);
    let maps = (vectors / positions).max(1);
    for first in (0..batch).step_by(maps) {
        let some = x.clone().narrow(0, first, maps.min(batch - first));
        for first in (0..positions).step_by(vectors) {
            let part = some
                .clone()
                .narrow(N - 1, first, vectors.min(positions - first));
            let (here, after) = rest.split_at_mut(count(&part) * row_bytes);
            encode(vectors_first(part), here);
            rest = after;
        }
    }
    packed
}

/// Does the same as [`floats_first`] for integers.
pub(crate) fn integers_first<B: Backend, const N: usize>(
    tensor: Tensor<B, N, Int>,
) -> Tensor<B, 2, Int> {
    match are_rows::<N>() {
        true => as_integer_rows(tensor),
        false => vectors_first(tensor),
    }
}

/// Reverses [`vectors_first`]: `rows [count, n]` take the axes of vectors of this shape.
pub(crate) fn along_axis_1<B: Backend, const N: usize, K: BasicOps<B>>(
    rows: Tensor<B, 2, K>,
    vectors: [usize; N],
) -> Tensor<B, N, K> {
    if are_rows::<N>() {
        // No copy, which some backends make to reshape.
        return Tensor::new(rows.into_primitive());
    }
    let mut dims = vectors;
    dims[1] = vectors[N - 1];
    dims[N - 1] = rows.dims()[1];
    rows.reshape(dims).swap_dims(1, N - 1)
}

/// Sums vectors along axis 1 over all other axes, which keep one element each.
pub(crate) fn sum_over_vectors<B: Backend, const N: usize>(x: Tensor<B, N>) -> Tensor<B, N> {
    (0..N).filter(|&axis| axis != 1).fold(x, Tensor::sum_dim)
}

/// Sets padding vectors to zero. `padding` has one element along axis 1.
pub(crate) fn fill_padding<B: Backend, const N: usize>(
    tensor: Tensor<B, N>,
    padding: &Option<Tensor<B, N, Bool>>,
) -> Tensor<B, N> {
    match padding {
        Some(padding) => {
            let padding = padding.clone().expand(tensor.dims());
            tensor.mask_fill(padding, 0.0)
        }
        None => tensor,
    }
}

/// Turns `[.., last]` into `[rows, last]`.
pub(crate) fn as_rows<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Tensor<B, 2> {
    let shape = rows_of(tensor.dims());
    reshaped_floats(tensor, shape)
}

/// Turns integers `[.., last]` into `[rows, last]`.
pub(crate) fn as_integer_rows<B: Backend, const D: usize>(
    tensor: Tensor<B, D, Int>,
) -> Tensor<B, 2, Int> {
    let shape = rows_of(tensor.dims());
    reshaped_integers(tensor, shape)
}

fn rows_of<const D: usize>(dims: [usize; D]) -> [usize; 2] {
    [dims[..D - 1].iter().product(), dims[D - 1]]
}

/// Returns whether an axis other than the last is empty. Neither Burn's `reshape` nor the kernels
/// of its GPU backends take empty tensors.
pub(crate) fn has_no_vectors<B: Backend, const D: usize, K: BasicOps<B>>(
    tensor: &Tensor<B, D, K>,
) -> bool {
    tensor.dims()[..D - 1].contains(&0)
}
