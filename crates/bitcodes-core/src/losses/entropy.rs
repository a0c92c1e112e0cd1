//! The entropy loss of binary codes.
//!
//! Let `p = sigmoid(logit)` be the probability that a bit is 1, and `h(p)` the entropy of that bit.
//! The loss is
//!
//! ```text
//! mean over vectors and bits of h(p)  -  diversity * mean over bits of h(mean over vectors of p)
//! ```
//!
//! Its cost grows linearly with the number of bits. For `n` vectors of `b` bits, its gradient is
//!
//! ```text
//! d / d logit = -p (1 - p) (logit + diversity * ln((1 - m) / m)) / (n b ln 2)     m = mean p
//! ```
//!
//! The gradient needs no intermediate result but `m`. So value and gradient are computed block by
//! block, outside of the autodiff graph. On a known backend the graph gets an operation that
//! computes the gradient in the backward pass. On any other backend the gradient is computed
//! together with the value, and the graph gets the product of the logits and the gradient.

use alloc::vec::Vec;
use core::f64::consts::LN_2;

use burn::tensor::{Bool, FloatDType, Tensor, backend::Backend};

use super::mask_column;
#[cfg(feature = "autodiff")]
use crate::backend::autodiff::{Derivative, with_derivative};
use crate::backend::lend::concatenate;
use crate::graph::untracked;
use crate::precision::{sigmoid, working};

/// A loss that makes bits certain for each vector and balanced over all vectors.
///
/// With independent bits and a noise scale of 1, training draws bit `p` of vector `v` as 1 with
/// probability `sigmoid(logits_vp)`. For joint bits and other noise scales, the loss treats
/// `sigmoid(logits_vp)` as if it were that probability. The loss is the mean entropy of the bits,
/// minus [`diversity`](Self::diversity) times the entropy of each bit's mean over the vectors:
///
/// ```text
/// mean_v,p h(sigmoid(logits_vp)) - diversity * mean_p h(mean_v sigmoid(logits_vp))
/// ```
///
/// Here `h` is the entropy of a bit, in bits (0 to 1). With a diversity of 1 the least value of the
/// loss is -1, for bits that are certain and fair.
///
/// The method is that of [Yu et al. 2024](https://arxiv.org/abs/2310.05737) (section 3.1). Their loss
/// costs time exponential in the number of bits. Here bits are taken as independent
/// ([Zhao et al. 2024](https://arxiv.org/abs/2406.07548)), so the cost is linear. The entropy of a
/// vector's code is then exactly the sum of the entropies of its bits. The entropy of the codes of a
/// batch is at most such a sum.
///
/// The computation runs in f64 for f64 logits, in f32 for any other type. The loss is finite for
/// finite logits. If the logits have no gradient, the loss has none. The joint method's
/// [`Bitcodes::logits`](crate::Bitcodes::logits) are such logits.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use bitcodes_core::{BitcodesConfig, EntropyLoss};
/// use bitcodes_core::burn::{backend::Flex, tensor::{Distribution, Tensor}};
///
/// let device = Default::default();
/// let bitcodes = BitcodesConfig::reference(8, 64).init::<Flex>(&device);
/// let x = Tensor::<Flex, 3>::random([2, 6, 8], Distribution::Default, &device);
/// let loss = EntropyLoss::new().with_diversity(1.5).forward(bitcodes.logits(x));
/// assert_eq!(loss.dims(), [1]);
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct EntropyLoss {
    /// Weight of the entropy of each bit's mean. Default: 1.0
    pub diversity: f64,
}

impl Default for EntropyLoss {
    fn default() -> Self {
        Self { diversity: 1.0 }
    }
}

impl EntropyLoss {
    /// Makes the loss with a diversity of 1.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the [`diversity`](Self::diversity).
    pub fn with_diversity(self, diversity: f64) -> Self {
        Self { diversity }
    }

    /// Computes the loss of all vectors; 0 if there are no vectors.
    ///
    /// # Shapes
    ///
    /// - logits: `[.., num_bits]`
    /// - output: `[1]`
    pub fn forward<B: Backend, const D: usize>(&self, logits: Tensor<B, D>) -> Tensor<B, 1> {
        self.of_any_rank(logits, None)
    }

    /// Computes the loss of the vectors whose entry of `valid` is true; 0 if all entries are false.
    ///
    /// The other vectors are padding: they do not affect the loss, whatever their values are.
    ///
    /// # Shapes
    ///
    /// - logits: `[.., num_bits]`
    /// - valid: the leading axes of `logits`; `M` has to be `D - 1`, or it does not compile
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if `valid` does not have the leading axes of `logits`.
    pub fn forward_masked<B: Backend, const D: usize, const M: usize>(
        &self,
        logits: Tensor<B, D>,
        valid: Tensor<B, M, Bool>,
    ) -> Tensor<B, 1> {
        const { assert!(M + 1 == D, "M is D - 1") };
        let valid = mask_column("EntropyLoss", &logits.dims()[..D - 1], valid);
        // A weight of 0 alone would not do: 0 times NaN is NaN.
        let dims = logits.dims();
        let mut column = dims;
        column[D - 1] = 1;
        let padding = valid.clone().bool_not().reshape(column).expand(dims);
        self.of_any_rank(logits.mask_fill(padding, 0.0), Some(valid))
    }

    fn of_any_rank<B: Backend, const D: usize>(
        &self,
        logits: Tensor<B, D>,
        valid: Option<Tensor<B, 2, Bool>>,
    ) -> Tensor<B, 1> {
        let dims = logits.dims();
        if dims.contains(&0) {
            let dtype = working([logits.dtype()]);
            return Tensor::zeros([1], (&logits.device(), dtype.into()));
        }
        let rows = dims[..D - 1].iter().product();
        self.of_rows(logits.reshape([rows, dims[D - 1]]), valid)
    }

    /// Computes the loss of rows; the logits of padding have to be finite.
    ///
    /// # Shapes
    ///
    /// - logits: `[rows, num_bits]`
    /// - valid: `[rows, 1]`; `None` means that all rows are valid
    /// - output: `[1]`
    pub(crate) fn of_rows<B: Backend>(
        &self,
        logits: Tensor<B, 2>,
        valid: Option<Tensor<B, 2, Bool>>,
    ) -> Tensor<B, 1> {
        let dtype = working([logits.dtype()]);
        let logits = logits.cast(dtype);
        let weights = valid.map(|valid| valid.int().cast(dtype));
        let blocks = Blocks::new(untracked(logits.clone()), weights);
        let (value, balance) = self.value(&blocks, dtype);
        if !B::ad_enabled(&logits.device()) {
            return value;
        }
        #[cfg(feature = "autodiff")]
        {
            let others = [balance.clone()].into_iter().chain(blocks.weights.clone());
            let others = others.collect();
            if let Some(loss) = with_derivative(logits.clone(), value.clone(), others, *self) {
                return loss;
            }
        }
        self.differentiable_anywhere(logits, value, blocks, balance)
    }

    /// Gives the value its gradient by the logits, on any backend.
    fn differentiable_anywhere<B: Backend>(
        &self,
        logits: Tensor<B, 2>,
        value: Tensor<B, 1>,
        blocks: Blocks<B>,
        balance: Tensor<B, 2>,
    ) -> Tensor<B, 1> {
        let one = Tensor::ones([1], (&value.device(), value.dtype()));
        let gradient = self.gradient(&blocks, balance, one);
        let product = (logits * gradient).sum();
        // The difference is 0, and its gradient by the logits is `gradient`.
        value + (product.clone() - product.detach())
    }

    /// Computes the loss `[1]` and the balance `[1, num_bits]`, `ln((1 - m) / m)` for the mean `m`
    /// of each bit.
    fn value<B: Backend>(
        &self,
        blocks: &Blocks<B>,
        dtype: FloatDType,
    ) -> (Tensor<B, 1>, Tensor<B, 2>) {
        let [_, num_bits] = blocks.logits.dims();
        let device = blocks.logits.device();
        let mut ones = Tensor::<B, 2>::zeros([1, num_bits], (&device, dtype.into()));
        let mut uncertain = ones.clone();
        for block in blocks.ranges() {
            let (logits, weights) = blocks.get(block);
            let magnitude = logits.clone().abs();
            // h(sigmoid(l)) = ln(1 + exp(-|l|)) + |l| sigmoid(-|l|): no term overflows.
            let entropy =
                (-magnitude.clone()).exp().log1p() + magnitude.clone() * sigmoid(-magnitude);
            uncertain = uncertain + weighted(entropy, &weights).sum_dim(0);
            ones = ones + weighted(sigmoid(logits), &weights).sum_dim(0);
        }
        // Means within [2^-24, 1 - 2^-24] have finite logarithms.
        const LEAST_MEAN: f32 = f32::EPSILON / 2.0;
        let mean = (ones / blocks.valid_rows()).clamp(LEAST_MEAN, 1.0 - LEAST_MEAN);
        let [ln_one, ln_zero] = [mean.clone().log(), (-mean.clone()).log1p()];
        let balanced = -(mean.clone() * ln_one.clone() + (-mean + 1.0) * ln_zero.clone());
        let uncertain = uncertain / blocks.valid_rows();
        // Without a valid row both terms are 0.
        let balanced = balanced * blocks.has_valid_rows();
        let value = (uncertain - balanced * self.diversity).sum() / (num_bits as f64 * LN_2);
        (value, ln_zero - ln_one)
    }

    /// Computes the derivative by the logits, in the shape of the logits, times `upstream [1]`.
    fn gradient<B: Backend>(
        &self,
        blocks: &Blocks<B>,
        balance: Tensor<B, 2>,
        upstream: Tensor<B, 1>,
    ) -> Tensor<B, 2> {
        let [_, num_bits] = blocks.logits.dims();
        let scale = balance * self.diversity;
        let divisor = blocks.valid_rows() * (-(num_bits as f64) * LN_2);
        let factor = upstream.reshape([1, 1]) / divisor;
        let parts = blocks.ranges().into_iter().map(|block| {
            let (logits, weights) = blocks.get(block);
            let one = sigmoid(logits.clone());
            let slope = one.clone() * (-one + 1.0);
            weighted(slope * (logits + scale.clone()), &weights) * factor.clone()
        });
        let (shape, dtype) = (blocks.logits.dims(), blocks.logits.dtype());
        concatenate(parts, shape, dtype, &blocks.logits.device())
    }
}

#[cfg(feature = "autodiff")]
impl Derivative<1> for EntropyLoss {
    /// `others` holds the balance and, if there is a valid mask, the weights of the rows.
    fn derivative<B: Backend>(
        &self,
        logits: Tensor<B, 2>,
        others: Vec<Tensor<B, 2>>,
        upstream: Tensor<B, 1>,
    ) -> Tensor<B, 2> {
        let mut others = others.into_iter();
        let balance = others.next().expect("the balance comes first");
        self.gradient(&Blocks::new(logits, others.next()), balance, upstream)
    }
}

/// Logits and the weights of their rows, read in blocks of rows.
///
/// A block has a sixteenth of the rows, or about 16,384 logits if that is more; so intermediate
/// results take little memory beside the logits.
struct Blocks<B: Backend> {
    /// The logits, `[rows, num_bits]`.
    logits: Tensor<B, 2>,
    /// The weights of the rows, `[rows, 1]`: 1 for a valid row and 0 for padding.
    weights: Option<Tensor<B, 2>>,
}

impl<B: Backend> Blocks<B> {
    fn new(logits: Tensor<B, 2>, weights: Option<Tensor<B, 2>>) -> Self {
        Self { logits, weights }
    }

    fn ranges(&self) -> Vec<core::ops::Range<usize>> {
        const BLOCKS: usize = 16;
        const MIN_ELEMENTS: usize = 1 << 14;
        let [rows, num_bits] = self.logits.dims();
        let size = rows.div_ceil(BLOCKS).max(MIN_ELEMENTS.div_ceil(num_bits));
        (0..rows)
            .step_by(size)
            .map(|start| start..rows.min(start + size))
            .collect()
    }

    fn get(&self, block: core::ops::Range<usize>) -> (Tensor<B, 2>, Option<Tensor<B, 2>>) {
        let logits = self.logits.clone().slice([block.clone()]);
        let weights = self.weights.clone();
        (logits, weights.map(|weights| weights.slice([block])))
    }

    /// Counts the valid rows, `[1, 1]`; 1 if there are none.
    fn valid_rows(&self) -> Tensor<B, 2> {
        match &self.weights {
            Some(weights) => weights.clone().sum_dim(0).clamp_min(1.0),
            None => self.one() * self.logits.dims()[0] as f64,
        }
    }

    /// Returns 1 if a row is valid, 0 if none is; `[1, 1]`.
    fn has_valid_rows(&self) -> Tensor<B, 2> {
        match &self.weights {
            Some(weights) => weights.clone().sum_dim(0).clamp_max(1.0),
            None => self.one(),
        }
    }

    fn one(&self) -> Tensor<B, 2> {
        Tensor::ones([1, 1], (&self.logits.device(), self.logits.dtype()))
    }
}

fn weighted<B: Backend>(values: Tensor<B, 2>, weights: &Option<Tensor<B, 2>>) -> Tensor<B, 2> {
    match weights {
        Some(weights) => values * weights.clone(),
        None => values,
    }
}

#[cfg(all(test, feature = "flex", feature = "autodiff"))]
mod tests {
    use super::*;
    use burn::backend::{Autodiff, Flex};
    use burn::tensor::Distribution;

    type Train = Autodiff<Flex>;

    #[test]
    fn the_form_for_any_backend_gives_the_value_and_the_gradient_of_the_graphs_operation() {
        let device = Default::default();
        let normal = Distribution::Normal(0.0, 3.0);
        let logits = Tensor::<Train, 2>::random([3000, 17], normal, &device).require_grad();
        let loss = EntropyLoss::new().with_diversity(1.5);
        let weights = Tensor::<Train, 2>::random([3000, 1], Distribution::Default, &device);
        let valid = weights.greater_elem(0.3);
        let run = |value: Tensor<Train, 1>| {
            let gradients = (value.clone() * 3.0).backward();
            let gradient = logits.grad(&gradients).expect("a gradient");
            (value.into_data(), gradient)
        };
        let (value, gradient) = run(loss.of_rows(logits.clone(), Some(valid.clone())));
        let weights = valid.int().float();
        let blocks = Blocks::new(untracked(logits.clone()), Some(weights));
        let (portable, balance) = loss.value(&blocks, FloatDType::F32);
        let portable = loss.differentiable_anywhere(logits.clone(), portable, blocks, balance);
        let (portable, portable_gradient) = run(portable);
        assert_eq!(value, portable);
        // The operation of the graph multiplies by 3 before it divides by the number of elements,
        // the form for any backend after it.
        let difference = (gradient.clone() - portable_gradient)
            .abs()
            .max()
            .into_scalar();
        let largest = gradient.abs().max().into_scalar();
        assert!(
            difference <= 4.0 * f32::EPSILON * largest,
            "the gradients differ by {difference}, the largest is {largest}"
        );
    }
}
