//! The quantizer.
//!
//! With `codebook [2 * num_bits, features]`, rows `2p` and `2p + 1` being the pair of bit `p`:
//!
//! ```text
//! delta_p = codebook[2p + 1] - codebook[2p]        base = sum_p codebook[2p]
//! logits  = x . delta^T
//! bits    = logits > 0            (in training: logits + noise > 0)
//! y       = base + bits . delta
//! ```
//!
//! which chooses the same vectors and sums to the same output as taking the dot product with both
//! rows of each pair, at half the products
//! ([bitcodes-pytorch](https://pypi.org/project/bitcodes-pytorch/), the reference).

use burn::module::{Content, DisplaySettings, Module, ModuleDisplay, Param};
use burn::tensor::{BasicOps, FloatDType, Int, Tensor, backend::Backend};

use crate::sampling::{logistic_noise, sample_straight_through};

/// A vector quantizer with binary codes.
///
/// Made by [`BitcodesConfig`](crate::BitcodesConfig).
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct Bitcodes<B: Backend> {
    /// `[2 * num_bits, features]`; rows `2p` and `2p + 1` are the vectors that bit `p` chooses
    /// between when it is 0 and 1.
    pub codebook: Param<Tensor<B, 2>>,
    temperature: f64,
}

/// What [`Bitcodes::forward`] returns.
#[derive(Debug, Clone)]
pub struct BitcodesOutput<B: Backend, const D: usize> {
    /// The quantized vectors `[.., features]`.
    pub quantized: Tensor<B, D>,
    /// The bits that made them, 0 or 1, `[.., num_bits]`.
    pub bits: Tensor<B, D, Int>,
}

impl<B: Backend> Bitcodes<B> {
    pub(crate) fn new(codebook: Tensor<B, 2>, temperature: f64) -> Self {
        Self {
            codebook: Param::from_tensor(codebook),
            temperature,
        }
    }

    /// Length of a vector.
    pub fn features(&self) -> usize {
        let [_, features] = self.codebook.lazy_shape().dims();
        features
    }

    /// Bits that a vector is quantized to.
    pub fn num_bits(&self) -> usize {
        let [rows, _] = self.codebook.lazy_shape().dims();
        rows / 2
    }

    /// Temperature of the sigmoid whose gradient is used in training.
    pub fn temperature(&self) -> f64 {
        self.temperature
    }

    /// Quantizes; in training with noise, so that the bits are sampled.
    ///
    /// On a backend that differentiates (`Autodiff<..>`) bit `p` is 1 with probability
    /// `sigmoid(logits_p)`, and gradients pass straight through
    /// `sigmoid((logits_p + noise_p) / temperature)`. On any other backend, and after Burn's
    /// `valid()`, this is [`quantize`](Self::quantize) with its bits.
    ///
    /// # Shapes
    ///
    /// - x: `[.., features]`
    /// - output: `quantized [.., features]`, `bits [.., num_bits]`
    ///
    /// # Panics
    ///
    /// Where the last axis of `x` is not `features` long.
    pub fn forward<const D: usize>(&self, x: Tensor<B, D>) -> BitcodesOutput<B, D> {
        if B::ad_enabled(&x.device()) {
            let noise = logistic_noise(self.with_last(&x, self.num_bits()), &x.device());
            self.forward_with_noise(x, noise)
        } else {
            let bits = self.encode(x);
            BitcodesOutput {
                quantized: self.decode(bits.clone()),
                bits,
            }
        }
    }

    /// The forward pass of training with the noise given, so that it can be replayed.
    ///
    /// Draws from the logistic distribution ([`logistic_noise`]) make it sample; zeros make it
    /// deterministic. It is the same on every backend, with gradients on those that differentiate.
    ///
    /// # Shapes
    ///
    /// - x: `[.., features]`
    /// - noise: `[.., num_bits]`
    /// - output: `quantized [.., features]`, `bits [.., num_bits]`
    ///
    /// # Panics
    ///
    /// Where the last axis of `x` is not `features` long, or `noise` not of the bits' shape.
    pub fn forward_with_noise<const D: usize>(
        &self,
        x: Tensor<B, D>,
        noise: Tensor<B, D>,
    ) -> BitcodesOutput<B, D> {
        let bits_shape = self.with_last(&x, self.num_bits());
        assert_eq!(
            noise.dims(),
            bits_shape,
            "Bitcodes: noise has another shape (left) than the bits (right)"
        );
        let quantized_shape = x.dims();
        if has_no_vectors(&x) {
            return BitcodesOutput {
                bits: Tensor::zeros(bits_shape, &x.device()),
                quantized: x,
            };
        }
        let logits = self.logits_of_rows(self.rows(x));
        let noise = noise.reshape(logits.dims());
        let bits = sample_straight_through(logits, noise, self.temperature);
        BitcodesOutput {
            quantized: self.decode_rows(bits.clone()).reshape(quantized_shape),
            bits: bits.detach().greater_elem(0.5).int().reshape(bits_shape),
        }
    }

    /// Quantizes without noise on every backend; the same as `decode(encode(x))`.
    ///
    /// # Shapes
    ///
    /// - x: `[.., features]`
    /// - output: `[.., features]`
    ///
    /// # Panics
    ///
    /// Where the last axis of `x` is not `features` long.
    pub fn quantize<const D: usize>(&self, x: Tensor<B, D>) -> Tensor<B, D> {
        self.decode(self.encode(x))
    }

    /// How decided each bit is: `x . (codebook[2p + 1] - codebook[2p])` for each bit `p`.
    ///
    /// # Shapes
    ///
    /// - x: `[.., features]`
    /// - output: `[.., num_bits]`
    ///
    /// # Panics
    ///
    /// Where the last axis of `x` is not `features` long.
    pub fn logits<const D: usize>(&self, x: Tensor<B, D>) -> Tensor<B, D> {
        let shape = self.with_last(&x, self.num_bits());
        if has_no_vectors(&x) {
            return Tensor::zeros(shape, (&x.device(), x.dtype()));
        }
        self.logits_of_rows(self.rows(x)).reshape(shape)
    }

    /// The bits of each vector, without noise: `logits > 0`, so that a tie and NaN give 0.
    ///
    /// # Shapes
    ///
    /// - x: `[.., features]`
    /// - output: `[.., num_bits]`, each 0 or 1
    ///
    /// # Panics
    ///
    /// Where the last axis of `x` is not `features` long.
    pub fn encode<const D: usize>(&self, x: Tensor<B, D>) -> Tensor<B, D, Int> {
        self.logits(x).greater_elem(0.0).int()
    }

    /// The vectors that bits stand for.
    ///
    /// # Shapes
    ///
    /// - bits: `[.., num_bits]`, each 0 or 1 (any other value is extrapolated, not checked)
    /// - output: `[.., features]`
    ///
    /// # Panics
    ///
    /// Where the last axis of `bits` is not `num_bits` long.
    #[doc(alias = "from_bits")]
    pub fn decode<const D: usize>(&self, bits: Tensor<B, D, Int>) -> Tensor<B, D> {
        let num_bits = self.num_bits();
        let mut shape = bits.dims();
        assert_eq!(
            shape[D - 1],
            num_bits,
            "Bitcodes: the last axis of bits has {} elements, expected num_bits = {num_bits}",
            shape[D - 1]
        );
        shape[D - 1] = self.features();
        let dtype = self.codebook.val().dtype();
        if has_no_vectors(&bits) {
            return Tensor::zeros(shape, (&bits.device(), dtype));
        }
        let rows = shape[..D - 1].iter().product();
        let bits = bits.reshape([rows, num_bits]).cast(FloatDType::from(dtype));
        self.decode_rows(bits).reshape(shape)
    }

    /// `x` as a matrix of vectors, `[rows, features]`.
    fn rows<const D: usize>(&self, x: Tensor<B, D>) -> Tensor<B, 2> {
        let features = self.features();
        let rows = x.dims()[..D - 1].iter().product();
        x.reshape([rows, features])
    }

    /// The shape of `x` with another last axis; panics unless `x` is `[.., features]`.
    fn with_last<const D: usize>(&self, x: &Tensor<B, D>, last: usize) -> [usize; D] {
        let mut shape = x.dims();
        let features = self.features();
        assert_eq!(
            shape[D - 1],
            features,
            "Bitcodes: the last axis of x has {} elements, expected features = {features}",
            shape[D - 1]
        );
        shape[D - 1] = last;
        shape
    }

    fn logits_of_rows(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let [zeros, ones] = self.pairs();
        x.matmul((ones - zeros).transpose())
    }

    fn decode_rows(&self, bits: Tensor<B, 2>) -> Tensor<B, 2> {
        let [zeros, ones] = self.pairs();
        bits.matmul(ones - zeros.clone()) + zeros.sum_dim(0)
    }

    /// The vectors for a 0 and those for a 1, `[num_bits, features]` each.
    fn pairs(&self) -> [Tensor<B, 2>; 2] {
        let (num_bits, features) = (self.num_bits(), self.features());
        let pairs = self.codebook.val().reshape([num_bits, 2 * features]);
        [0, 1].map(|bit| pairs.clone().narrow(1, bit * features, features))
    }
}

/// Whether an axis other than the last is empty, which neither Burn's `reshape` nor the kernels of
/// its GPU backends take.
fn has_no_vectors<B: Backend, const D: usize, K: BasicOps<B>>(tensor: &Tensor<B, D, K>) -> bool {
    tensor.dims()[..D - 1].contains(&0)
}

impl<B: Backend> ModuleDisplay for Bitcodes<B> {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new()
            .with_new_line_after_attribute(false)
            .optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        content
            .add("features", &self.features())
            .add("num_bits", &self.num_bits())
            .add("temperature", &self.temperature)
            .optional()
    }
}
