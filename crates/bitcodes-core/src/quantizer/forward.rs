//! Vectors to quantized vectors and bits.

use burn::tensor::{Bool, Tensor, backend::Backend};

use super::pass::{Choice, Pass};
use super::{Bitcodes, BitcodesOutput, as_rows, assert_leading, has_no_vectors};
use crate::backend::kernels;
#[cfg(all(feature = "autodiff", any(feature = "flex", feature = "ndarray")))]
use crate::backend::training::{self, Noise};
use crate::sampling::logistic_noise;

impl<B: Backend> Bitcodes<B> {
    /// Quantizes; in training with noise, so that the bits are sampled.
    ///
    /// On a backend that differentiates (`Autodiff<..>`) bits are decided by the sum of
    /// [`logits`](Self::logits) and logistic noise, and gradients pass straight through, each as the
    /// [`Assignment`](crate::Assignment) says. The configuration's
    /// [`noise`](crate::BitcodesConfig::noise) scales the noise; at 0 none is drawn and the bits are
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
        #[cfg(all(feature = "autodiff", any(feature = "flex", feature = "ndarray")))]
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
        #[cfg(all(feature = "autodiff", any(feature = "flex", feature = "ndarray")))]
        if let Some(output) = self.sampled_on_host(&x, Some(&noise)) {
            return output;
        }
        self.forward_as::<D, 1>(x, Choice::Trained(Some(noise)), None)
    }

    /// The pass of training by kernels, with the noise that is given or with its own.
    #[cfg(all(feature = "autodiff", any(feature = "flex", feature = "ndarray")))]
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
    pub(super) fn choice<const D: usize>(
        &self,
        bits: [usize; D],
        device: &B::Device,
    ) -> Choice<B, D> {
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

    /// The output for an empty `x`.
    pub(super) fn no_vectors<const D: usize>(
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
}
