//! Tensors apart from the autodiff graph.

use burn::tensor::{Tensor, backend::Backend};

/// Detaches a tensor from the graph, so that operations on it keep nothing for a backward pass.
///
/// `detach` alone leaves a leaf's `require_grad` as it is.
pub(crate) fn untracked<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Tensor<B, D> {
    tensor.detach().set_require_grad(false)
}
