//! Losses that shape the codes, each off unless the configuration gives it a weight; or to be
//! called by a training loop of one's own.

mod commitment;
mod entropy;

pub use commitment::CommitmentLoss;
pub use entropy::EntropyLoss;

use burn::tensor::{Bool, Tensor, backend::Backend};

/// A tensor that operations keep nothing of for a backward pass, also where it was a leaf.
pub(crate) fn untracked<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Tensor<B, D> {
    tensor.detach().set_require_grad(false)
}

/// Which of some rows count, as a column `[rows, 1]`; panics unless `valid` has the leading axes of
/// `vectors`.
fn valid_rows<B: Backend, const M: usize>(
    loss: &str,
    vectors: &[usize],
    valid: Tensor<B, M, Bool>,
) -> Tensor<B, 2, Bool> {
    assert_eq!(
        valid.dims().as_slice(),
        vectors,
        "{loss}: valid has another shape (left) than the vectors (right)"
    );
    valid.reshape([vectors.iter().product(), 1])
}
