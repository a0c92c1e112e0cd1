//! Bits that are decided jointly, by a beam search.
//!
//! With `mid` the sum of the pairs' means, `h_p` half the difference of bit `p`'s pair, and signs
//! `s_p` of -1 and 1, a vector is quantized to `y = mid + sum_p s_p h_p`;
//! [`Bitcodes`](crate::Bitcodes) tells how this agrees with the bits. The search reduces
//!
//! ```text
//! |x - mid - sum_p s_p h_p|^2
//! ```
//!
//! The search needs only the products `(x - mid) . h_p` of the vectors and the Gram matrix
//! `h_q . h_p` of the codebook. [`host`] searches in the host's memory, [`tensors`] on any other
//! backend. [`Joint::train`] specifies the training pass, which `training` computes in the host's
//! memory.

mod balance;
mod constant_bits;
mod host;
mod tensors;
#[cfg(feature = "autodiff")]
mod training;
mod unquantized;

use alloc::vec::Vec;

use burn::tensor::{Bool, DType, FloatDType, Int, Tensor, TensorData, backend::Backend};

use self::balance::balance_loss;
use self::constant_bits::constant_bits_loss;
use crate::backend::kernels;
use crate::backend::known::has_values_in_host_memory;
use crate::codebook::{Codebook, Pairs, product};
use crate::graph::untracked;
use crate::losses::Weights;
use crate::noise::Noise;
use crate::normalization::Inputs;
use crate::vectors::{along, along_axis_1, count as vectors_of, vectors_first};
use crate::{Assignment, BitcodesOutput, ConfigError};

/// Settings of bits that are decided [jointly](crate::Assignment::Joint).
///
/// ```
/// use bitcodes_core::{BitcodesConfig, Joint};
///
/// let config = BitcodesConfig::new(64, 32).with_assignment(Joint::new().with_beam(16));
/// assert!(config.validate().is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Joint {
    /// Number of candidates that the beam search keeps, 1 to [`MAX_BEAM`](Self::MAX_BEAM). On a CPU, a
    /// beam of 1, 2, 4, 8, 16 or 32 (in a browser, of 8) is searched with vector instructions, and any
    /// other takes 10 to 50 times as long as one of 8. Default: 8
    pub beam: usize,
    /// Relative error of quantization at which training quantizes every vector. If a batch has a smaller
    /// error, each of its vectors passes unquantized with the same probability:
    ///
    /// ```text
    /// error       = sum |x - y|^2 / sum |x - mean(x)|^2
    /// probability = min(1 / 2, 1 - error / unquantized_below)
    /// ```
    ///
    /// So an encoder learns to use directions of little variance, which have no bits yet. This improves the
    /// codes of vectors that vary along one direction much more than along the others, as those of
    /// photographs do (`docs/quality.md`). It has to be finite and not negative; 0 quantizes every vector.
    /// A pass with [given noise](crate::Bitcodes::forward_with_noise) quantizes every vector, too, unless
    /// it is given [draws](crate::Bitcodes::forward_with_draws). Default: 0.06
    pub unquantized_below: f64,
    /// Weight of the balance loss in the loss of an output. If more than five eighths of the vectors of a
    /// batch have the same value of a bit, this loss brings vectors that lie between the two vectors of
    /// the bit's pair nearer to the rarer one. Its gradient goes to the vectors, not to the codebook. It is
    /// 0 for a batch of fewer than 32 vectors. The weight has to be finite and not negative. Default: 0.3
    pub balance_weight: f64,
}

impl Default for Joint {
    fn default() -> Self {
        Self {
            beam: 8,
            unquantized_below: 0.06,
            balance_weight: 0.3,
        }
    }
}

impl From<Joint> for Assignment {
    fn from(settings: Joint) -> Self {
        Self::Joint(settings)
    }
}

impl Joint {
    /// The widest beam that a configuration may ask for. Wider beams were not tried.
    pub const MAX_BEAM: usize = 256;

    /// The most bits that are decided jointly. The products of their halves with one another take 1 GiB
    /// in f32, and a call may hold several such matrices.
    pub const MAX_BITS: usize = 1 << 14;

    /// Returns the default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the [`beam`](Self::beam).
    pub fn with_beam(self, beam: usize) -> Self {
        Self { beam, ..self }
    }

    /// Sets [`unquantized_below`](Self::unquantized_below).
    pub fn with_unquantized_below(self, error: f64) -> Self {
        Self {
            unquantized_below: error,
            ..self
        }
    }

    /// Sets the [`balance_weight`](Self::balance_weight).
    pub fn with_balance_weight(self, weight: f64) -> Self {
        Self {
            balance_weight: weight,
            ..self
        }
    }

    pub(super) fn validate(&self, num_bits: usize) -> Result<(), ConfigError> {
        if num_bits > Self::MAX_BITS {
            return Err(ConfigError::JointBits {
                found: num_bits,
                max: Self::MAX_BITS,
            });
        }
        let below = self.unquantized_below;
        if !(below.is_finite() && below >= 0.0) {
            return Err(ConfigError::UnquantizedBelow(below));
        }
        let weight = self.balance_weight;
        if !(weight.is_finite() && weight >= 0.0) {
            return Err(ConfigError::BalanceWeight(weight));
        }
        match self.beam {
            1..=Self::MAX_BEAM => Ok(()),
            found => Err(ConfigError::Beam {
                found,
                max: Self::MAX_BEAM,
            }),
        }
    }

    /// Returns the logits by which the bits are decided, `[vectors, num_bits]` and without a gradient.
    pub(super) fn logits<B: Backend, const N: usize>(
        &self,
        inputs: Inputs<'_, B, N>,
        codebook: &Codebook<B>,
    ) -> Tensor<B, 2> {
        match host::decide(&inputs, &Noise::None, codebook, self.beam, true) {
            Some(decided) => {
                let shape = [vectors_of(&inputs.x), codebook.num_bits()];
                let logits = TensorData::new(decided.logits, shape);
                Tensor::from_data(logits, (&inputs.x.device(), DType::F32))
            }
            None => self.logits_by_tensors(inputs.normalized(), Noise::None, codebook),
        }
    }

    /// Returns the packed bits, if a kernel takes these vectors.
    pub(super) fn encode_packed<B: Backend, const N: usize>(
        &self,
        inputs: &Inputs<'_, B, N>,
        codebook: &Codebook<B>,
    ) -> Option<Vec<u8>> {
        host::encode_packed(inputs, codebook, self.beam)
    }

    /// Returns the logits that decide the bits of normalized vectors, noise included.
    fn logits_by_tensors<B: Backend, const N: usize>(
        &self,
        x: Tensor<B, N>,
        noise: Noise<B, N>,
        codebook: &Codebook<B>,
    ) -> Tensor<B, 2> {
        let mut shape = x.dims();
        shape[1] = codebook.num_bits();
        let noise = noise.into_tensor(shape, &x.device());
        let pairs = codebook.pairs(x.dtype().into());
        let half = untracked(pairs.half());
        let rows = |noise: Tensor<B, N>, dtype| untracked(vectors_first(noise).cast(dtype));
        // In this order a build for the host alone, as for browsers without WebGPU, leaves the
        // tensors' search out.
        if !has_values_in_host_memory::<B>() {
            let products = untracked(vectors_first(pairs.centered_products(untracked(x))));
            let dtype = FloatDType::from(products.dtype());
            let noise = noise.map(|noise| rows(noise, dtype));
            let gram = half.clone().matmul(half.clone().transpose());
            return tensors::decide(products, noise, half, gram, self.beam);
        }
        let centered = untracked(vectors_first(pairs.centered(untracked(x))));
        let noise = noise.map(|noise| rows(noise, FloatDType::F64));
        host::decide_in_f64(centered, noise, half, self.beam)
    }

    /// Decides bits with noise. The gradient of the output is the identity to `x`, the normalized
    /// inputs.
    pub(super) fn train<B: Backend, const N: usize>(
        &self,
        inputs: Inputs<'_, B, N>,
        x: Tensor<B, N>,
        noise: Noise<B, N>,
        pairs: &Pairs<B>,
        codebook: &Codebook<B>,
    ) -> (Tensor<B, N>, Tensor<B, N, Int>) {
        let dtype = FloatDType::from(x.dtype());
        // A kernel normalizes by itself, and rounds otherwise than tensor operations do. So that the
        // bits are those of `encode`, it takes the same inputs here as there.
        let inputs = match has_values_in_host_memory::<B>() {
            true => inputs,
            false => Inputs::of(x.clone()),
        };
        let bits = match host::decide(&inputs, &noise, codebook, self.beam, false) {
            Some(decided) => {
                let shape = [vectors_of(&x), codebook.num_bits()];
                kernels::bits(&decided.packed, shape, &x.device())
            }
            None => {
                let logits = self.logits_by_tensors(inputs.normalized(), noise, codebook);
                logits.greater_elem(0.0).int()
            }
        };
        let bits = along_axis_1(bits, x.dims());
        let nearest = pairs.decode(bits.clone().cast(dtype)).detach();
        // The added term is zero, so the value is `nearest` to the last bit.
        (nearest + (x.clone() - x.detach()), bits)
    }

    /// Does the same as [`train`](Self::train), and computes the losses, by a kernel, if there is one that
    /// takes these vectors.
    pub(super) fn train_with_losses<B: Backend, const N: usize>(
        &self,
        inputs: &Inputs<'_, B, N>,
        noise: &Noise<B, N>,
        valid: &Option<Tensor<B, N, Bool>>,
        codebook: &Codebook<B>,
        weights: Weights,
    ) -> Option<BitcodesOutput<B, N>> {
        #[cfg(feature = "autodiff")]
        return training::train(inputs, noise, valid, codebook, weights, self);
        #[cfg(not(feature = "autodiff"))]
        {
            let _ = (inputs, noise, valid, codebook, weights);
            None
        }
    }

    /// Returns the vectors that training leaves unquantized, true for each of them, with one element along
    /// axis 1; `None` if every vector is quantized.
    pub(super) fn unquantized<B: Backend, const N: usize>(
        &self,
        x: &Tensor<B, N>,
        y: &Tensor<B, N>,
        noise: &Noise<B, N>,
        valid: &Option<Tensor<B, N, Bool>>,
    ) -> Option<Tensor<B, N, Bool>> {
        let below = self.unquantized_below;
        if below == 0.0 {
            return None;
        }
        let mut each = x.dims();
        each[1] = 1;
        let draws = noise.draws(each, &x.device())?;
        Some(unquantized::mask(x, y, draws, valid, below))
    }

    /// Returns the weighted balance loss `[1]`; `None` if it has no weight.
    pub(super) fn balance_loss<B: Backend, const N: usize>(
        &self,
        pairs: &Pairs<B>,
        x: Tensor<B, N>,
        bits: Tensor<B, N>,
        valid: Option<Tensor<B, 2, Bool>>,
    ) -> Option<Tensor<B, 1>> {
        let weight = self.balance_weight;
        (weight > 0.0).then(|| balance_loss(pairs, x, bits, valid) * weight)
    }

    /// Returns the part of the codebook's loss that is the method's own, `[1]`.
    pub(super) fn codebook_loss<B: Backend>(
        pairs: &Pairs<B>,
        bits: Tensor<B, 2>,
        valid: Option<Tensor<B, 2, Bool>>,
    ) -> Tensor<B, 1> {
        constant_bits_loss(pairs.delta.clone(), bits, valid)
    }

    /// Returns the logit of each bit for the residual that the other bits leave of `x`, with a
    /// gradient.
    pub(super) fn logits_given_bits<B: Backend, const N: usize>(
        pairs: &Pairs<B>,
        x: Tensor<B, N>,
        bits: Tensor<B, N>,
    ) -> Tensor<B, N> {
        let signs = bits * 2.0 - 1.0;
        let half = pairs.half();
        let gram = half.clone().matmul(half.clone().transpose());
        let left = pairs.centered_products(x) - product(gram, signs.clone(), None);
        left / along(squares(half)) + signs
    }
}

/// Computes `|h_p|^2 [num_bits]`, kept above 0 so that a pair of equal vectors has finite logits.
fn squares<B: Backend>(half: Tensor<B, 2>) -> Tensor<B, 1> {
    let squares = half.powi_scalar(2).sum_dim(1);
    squares
        .flatten::<1>(0, 1)
        .clamp_min(f64::from(f32::MIN_POSITIVE))
}
