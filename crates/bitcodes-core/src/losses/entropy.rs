//! The entropy loss of binary codes, at a cost that grows linearly with the number of bits.
//!
//! With `p = sigmoid(logit)` the probability of a 1 and `h(p)` the entropy of a bit, the loss is
//!
//! ```text
//! mean over vectors and bits of h(p)  -  diversity * mean over bits of h(mean over vectors of p)
//! ```
//!
//! Its gradient is known in closed form, with `n` vectors and `b` bits:
//!
//! ```text
//! d / d logit = -p (1 - p) (logit + diversity * ln((1 - m) / m)) / (n b ln 2)     m = mean p
//! ```
//!
//! so nothing has to be kept of how the value was computed but `m`: value and gradient are computed
//! block by block, outside of the autodiff graph. On the backends that are known the graph gets an
//! operation whose gradient is computed when it is asked for; on others the gradient is computed
//! with the value, and the graph gets a product of the logits with it.

use alloc::vec::Vec;
use core::f64::consts::LN_2;

use burn::tensor::{Bool, FloatDType, Tensor, backend::Backend};

use super::{untracked, valid_rows};
#[cfg(feature = "autodiff")]
use crate::backend::autodiff::{Derivative, with_derivative};
use crate::backend::lend::concatenate;
use crate::precision::{sigmoid, working};

/// Bits that are certain for each vector and balanced over all of them.
///
/// Bit `p` is 1 with probability `sigmoid(logits_p)`, as training samples it. The loss is the mean
/// entropy of a bit, less [`diversity`](Self::diversity) times the entropy of its mean over the
/// vectors, both in bits (0 to 1) and as means over the `num_bits` bits:
///
/// ```text
/// mean_v,p h(sigmoid(logits_vp)) - diversity * mean_p h(mean_v sigmoid(logits_vp))
/// ```
///
/// It is -1 at its best, for bits that are certain and fair, with a diversity of 1. The method is
/// [Yu et al. 2024](https://arxiv.org/abs/2310.05737) (section 3.1); taking the bits as independent
/// makes it linear in their number instead of exponential, as
/// [Zhao et al. 2024](https://arxiv.org/abs/2406.07548) show (the entropy of a vector's code is
/// then the sum over its bits exactly, that of the batch is bounded by the sum).
///
/// Computed in f32, or in f64 where the logits are; finite for finite logits. Logits that have no
/// gradient, as [`Bitcodes::logits`](crate::Bitcodes::logits) of a residual assignment, give none.
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
    /// Weight of the entropy of the mean. Default: 1.0
    pub diversity: f64,
}

impl Default for EntropyLoss {
    fn default() -> Self {
        Self { diversity: 1.0 }
    }
}

impl EntropyLoss {
    /// The loss with a diversity of 1.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the [`diversity`](Self::diversity).
    pub fn with_diversity(self, diversity: f64) -> Self {
        Self { diversity }
    }

    /// The loss of all vectors; 0 where there are none.
    ///
    /// # Shapes
    ///
    /// - logits: `[.., num_bits]`
    /// - output: `[1]`
    pub fn forward<B: Backend, const D: usize>(&self, logits: Tensor<B, D>) -> Tensor<B, 1> {
        self.of_any_rank(logits, None)
    }

    /// The loss of the vectors where `valid` is true; 0 where there are none. What the others hold
    /// has no part in it.
    ///
    /// # Shapes
    ///
    /// - logits: `[.., num_bits]`
    /// - valid: the leading axes; `M` is `D - 1`, or it does not compile
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Where the shapes differ.
    pub fn forward_masked<B: Backend, const D: usize, const M: usize>(
        &self,
        logits: Tensor<B, D>,
        valid: Tensor<B, M, Bool>,
    ) -> Tensor<B, 1> {
        const { assert!(M + 1 == D, "M is D - 1") };
        let valid = valid_rows("EntropyLoss", &logits.dims()[..D - 1], valid);
        // Here, as a product with 0 would let NaN through.
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

    /// Of `logits [rows, num_bits]`, finite also where `valid [rows, 1]` is false.
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

    /// The value as a function of the logits on a backend that is not known.
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
        // Forward the value, backward the gradient: what is added is zero.
        value + (product.clone() - product.detach())
    }

    /// The loss `[1]`, and `ln((1 - m) / m)` for the mean `m` of each bit, `[1, num_bits]`.
    fn value<B: Backend>(
        &self,
        blocks: &Blocks<B>,
        dtype: FloatDType,
    ) -> (Tensor<B, 1>, Tensor<B, 2>) {
        let [_, num_bits] = blocks.logits.dims();
        let device = blocks.logits.device();
        let mut ones = Tensor::<B, 2>::zeros([1, num_bits], (&device, dtype.into()));
        let mut certain = ones.clone();
        for block in blocks.ranges() {
            let (logits, weights) = blocks.get(block);
            let magnitude = logits.clone().abs();
            // h(sigmoid(l)) = ln(1 + exp(-|l|)) + |l| sigmoid(-|l|), in which nothing overflows.
            let entropy =
                (-magnitude.clone()).exp().log1p() + magnitude.clone() * sigmoid(-magnitude);
            certain = certain + weighted(entropy, &weights).sum_dim(0);
            ones = ones + weighted(sigmoid(logits), &weights).sum_dim(0);
        }
        // Within [2^-24, 1 - 2^-24], so that the logarithms are finite.
        const NEAREST: f32 = f32::EPSILON / 2.0;
        let mean = (ones / blocks.count()).clamp(NEAREST, 1.0 - NEAREST);
        let [ln_one, ln_zero] = [mean.clone().log(), (-mean.clone()).log1p()];
        let balanced = -(mean.clone() * ln_one.clone() + (-mean + 1.0) * ln_zero.clone());
        let certain = certain / blocks.count();
        // Where nothing counts, both are 0.
        let balanced = balanced * blocks.any();
        let value = (certain - balanced * self.diversity).sum() / (num_bits as f64 * LN_2);
        (value, ln_zero - ln_one)
    }

    /// The derivative by the logits, of their shape, times `upstream [1]`.
    fn gradient<B: Backend>(
        &self,
        blocks: &Blocks<B>,
        balance: Tensor<B, 2>,
        upstream: Tensor<B, 1>,
    ) -> Tensor<B, 2> {
        let [_, num_bits] = blocks.logits.dims();
        let scale = balance * self.diversity;
        let divisor = blocks.count() * (-(num_bits as f64) * LN_2);
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
impl Derivative for EntropyLoss {
    /// `others` are the balance and, where not all rows count, their weights.
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

/// Logits and what their rows weigh, read a few rows at a time: what is computed for a block has
/// a sixteenth of the logits' size, or little.
struct Blocks<B: Backend> {
    logits: Tensor<B, 2>,
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

    /// How many rows count, at least 1, `[1, 1]`.
    fn count(&self) -> Tensor<B, 2> {
        match &self.weights {
            Some(weights) => weights.clone().sum_dim(0).clamp_min(1.0),
            None => self.all_rows() * self.logits.dims()[0] as f64,
        }
    }

    /// Whether any row counts, as 1 or 0, `[1, 1]`.
    fn any(&self) -> Tensor<B, 2> {
        match &self.weights {
            Some(weights) => weights.clone().sum_dim(0).clamp_max(1.0),
            None => self.all_rows(),
        }
    }

    fn all_rows(&self) -> Tensor<B, 2> {
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

    /// What runs on backends that are not known gives the same.
    #[test]
    fn the_portable_way_gives_the_value_and_the_gradient_of_the_other() {
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
        // One is scaled by 3 before the division by the number of elements, the other after it.
        let difference = (gradient.clone() - portable_gradient)
            .abs()
            .max()
            .into_scalar();
        let largest = gradient.abs().max().into_scalar();
        assert!(
            difference <= 4.0 * f32::EPSILON * largest,
            "{difference}, {largest}"
        );
    }
}
