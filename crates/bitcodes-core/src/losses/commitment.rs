//! The commitment loss.

use burn::tensor::{Bool, Tensor, backend::Backend};

use super::valid_rows;
use crate::precision::working;

/// How far vectors are from what they are quantized to:
///
/// ```text
/// mean((x - stop_gradient(quantized))^2)
/// ```
///
/// over all elements of all vectors that count; it pulls the encoder towards the codes that it
/// chooses ([van den Oord et al. 2017](https://arxiv.org/abs/1711.00937), the last term of
/// equation 3). Both in the same units: a quantizer that
/// [normalizes](crate::BitcodesConfig::normalize) is better asked for its own. Computed in f32, or in f64 where an operand is.
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
    /// The loss.
    pub fn new() -> Self {
        Self
    }

    /// The loss of all vectors; 0 where there are none.
    ///
    /// # Shapes
    ///
    /// - x: `[.., features]`
    /// - quantized: the same
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Where the shapes differ.
    pub fn forward<B: Backend, const D: usize>(
        &self,
        x: Tensor<B, D>,
        quantized: Tensor<B, D>,
    ) -> Tensor<B, 1> {
        let [x, quantized] = as_rows(x, quantized);
        self.of_rows(x, quantized, None)
    }

    /// The loss of the vectors where `valid` is true; 0 where there are none. What the others hold
    /// has no part in it.
    ///
    /// # Shapes
    ///
    /// - x: `[.., features]`
    /// - quantized: the same
    /// - valid: the leading axes; `M` is `D - 1`, or it does not compile
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Where the shapes differ.
    pub fn forward_masked<B: Backend, const D: usize, const M: usize>(
        &self,
        x: Tensor<B, D>,
        quantized: Tensor<B, D>,
        valid: Tensor<B, M, Bool>,
    ) -> Tensor<B, 1> {
        const { assert!(M + 1 == D, "M is D - 1") };
        let valid = valid_rows("CommitmentLoss", &x.dims()[..D - 1], valid);
        let [x, quantized] = as_rows(x, quantized);
        self.of_rows(x, quantized, Some(valid))
    }

    /// Of `x` and `quantized [rows, features]`, with `valid [rows, 1]`.
    pub(crate) fn of_rows<B: Backend>(
        &self,
        x: Tensor<B, 2>,
        quantized: Tensor<B, 2>,
        valid: Option<Tensor<B, 2, Bool>>,
    ) -> Tensor<B, 1> {
        let dtype = working([x.dtype(), quantized.dtype()]);
        let [rows, features] = x.dims();
        if rows == 0 {
            return Tensor::zeros([1], (&x.device(), dtype.into()));
        }
        let mut difference = x.cast(dtype) - quantized.detach().cast(dtype);
        let Some(valid) = valid else {
            return difference.powi_scalar(2).mean();
        };
        let counted = valid.clone().int().cast(dtype).sum().clamp_min(1.0);
        difference = difference.mask_fill(valid.bool_not().expand([rows, features]), 0.0);
        difference.powi_scalar(2).sum() / (counted * features as f64)
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
        // Burn reshapes no empty tensors.
        0 => Tensor::zeros([0, dims[D - 1]], (&tensor.device(), tensor.dtype())),
        _ => tensor.reshape([rows, dims[D - 1]]),
    })
}
