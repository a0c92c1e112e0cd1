//! Bits that are decided independently, as the reference decides them.
//!
//! Kernels decide the bits of f32 vectors in host memory. Tensor operations handle all other tensors.

use alloc::vec::Vec;

use bitcodes_kernels::Encoder;
use bitcodes_kernels::layout::row_bytes;
use burn::tensor::{DType, FloatDType, Int, Tensor, backend::Backend};

use crate::backend::kernels;
use crate::backend::known::has_values_in_host_memory;
use crate::backend::lend::with_rows;
use crate::codebook::{Codebook, Pairs};
use crate::graph::untracked;
use crate::noise::Noise;
use crate::normalization::Inputs;
use crate::precision::sigmoid;
use crate::vectors::{along_axis_1, count, encode_in_parts, vectors_first};
use crate::{Assignment, ConfigError, Initializer, Schedule};

/// Settings of bits that are decided [independently](crate::Assignment::Independent).
///
/// ```
/// use bitcodes_core::{BitcodesConfig, Independent, Schedule};
///
/// let annealed = Independent::new().with_temperature(Schedule::cosine(4.0, 0.5, 10_000));
/// let config = BitcodesConfig::reference(64, 32).with_assignment(annealed);
/// assert!(config.validate().is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Independent {
    /// Temperature of the gradient. In training, the gradient of a sigmoid with this temperature
    /// replaces that of the threshold. It has to be finite and above 0, also as an f32. Default:
    /// 1.0
    pub temperature: Schedule,
    /// Distribution from which the codebook is drawn. Default: [`Initializer::Normal`]
    pub initializer: Initializer,
}

impl Default for Independent {
    fn default() -> Self {
        Self {
            temperature: Schedule::Constant(1.0),
            initializer: Initializer::Normal,
        }
    }
}

impl Independent {
    /// Returns the default settings, which are the reference's.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the [`temperature`](Self::temperature), a number or a [`Schedule`].
    pub fn with_temperature(mut self, temperature: impl Into<Schedule>) -> Self {
        self.temperature = temperature.into();
        self
    }

    /// Sets the [`initializer`](Self::initializer).
    pub fn with_initializer(mut self, initializer: Initializer) -> Self {
        self.initializer = initializer;
        self
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for end in self.temperature.ends() {
            let single = end as f32;
            if !(single.is_normal() && single > 0.0) {
                return Err(ConfigError::Temperature(end));
            }
        }
        Ok(self.temperature.validate()?)
    }
}

impl From<Independent> for Assignment {
    fn from(settings: Independent) -> Self {
        Self::Independent(settings)
    }
}

/// Returns the logits of `x`, `[vectors, num_bits]`.
pub(super) fn logits<B: Backend, const N: usize>(
    x: Tensor<B, N>,
    codebook: &Codebook<B>,
) -> Tensor<B, 2> {
    let pairs = codebook.pairs(x.dtype().into());
    vectors_first(pairs.logits(x))
}

/// Returns the packed bits, if a kernel takes these vectors.
pub(super) fn encode_packed<B: Backend, const N: usize>(
    inputs: &Inputs<'_, B, N>,
    codebook: &Codebook<B>,
) -> Option<Vec<u8>> {
    if !has_values_in_host_memory::<B>() || inputs.x.dtype() != DType::F32 {
        return None;
    }
    let encoder = codebook.lend(Encoder::new);
    let (x, bytes) = (untracked(inputs.x.clone()), row_bytes(encoder.num_bits()));
    Some(encode_in_parts(x, bytes, |x, packed| {
        let part = Inputs {
            x,
            normalization: inputs.normalization,
        };
        with_rows(&part.normalized(), |x| encoder.encode(x, packed));
    }))
}

/// Quantizes `x` with noise. If the noise is logistic with a scale of 1, bit `p` is 1 with
/// probability `sigmoid(logit_p)`.
///
/// The gradient passes straight through the bits. Returns the quantized vectors and the bits.
pub(super) fn train<B: Backend, const N: usize>(
    inputs: &Inputs<'_, B, N>,
    x: Tensor<B, N>,
    noise: Noise<B, N>,
    pairs: &Pairs<B>,
    codebook: &Codebook<B>,
    temperature: f64,
) -> (Tensor<B, N>, Tensor<B, N, Int>) {
    let shape = x.dims();
    let logits = pairs.logits(x);
    let device = logits.device();
    let (perturbed, by_kernel) = match noise.into_tensor(logits.dims(), &device) {
        Some(noise) => {
            let noise = noise.cast(FloatDType::from(logits.dtype()));
            (logits + noise, None)
        }
        // The kernel rounds otherwise than the backend's product, and decides the bits of `encode`.
        None => (logits, encode_packed(inputs, codebook)),
    };
    let hard = match by_kernel {
        Some(packed) => {
            let rows = [count(&inputs.x), codebook.num_bits()];
            along_axis_1(kernels::bits(&packed, rows, &device), shape)
        }
        None => perturbed.clone().detach().greater_elem(0.0).int(),
    };
    let bits = straight_through(perturbed, hard.clone(), temperature);
    (pairs.decode(bits), hard)
}

/// Does the same as [`train`] for vectors along the last axis, if a kernel takes them.
pub(super) fn train_by_kernel<B: Backend, const D: usize>(
    x: &Tensor<B, D>,
    noise: &Noise<B, D>,
    codebook: &Codebook<B>,
    temperature: f64,
) -> Option<(Tensor<B, D>, Tensor<B, D, Int>)> {
    #[cfg(feature = "autodiff")]
    return crate::backend::training::quantize(x, &codebook.rows, noise, temperature);
    #[cfg(not(feature = "autodiff"))]
    {
        let _ = (x, noise, codebook, temperature);
        None
    }
}

/// Returns `hard` bits as floats, with the derivative of `sigmoid(perturbed / temperature)`, `perturbed`
/// being the sums of logits and noise.
///
/// A NaN spreads from there, so that a diverged training shows.
fn straight_through<B: Backend, const N: usize>(
    perturbed: Tensor<B, N>,
    hard: Tensor<B, N, Int>,
    temperature: f64,
) -> Tensor<B, N> {
    let dtype = FloatDType::from(perturbed.dtype());
    let soft = sigmoid(perturbed / temperature);
    // In this order the forward value is `hard` to the last bit: the added term is zero.
    hard.cast(dtype) + (soft.clone() - soft.detach())
}
