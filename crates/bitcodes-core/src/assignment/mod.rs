//! The methods of deciding the bits of a vector.
//!
//! This file and `method.rs` hold the only matches of this crate on the method, one in each function; a
//! method's file knows nothing of the other method.

mod decide;
mod independent;
mod joint;
mod json;
mod method;
#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec::Vec;

use bitcodes_kernels::joint::Normalization as OfKernels;
use bitcodes_kernels::{Codebook as Slice, Quantizer};
use burn::tensor::{Bool, Int, Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

pub use self::independent::Independent;
pub use self::joint::Joint;
use self::json::Settings;
pub use self::method::{AssignmentRecord, Method};
use crate::codebook::{Codebook, Pairs};
use crate::init::{self, Sample};
use crate::losses::Weights;
use crate::noise::Noise;
use crate::normalization::Inputs;
use crate::{BitcodesOutput, ConfigError};

/// A method of deciding and training bits, with its settings.
///
/// With `mid` the sum of the pairs' means and `h_p = delta_p / 2`, a vector is quantized to
/// `y = mid + sum_p s_p h_p`, each sign `s_p` being -1 for a 0 and 1 for a 1 (see
/// [`Bitcodes`](crate::Bitcodes)). If there are many bits, it is hard to find the signs that bring
/// `y` nearest to the vector. The two methods find them in different ways.
///
/// In JSON an assignment is its method and the settings of that method: `{"method": "joint", "beam": 8,
/// "unquantized_below": 0.06, "balance_weight": 0.3}` or `{"method": "independent", "temperature": 1.0,
/// "initializer": "normal"}`. A setting that belongs to the other method is an error. Without
/// `unquantized_below` or `balance_weight`, as in files that are older than these settings, they are 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Settings", into = "Settings")]
#[non_exhaustive]
pub enum Assignment {
    /// Each bit is decided alone, as the reference does: `logit_p = x . delta_p`.
    ///
    /// With a noise scale of 1, training draws bit `p` as 1 with probability `sigmoid(logit_p)`. The
    /// gradient is that of `sigmoid((logit_p + noise_p) / temperature)`, for codebook and vectors. If
    /// the vectors are [normalized](crate::Normalization), the mean of the vectors gets only a part
    /// of the gradient.
    Independent(Independent),
    /// All bits are decided together, so that `|x - y|` becomes small.
    ///
    /// A beam search takes one bit after another, and keeps the `beam` candidates, the choices of the
    /// bits so far, that leave the smallest residuals. Then each bit is decided once more:
    /// `logit_p = r_p . h_p / |h_p|^2`, where `r_p = x - y + s_p h_p` is the residual that all other
    /// bits leave. Additive quantization encodes in this way
    /// ([Babenko and Lempitsky 2014](https://doi.org/10.1109/CVPR.2014.124)). With a beam of 1, this is
    /// residual quantization, and after it one pass of coordinate descent over all bits.
    ///
    /// In training the gradient from the output to the vectors is the identity. If the vectors are
    /// [normalized](crate::Normalization), the mean of the vectors gets only a part of the
    /// gradient. The codebook learns from its own loss alone, which the model's loss has to include
    /// ([`codebook_weight`](crate::BitcodesConfig::codebook_weight)). Noise is added to the logits,
    /// which are -1 and 1 at the two vectors of a pair. While the error of quantization is small, some
    /// vectors pass unquantized ([`Joint::unquantized_below`]). A loss keeps the bits balanced
    /// ([`Joint::balance_weight`]).
    Joint(Joint),
}

impl Default for Assignment {
    /// Returns [`Joint`](Self::Joint) with its default settings.
    fn default() -> Self {
        Joint::new().into()
    }
}

/// Makes the assignment of a file; a setting that files do not store gets its default.
#[cfg(feature = "std")]
impl From<bitcodes_format::Method> for Assignment {
    fn from(method: bitcodes_format::Method) -> Self {
        use bitcodes_format::Method;

        match method {
            Method::Independent => Independent::new().into(),
            Method::Joint { beam } => Joint::new().with_beam(beam).into(),
        }
    }
}

impl Assignment {
    /// Returns the method, without its settings.
    pub(crate) fn method(&self) -> Method {
        match self {
            Self::Independent(_) => Method::Independent,
            Self::Joint(_) => Method::Joint,
        }
    }

    /// Returns true for joint bits, whose codebook should be made from a sample of the vectors if
    /// there is one; false for independent bits, which start as the reference's do.
    pub fn starts_from_sample(&self) -> bool {
        match self {
            Self::Independent(_) => false,
            Self::Joint(_) => true,
        }
    }

    pub(crate) fn validate(&self, num_bits: usize) -> Result<(), ConfigError> {
        match self {
            Self::Independent(settings) => settings.validate(),
            Self::Joint(settings) => settings.validate(num_bits),
        }
    }

    pub(crate) fn record(&self) -> AssignmentRecord {
        let beam = match self {
            Self::Independent(_) => None,
            Self::Joint(settings) => Some(settings.beam),
        };
        AssignmentRecord {
            method: self.method(),
            beam,
        }
    }

    /// Returns the assignment of a record. A setting that records do not hold stays as it is if the
    /// method is the same, and gets its default otherwise.
    pub(crate) fn with_record(self, record: AssignmentRecord) -> Self {
        let same = match self.method() == record.method {
            true => self,
            false => record.method.with_defaults(),
        };
        match (same, record.beam) {
            // Burn's own `load_record` takes any beam of a file.
            (Self::Joint(settings), Some(beam)) => {
                Self::Joint(settings.with_beam(beam.clamp(1, Joint::MAX_BEAM)))
            }
            (Self::Joint(_) | Self::Independent(_), _) => same,
        }
    }

    /// Draws a codebook `[2 * num_bits, features]` that knows nothing of the vectors.
    pub(crate) fn draw_codebook<B: Backend>(
        &self,
        num_bits: usize,
        features: usize,
        normalized: bool,
        device: &B::Device,
    ) -> Tensor<B, 2> {
        match self {
            Self::Independent(Independent { initializer, .. }) => {
                initializer.draw(num_bits, features, normalized, device)
            }
            Self::Joint(_) => init::draw_grid(num_bits, features, normalized, device),
        }
    }

    /// Makes a codebook `[2 * num_bits, features]` for a sample of the vectors.
    pub(crate) fn codebook_for<B: Backend>(
        &self,
        sample: Sample<B>,
        num_bits: usize,
    ) -> Tensor<B, 2> {
        match self {
            Self::Independent(_) => sample.mixed(num_bits),
            Self::Joint(_) => sample.along_principal_directions(num_bits),
        }
    }

    /// Returns the logits `[vectors, num_bits]` whose signs are the bits of the vectors.
    pub(crate) fn logits<B: Backend, const N: usize>(
        &self,
        inputs: Inputs<'_, B, N>,
        codebook: &Codebook<B>,
    ) -> Tensor<B, 2> {
        match self {
            Self::Independent(_) => independent::logits(inputs.normalized(), codebook),
            Self::Joint(settings) => settings.logits(inputs, codebook),
        }
    }

    /// Returns the bits of vectors without noise, packed by a kernel, if there is one that takes these
    /// vectors.
    pub(crate) fn encode_packed<B: Backend, const N: usize>(
        &self,
        inputs: &Inputs<'_, B, N>,
        codebook: &Codebook<B>,
    ) -> Option<Vec<u8>> {
        match self {
            Self::Independent(_) => independent::encode_packed(inputs, codebook),
            Self::Joint(settings) => settings.encode_packed(inputs, codebook),
        }
    }

    /// Makes a quantizer of slices that decides bits by this method.
    pub(crate) fn on_slices(
        &self,
        codebook: Slice<'_>,
        normalization: Option<OfKernels<'_>>,
    ) -> Quantizer {
        match self {
            Self::Independent(_) => Quantizer::independent(codebook, normalization),
            Self::Joint(settings) => Quantizer::joint(codebook, normalization, settings.beam),
        }
    }

    /// Returns the pairs as training differentiates them.
    pub(crate) fn pairs_in_training<B: Backend>(
        &self,
        pairs: Pairs<B>,
        normalized: bool,
    ) -> Pairs<B> {
        match self {
            // The center says where normalized vectors lie. If `mid` were trained too, the
            // commitment loss would hold the vectors to `mid`, which would follow them. They could
            // settle beside the origin, where some bits are the same for nearly all of them.
            Self::Joint(_) if normalized => pairs.with_mid_held(),
            Self::Joint(_) | Self::Independent(_) => pairs,
        }
    }

    /// Quantizes vectors with noise, and with the gradients of training, at a step of the schedules.
    ///
    /// Takes the vectors also normalized, as `x` with its gradient, and the codebook also as its
    /// `pairs` in training.
    pub(crate) fn train<B: Backend, const N: usize>(
        &self,
        inputs: Inputs<'_, B, N>,
        x: Tensor<B, N>,
        noise: Noise<B, N>,
        pairs: &Pairs<B>,
        codebook: &Codebook<B>,
        step: usize,
    ) -> (Tensor<B, N>, Tensor<B, N, Int>) {
        match self {
            Self::Independent(settings) => {
                let temperature = settings.temperature.value(step);
                independent::train(&inputs, x, noise, pairs, codebook, temperature)
            }
            Self::Joint(settings) => settings.train(inputs, x, noise, pairs, codebook),
        }
    }

    /// Does the same as [`train`](Self::train), and computes the losses, by a kernel, if there is one that
    /// takes these vectors.
    pub(crate) fn train_with_losses<B: Backend, const N: usize>(
        &self,
        inputs: &Inputs<'_, B, N>,
        noise: &Noise<B, N>,
        valid: &Option<Tensor<B, N, Bool>>,
        codebook: &Codebook<B>,
        weights: Weights,
    ) -> Option<BitcodesOutput<B, N>> {
        match self {
            Self::Independent(_) => None,
            Self::Joint(settings) => {
                settings.train_with_losses(inputs, noise, valid, codebook, weights)
            }
        }
    }

    /// Does the same as [`train`](Self::train) for vectors along the last axis without normalization,
    /// losses and padding, by a kernel, if there is one that takes them.
    pub(crate) fn train_by_kernel<B: Backend, const D: usize>(
        &self,
        x: &Tensor<B, D>,
        noise: &Noise<B, D>,
        codebook: &Codebook<B>,
        step: usize,
    ) -> Option<(Tensor<B, D>, Tensor<B, D, Int>)> {
        match self {
            Self::Independent(settings) => {
                independent::train_by_kernel(x, noise, codebook, settings.temperature.value(step))
            }
            Self::Joint(_) => None,
        }
    }

    /// Returns the vectors that training leaves unquantized, true for each of them, with one element along
    /// axis 1; `None` if the method quantizes every vector.
    ///
    /// Takes vectors `x` as they are quantized, and quantized vectors `y`.
    pub(crate) fn unquantized<B: Backend, const N: usize>(
        &self,
        x: &Tensor<B, N>,
        y: &Tensor<B, N>,
        noise: &Noise<B, N>,
        valid: &Option<Tensor<B, N, Bool>>,
    ) -> Option<Tensor<B, N, Bool>> {
        match self {
            Self::Independent(_) => None,
            Self::Joint(settings) => settings.unquantized(x, y, noise, valid),
        }
    }

    /// Returns whether the method has a loss of its own.
    pub(crate) fn has_loss(&self) -> bool {
        match self {
            Self::Independent(_) => false,
            Self::Joint(settings) => settings.balance_weight > 0.0,
        }
    }

    /// Returns the loss that is the method's own, `[1]`.
    ///
    /// Takes normalized vectors and bits of 0 and 1, both along axis 1.
    pub(crate) fn loss<B: Backend, const N: usize>(
        &self,
        pairs: &Pairs<B>,
        x: Tensor<B, N>,
        bits: Tensor<B, N>,
        valid: Option<Tensor<B, 2, Bool>>,
    ) -> Option<Tensor<B, 1>> {
        match self {
            Self::Independent(_) => None,
            Self::Joint(settings) => settings.balance_loss(pairs, x, bits, valid),
        }
    }

    /// Returns the part of the codebook's loss that the method adds, `[1]`.
    ///
    /// Takes `bits [vectors, num_bits]`.
    pub(crate) fn codebook_loss<B: Backend>(
        &self,
        pairs: &Pairs<B>,
        bits: Tensor<B, 2>,
        valid: Option<Tensor<B, 2, Bool>>,
    ) -> Option<Tensor<B, 1>> {
        match self {
            Self::Independent(_) => None,
            Self::Joint(_) => Some(Joint::codebook_loss(pairs, bits, valid)),
        }
    }

    /// Returns the logits of `x` with a gradient, along axis 1, for the entropy loss.
    pub(crate) fn logits_with_gradient<B: Backend, const N: usize>(
        &self,
        pairs: &Pairs<B>,
        x: Tensor<B, N>,
        bits: Tensor<B, N>,
    ) -> Tensor<B, N> {
        match self {
            Self::Independent(_) => pairs.logits(x),
            Self::Joint(_) => Joint::logits_given_bits(pairs, x, bits),
        }
    }
}

impl From<Assignment> for Settings {
    fn from(assignment: Assignment) -> Self {
        let none = Self {
            method: assignment.method(),
            temperature: None,
            initializer: None,
            beam: None,
            unquantized_below: None,
            balance_weight: None,
        };
        match assignment {
            Assignment::Independent(settings) => Self {
                temperature: Some(settings.temperature),
                initializer: Some(settings.initializer),
                ..none
            },
            Assignment::Joint(settings) => Self {
                beam: Some(settings.beam),
                unquantized_below: Some(settings.unquantized_below),
                balance_weight: Some(settings.balance_weight),
                ..none
            },
        }
    }
}

impl TryFrom<Settings> for Assignment {
    type Error = String;

    fn try_from(settings: Settings) -> Result<Self, String> {
        match settings.method {
            Method::Independent => settings.independent(),
            Method::Joint => settings.joint(),
        }
    }
}
