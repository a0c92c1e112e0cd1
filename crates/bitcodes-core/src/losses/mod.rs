//! Losses that shape the codes.
//!
//! [`BitcodesConfig`](crate::BitcodesConfig) gives each loss a weight in the loss of an output. By
//! default the commitment loss has a weight of 0.25 and the entropy loss one of 0; for
//! [`BitcodesConfig::reference`](crate::BitcodesConfig::reference) both weights are 0. A training
//! loop can also call these two losses itself. The codebook's loss and the losses of joint bits are elsewhere
//! (`quantizer/loss.rs`, `assignment/joint/`).

mod commitment;
mod entropy;
mod squared_distance;

pub use commitment::CommitmentLoss;
pub use entropy::EntropyLoss;
pub(crate) use squared_distance::mean_squared_distance;

use burn::tensor::{Bool, Tensor, backend::Backend};

/// Weights of the losses of an output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Weights {
    pub commitment: f64,
    pub codebook: f64,
    pub entropy: f64,
    pub diversity: f64,
}

impl Weights {
    /// Returns whether a loss has a weight.
    pub fn are_any(self) -> bool {
        let Self {
            commitment,
            codebook,
            entropy,
            ..
        } = self;
        [commitment, codebook, entropy].iter().any(|&w| w > 0.0)
    }
}

/// Reshapes the valid mask to a column `[rows, 1]`.
///
/// # Panics
///
/// Panics if the mask's shape differs from `leading`, the leading axes of the vectors. The message
/// starts with the name of the `loss`.
fn mask_column<B: Backend, const M: usize>(
    loss: &str,
    leading: &[usize],
    valid: Tensor<B, M, Bool>,
) -> Tensor<B, 2, Bool> {
    assert_eq!(
        valid.dims().as_slice(),
        leading,
        "{loss}: valid has another shape (left) than the vectors (right)"
    );
    valid.reshape([leading.iter().product(), 1])
}
