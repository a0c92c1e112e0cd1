//! The commitment loss.

use burn::tensor::{Bool, Tensor, backend::Backend};

use super::{mask_column, mean_squared_distance};

/// The mean squared distance of vectors to their quantized vectors.
///
/// ```text
/// mean((x - stop_gradient(quantized))^2)
/// ```
///
/// The mean is taken over all elements of all valid vectors. The loss pulls the vectors towards
/// their quantized vectors ([van den Oord et al. 2017](https://arxiv.org/abs/1711.00937), the last
/// term of equation 3).
///
/// `x` and `quantized` have to be in the same units. A quantizer that
/// [normalizes](crate::BitcodesConfig::normalize) computes this loss on normalized vectors as part
/// of [`BitcodesOutput::loss`](crate::BitcodesOutput::loss). The computation runs in f64 if an
/// operand is f64, in f32 otherwise.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use bitcodes_core::{BitcodesConfig, CommitmentLoss};
/// use bitcodes_core::burn::{backend::Flex, tensor::{Distribution, Tensor}};
///
/// let device = Default::default();
/// let bitcodes = BitcodesConfig::reference(8, 4).init::<Flex>(&device);
/// let x = Tensor::<Flex, 3>::random([2, 6, 8], Distribution::Default, &device);
/// let loss = CommitmentLoss::new().forward(x.clone(), bitcodes.quantize(x));
/// assert_eq!(loss.dims(), [1]);
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitmentLoss;

impl CommitmentLoss {
    /// Makes the loss; it has no settings.
    pub fn new() -> Self {
        Self
    }

    /// Computes the loss of all vectors; 0 if there are no vectors.
    ///
    /// # Shapes
    ///
    /// - x: `[.., features]`
    /// - quantized: the same
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes of `x` and `quantized` differ.
    pub fn forward<B: Backend, const D: usize>(
        &self,
        x: Tensor<B, D>,
        quantized: Tensor<B, D>,
    ) -> Tensor<B, 1> {
        let [x, quantized] = as_rows(x, quantized);
        mean_squared_distance(x, quantized, None)
    }

    /// Computes the loss of the vectors whose entry of `valid` is true; 0 if all entries are false.
    ///
    /// The other vectors are padding: they do not affect the loss, whatever their values are.
    ///
    /// # Shapes
    ///
    /// - x: `[.., features]`
    /// - quantized: the same
    /// - valid: the leading axes of `x`; `M` has to be `D - 1`, or it does not compile
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes of `x` and `quantized` differ, or if `valid` does not have their leading
    /// axes.
    pub fn forward_masked<B: Backend, const D: usize, const M: usize>(
        &self,
        x: Tensor<B, D>,
        quantized: Tensor<B, D>,
        valid: Tensor<B, M, Bool>,
    ) -> Tensor<B, 1> {
        const { assert!(M + 1 == D, "M is D - 1") };
        let valid = mask_column("CommitmentLoss", &x.dims()[..D - 1], valid);
        let [x, quantized] = as_rows(x, quantized);
        mean_squared_distance(x, quantized, Some(valid))
    }
}

fn as_rows<B: Backend, const D: usize>(
    x: Tensor<B, D>,
    quantized: Tensor<B, D>,
) -> [Tensor<B, 2>; 2] {
    assert_eq!(
        x.dims(),
        quantized.dims(),
        "CommitmentLoss: x has another shape (left) than quantized (right)"
    );
    let dims = x.dims();
    let rows = dims[..D - 1].iter().product();
    [x, quantized].map(|tensor| match rows {
        // Burn's `reshape` refuses empty tensors.
        0 => Tensor::zeros([0, dims[D - 1]], (&tensor.device(), tensor.dtype())),
        _ => tensor.reshape([rows, dims[D - 1]]),
    })
}
