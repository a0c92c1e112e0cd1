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
//! are the bits of [`Assignment::Independent`], which chooses the same vectors and sums to the same
//! output as taking the dot product with both rows of each pair, at half the products
//! ([bitcodes-pytorch](https://pypi.org/project/bitcodes-pytorch/), the reference).
//!
//! Computed in f32, or in f64 where `x` or the codebook is; the output has the type of `x`.

mod channel_first;
mod codec;
mod kept;
mod normalization;
mod pass;
mod product;
mod residual;
mod unused;

use burn::module::{Content, DisplaySettings, Module, ModuleDisplay, Param};
use burn::tensor::{BasicOps, Bool, Int, Tensor, backend::Backend};

pub use self::kept::Kept;
pub use self::normalization::Normalization;
use self::pass::{Choice, Pass};
use crate::backend::kernels;
#[cfg(feature = "autodiff")]
use crate::backend::training::{self, Noise};
use crate::sampling::logistic_noise;
use crate::{Assignment, BitcodesConfig, ConfigError, Schedule};

/// A vector quantizer with binary codes.
///
/// Made by [`BitcodesConfig`](crate::BitcodesConfig). Its record holds the codebook, the
/// normalization where there is one, how bits are decided and the step that the schedules are at.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct Bitcodes<B: Backend> {
    /// `[2 * num_bits, features]`; rows `2p` and `2p + 1` are the vectors that bit `p` chooses
    /// between when it is 0 and 1.
    pub codebook: Param<Tensor<B, 2>>,
    /// What is done to vectors first, if anything.
    pub normalization: Option<Normalization<B>>,
    step: Kept<B, usize>,
    assignment: Kept<B, Assignment>,
    #[module(skip)]
    temperature: Schedule,
    #[module(skip)]
    noise: Schedule,
    #[module(skip)]
    weights: Weights,
}

/// What the losses of an output are multiplied by.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Weights {
    commitment: f64,
    codebook: f64,
    entropy: f64,
    diversity: f64,
}

/// What [`Bitcodes::forward`] returns.
#[derive(Debug, Clone)]
pub struct BitcodesOutput<B: Backend, const D: usize> {
    /// The quantized vectors, of the shape and the type of the input.
    pub quantized: Tensor<B, D>,
    /// The bits that made them, 0 or 1, `[.., num_bits]`.
    pub bits: Tensor<B, D, Int>,
    /// The sum of the losses that the configuration gives a weight, with what the normalization
    /// learns from, which adds nothing to the value; `[1]`, to be added to the model's own. `None`
    /// where there is neither, as in the reference's configuration.
    pub loss: Option<Tensor<B, 1>>,
}

impl<B: Backend> Bitcodes<B> {
    /// With what the configuration asks for: [`BitcodesConfig::normalize`] decides whether a
    /// normalization has to be given.
    pub(crate) fn new(
        codebook: Tensor<B, 2>,
        normalization: Option<Normalization<B>>,
        config: &BitcodesConfig,
    ) -> Self {
        Self {
            codebook: Param::from_tensor(codebook),
            normalization,
            step: Kept::new(0),
            assignment: Kept::new(config.assignment),
            temperature: config.temperature,
            noise: config.noise,
            weights: Weights {
                commitment: config.commitment_weight,
                codebook: config.codebook_weight,
                entropy: config.entropy_weight,
                diversity: config.diversity,
            },
        }
    }

    /// A quantizer with this codebook, `[2 * num_bits, features]`, and otherwise the configuration;
    /// where it [normalizes](BitcodesConfig::normalize), as if the vectors lay around the origin with
    /// a standard deviation of 1; the field `normalization` can be set afterwards.
    ///
    /// # Errors
    ///
    /// Where [`validate`](BitcodesConfig::validate) gives one, and
    /// [`ConfigError::CodebookShape`] for a codebook of other dimensions than the configuration's.
    pub fn from_codebook(
        codebook: Tensor<B, 2>,
        config: &BitcodesConfig,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        let (found, wanted) = (codebook.dims(), [2 * config.num_bits, config.features]);
        if found != wanted {
            return Err(ConfigError::CodebookShape { found, wanted });
        }
        let normalization = config
            .normalize
            .then(|| Normalization::unit(config.features, &codebook.device()));
        // A parameter is the start of a graph.
        Ok(Self::new(codebook.detach(), normalization, config))
    }

    /// The same at another step of its schedules.
    #[cfg(feature = "safetensors")]
    pub(crate) fn at_step(self, steps: usize) -> Self {
        Self {
            step: Kept::new(steps),
            ..self
        }
    }

    /// The same with another normalization.
    #[cfg(feature = "safetensors")]
    pub(crate) fn normalized_by(self, normalization: Normalization<B>) -> Self {
        Self {
            normalization: Some(normalization),
            ..self
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

    /// The configuration, as far as the quantizer keeps it: all but the initializer.
    pub fn config(&self) -> BitcodesConfig {
        let defaults = match self.assignment() {
            Assignment::Independent => BitcodesConfig::reference,
            Assignment::Residual { .. } => BitcodesConfig::new,
        };
        defaults(self.features(), self.num_bits())
            .with_assignment(self.assignment())
            .with_normalize(self.normalization.is_some())
            .with_temperature(self.temperature)
            .with_noise(self.noise)
            .with_commitment_weight(self.weights.commitment)
            .with_codebook_weight(self.weights.codebook)
            .with_entropy_weight(self.weights.entropy)
            .with_diversity(self.weights.diversity)
    }

    /// How bits are decided; the record keeps it.
    pub fn assignment(&self) -> Assignment {
        self.assignment.value
    }

    /// Temperature, at the present step, of the sigmoid whose gradient is used in training.
    pub fn temperature(&self) -> f64 {
        self.temperature.value(self.step.value)
    }

    /// What the noise of training is multiplied by at the present step.
    pub fn noise(&self) -> f64 {
        self.noise.value(self.step.value)
    }

    /// The step that the schedules of temperature and noise are at; the record keeps it.
    pub fn step(&self) -> usize {
        self.step.value
    }

    /// Moves the schedules of temperature and noise on by one step: to be called after each step
    /// of the optimizer. With Burn's learner the place is `TrainStep::optimize`.
    pub fn advance(&mut self) {
        self.step.value = self.step.value.saturating_add(1);
    }

    /// Quantizes; in training with noise, so that the bits are sampled.
    ///
    /// On a backend that differentiates (`Autodiff<..>`) bits are decided by the sum of
    /// [`logits`](Self::logits) and logistic noise, and gradients pass straight through, each as the
    /// [`Assignment`] says. The configuration's
    /// [`noise`](BitcodesConfig::noise) scales the noise; at 0 none is drawn and the bits are
    /// [`encode`](Self::encode)'s. On any other backend, and after Burn's `valid()`, this is
    /// [`quantize`](Self::quantize) with its bits.
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
        let bits = self.with_last(&x, self.num_bits());
        #[cfg(feature = "autodiff")]
        if let Some(output) = self.sampled_on_host(&x, None) {
            return output;
        }
        let choice = self.choice(bits, &x.device());
        self.forward_as::<D, 1>(x, choice, None)
    }

    /// [`forward`](Self::forward) for vectors of which some are padding: their output and bits
    /// are zeros, they get no gradient and have no part in a loss, whatever they hold.
    ///
    /// # Shapes
    ///
    /// - x: `[.., features]`
    /// - valid: the leading axes of `x`, true where a vector counts; `M` is `D - 1`, or it does not
    ///   compile
    /// - output: `quantized [.., features]`, `bits [.., num_bits]`
    ///
    /// # Panics
    ///
    /// Where the last axis of `x` is not `features` long, or `valid` not of its leading axes.
    pub fn forward_masked<const D: usize, const M: usize>(
        &self,
        x: Tensor<B, D>,
        valid: Tensor<B, M, Bool>,
    ) -> BitcodesOutput<B, D> {
        const { assert!(M + 1 == D, "M is D - 1") };
        let choice = self.choice(self.with_last(&x, self.num_bits()), &x.device());
        assert_leading("x", &x.dims()[..D - 1], &valid.dims());
        self.forward_as(x, choice, Some(valid))
    }

    /// The forward pass of training with the noise given, so that it can be replayed.
    ///
    /// Draws from the logistic distribution ([`logistic_noise`]) make it sample; zeros make it
    /// deterministic. It is the same on every backend, with gradients on those that differentiate,
    /// and takes the noise as it is, whatever the configuration scales its own by.
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
        assert_eq!(
            noise.dims(),
            self.with_last(&x, self.num_bits()),
            "Bitcodes: noise has another shape (left) than the bits (right)"
        );
        #[cfg(feature = "autodiff")]
        if let Some(output) = self.sampled_on_host(&x, Some(&noise)) {
            return output;
        }
        self.forward_as::<D, 1>(x, Choice::Trained(Some(noise)), None)
    }

    /// The pass of training by kernels, with the noise that is given or with its own.
    #[cfg(feature = "autodiff")]
    fn sampled_on_host<const D: usize>(
        &self,
        x: &Tensor<B, D>,
        noise: Option<&Tensor<B, D>>,
    ) -> Option<BitcodesOutput<B, D>> {
        if has_no_vectors(x) || !self.decides_vectors_as_they_are() || self.has_loss() {
            return None;
        }
        let noise = match noise {
            Some(noise) => Noise::Given(noise),
            None if self.noise() == 0.0 => Noise::None,
            None => Noise::Logistic(self.noise()),
        };
        let codebook = self.codebook.val();
        let (quantized, bits) = training::sampled(x, &codebook, noise, self.temperature())?;
        let loss = None;
        Some(BitcodesOutput {
            quantized,
            bits,
            loss,
        })
    }

    /// How `forward` chooses bits of this shape.
    fn choice<const D: usize>(&self, bits: [usize; D], device: &B::Device) -> Choice<B, D> {
        match (B::ad_enabled(device), self.noise()) {
            (false, _) => Choice::Decided,
            (true, 0.0) => Choice::Trained(None),
            (true, 1.0) => Choice::Trained(Some(logistic_noise(bits, device))),
            (true, scale) => Choice::Trained(Some(logistic_noise(bits, device) * scale)),
        }
    }

    fn forward_as<const D: usize, const M: usize>(
        &self,
        x: Tensor<B, D>,
        choice: Choice<B, D>,
        valid: Option<Tensor<B, M, Bool>>,
    ) -> BitcodesOutput<B, D> {
        let (shape, bits_shape) = (x.dims(), self.with_last(&x, self.num_bits()));
        if has_no_vectors(&x) {
            return self.no_vectors(x, bits_shape);
        }
        if let (Choice::Decided, None) = (&choice, &valid)
            && self.decides_vectors_as_they_are()
            && !self.has_loss()
            && let Some((quantized, bits)) = kernels::quantize(&x, &self.codebook.val())
        {
            let loss = None;
            return BitcodesOutput {
                quantized,
                bits,
                loss,
            };
        }
        let choice = match choice {
            Choice::Decided => Choice::Decided,
            Choice::Trained(noise) => Choice::Trained(noise.map(as_rows)),
        };
        let valid = valid.map(|valid| {
            let vectors = valid.dims().iter().product();
            valid.reshape([vectors, 1])
        });
        let Pass {
            quantized,
            bits,
            loss,
        } = self.pass(as_rows(x), choice, valid);
        BitcodesOutput {
            quantized: quantized.reshape(shape),
            bits: bits.reshape(bits_shape),
            loss,
        }
    }

    /// Whether each bit is decided alone, of vectors that are not normalized.
    fn decides_vectors_as_they_are(&self) -> bool {
        self.assignment() == Assignment::Independent && self.normalization.is_none()
    }

    /// The output for an empty `x`.
    fn no_vectors<const D: usize>(
        &self,
        x: Tensor<B, D>,
        bits: [usize; D],
    ) -> BitcodesOutput<B, D> {
        BitcodesOutput {
            bits: Tensor::zeros(bits, &x.device()),
            loss: self.has_loss().then(|| Tensor::zeros([1], &x.device())),
            quantized: x,
        }
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

    fn assert_num_bits(&self, found: usize) {
        let num_bits = self.num_bits();
        assert_eq!(
            found, num_bits,
            "Bitcodes: the last axis of bits has {found} elements, expected num_bits = {num_bits}"
        );
    }
}

/// A tensor as a matrix of its last axis, `[rows, last]`.
fn as_rows<B: Backend, const D: usize, K: BasicOps<B>>(tensor: Tensor<B, D, K>) -> Tensor<B, 2, K> {
    let dims = tensor.dims();
    let rows = dims[..D - 1].iter().product();
    tensor.reshape([rows, dims[D - 1]])
}

/// Whether an axis other than the last is empty, which neither Burn's `reshape` nor the kernels of
/// its GPU backends take.
fn has_no_vectors<B: Backend, const D: usize, K: BasicOps<B>>(tensor: &Tensor<B, D, K>) -> bool {
    tensor.dims()[..D - 1].contains(&0)
}

fn assert_leading(name: &str, vectors: &[usize], valid: &[usize]) {
    assert_eq!(
        valid, vectors,
        "Bitcodes: valid has another shape (left) than the vectors of {name} (right)"
    );
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
            .add_debug_attribute("assignment", &self.assignment())
            .add("normalizes", &self.normalization.is_some())
            .add("temperature", &self.temperature())
            .optional()
    }
}
