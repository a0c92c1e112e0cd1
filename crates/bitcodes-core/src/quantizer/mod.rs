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
mod forward;
mod kept;
mod normalization;
mod pass;
mod product;
mod residual;
mod unused;

use burn::module::{Content, DisplaySettings, Module, ModuleDisplay, Param};
use burn::tensor::{BasicOps, Int, Tensor, backend::Backend};

pub use self::kept::Kept;
pub use self::normalization::Normalization;
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
    #[cfg(feature = "std")]
    pub(crate) fn at_step(self, steps: usize) -> Self {
        Self {
            step: Kept::new(steps),
            ..self
        }
    }

    /// The same with another normalization.
    #[cfg(feature = "std")]
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

    /// Whether each bit is decided alone, of vectors that are not normalized.
    fn decides_vectors_as_they_are(&self) -> bool {
        self.assignment() == Assignment::Independent && self.normalization.is_none()
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
