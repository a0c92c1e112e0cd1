//! Vectors to quantized vectors, bits and losses.
//!
//! Public functions take vectors along the last axis. The arithmetic sees them along axis 1, as it
//! sees channel-first maps: see [`vectors`](crate::vectors).

use burn::tensor::{Bool, FloatDType, Tensor, backend::Backend};

use super::{Bitcodes, assert_leading};
use crate::BitcodesOutput;
use crate::backend::lend::{reshaped_floats, reshaped_integers};
use crate::codebook::Codebook;
use crate::noise::Noise;
use crate::normalization::Inputs;
use crate::precision::working;
use crate::vectors::{as_rows, fill_padding, has_no_vectors};

impl<B: Backend> Bitcodes<B> {
    /// Quantizes vectors; in training with noise.
    ///
    /// On a backend that differentiates (`Autodiff<..>`) bits are decided by the sum of
    /// [`logits`](Self::logits) and logistic noise, and gradients pass as the
    /// [`Assignment`](crate::Assignment) says. The configuration's
    /// [`noise_scale`](crate::BitcodesConfig::noise_scale) multiplies the noise; at 0 none is drawn and
    /// the bits are those of [`encode`](Self::encode). On any other backend, and after Burn's
    /// `valid()`, this is [`quantize`](Self::quantize) with its bits, and there is no loss.
    ///
    /// ```
    /// # #[cfg(all(feature = "flex", feature = "autodiff"))] {
    /// use bitcodes_core::BitcodesConfig;
    /// use bitcodes_core::burn::{backend::{Autodiff, Flex}, tensor::{Distribution, Tensor}};
    ///
    /// let device = Default::default();
    /// let bitcodes = BitcodesConfig::new(8, 4).init::<Autodiff<Flex>>(&device);
    /// let x = Tensor::<Autodiff<Flex>, 3>::random([1, 6, 8], Distribution::Default, &device);
    /// let out = bitcodes.forward(x.clone().require_grad());
    /// let loss = (out.quantized - x).powi_scalar(2).mean() + out.loss.unwrap();
    /// let gradients = loss.backward();
    /// assert!(bitcodes.codebook.val().grad(&gradients).is_some());
    /// # }
    /// ```
    ///
    /// # Shapes
    ///
    /// - x: `[.., features]`
    /// - output: `quantized [.., features]`, `bits [.., num_bits]`
    ///
    /// # Panics
    ///
    /// Panics if the last axis of `x` is not `features` long.
    pub fn forward<const D: usize>(&self, x: Tensor<B, D>) -> BitcodesOutput<B, D> {
        let noise = self.noise_in_training(&x.device());
        self.forward_rows::<D, 1>(x, noise, None)
    }

    /// Does the same as [`forward`](Self::forward) for vectors of which some are padding.
    ///
    /// The output and the bits of padding are zeros. Padding gets no gradient and has no part in a
    /// loss, whatever it holds.
    ///
    /// # Shapes
    ///
    /// - x: `[.., features]`
    /// - valid: the leading axes of `x`, true for a vector that counts; `M` is `D - 1`, or it does
    ///   not compile
    /// - output: `quantized [.., features]`, `bits [.., num_bits]`
    ///
    /// # Panics
    ///
    /// Panics if the last axis of `x` is not `features` long, or if `valid` has other axes than the
    /// leading ones of `x`.
    pub fn forward_masked<const D: usize, const M: usize>(
        &self,
        x: Tensor<B, D>,
        valid: Tensor<B, M, Bool>,
    ) -> BitcodesOutput<B, D> {
        const { assert!(M + 1 == D, "M is D - 1") };
        self.shape_of_bits(&x);
        assert_leading("x", &x.dims()[..D - 1], &valid.dims());
        let noise = self.noise_in_training(&x.device());
        self.forward_rows(x, noise, Some(valid))
    }

    /// Quantizes vectors as in training, with the noise given, so that a pass can be replayed.
    ///
    /// Noise from the logistic distribution ([`logistic_noise`](crate::logistic_noise)) draws each
    /// independent bit as 1 with probability `sigmoid(logit)`; zeros make the pass deterministic.
    /// Every vector is quantized. The pass is the same on every backend, with gradients on those that
    /// differentiate. The configuration's noise scale does not multiply the noise.
    ///
    /// # Shapes
    ///
    /// - x: `[.., features]`
    /// - noise: `[.., num_bits]`
    /// - output: `quantized [.., features]`, `bits [.., num_bits]`
    ///
    /// # Panics
    ///
    /// Panics if the last axis of `x` is not `features` long, or if `noise` has another shape than the
    /// bits.
    pub fn forward_with_noise<const D: usize>(
        &self,
        x: Tensor<B, D>,
        noise: Tensor<B, D>,
    ) -> BitcodesOutput<B, D> {
        self.forward_given(x, noise, None)
    }

    /// Does the same as [`forward_with_noise`](Self::forward_with_noise), but leaves the vectors
    /// unquantized whose draw is below the share of
    /// [`Joint::unquantized_below`](crate::Joint::unquantized_below).
    ///
    /// With draws from the uniform distribution on [0, 1), and noise from the logistic distribution times the
    /// [noise scale](Self::noise_scale), this is [`forward`](Self::forward). Draw the numbers before threads take
    /// the parts of a batch: then every run gives the same result. Independent bits do not use the draws.
    ///
    /// # Shapes
    ///
    /// - x: `[.., features]`
    /// - noise: `[.., num_bits]`
    /// - draws: `[.., 1]`
    /// - output: `quantized [.., features]`, `bits [.., num_bits]`
    ///
    /// # Panics
    ///
    /// Panics if the last axis of `x` is not `features` long, if `noise` has another shape than the bits,
    /// or if `draws` has another shape than one number for each vector.
    pub fn forward_with_draws<const D: usize>(
        &self,
        x: Tensor<B, D>,
        noise: Tensor<B, D>,
        draws: Tensor<B, D>,
    ) -> BitcodesOutput<B, D> {
        let mut each = x.dims();
        each[D - 1] = 1;
        assert_eq!(
            draws.dims(),
            each,
            "Bitcodes: draws have another shape (left) than one number for each vector (right)"
        );
        self.forward_given(x, noise, Some(draws))
    }

    fn forward_given<const D: usize>(
        &self,
        x: Tensor<B, D>,
        noise: Tensor<B, D>,
        draws: Option<Tensor<B, D>>,
    ) -> BitcodesOutput<B, D> {
        assert_eq!(
            noise.dims(),
            self.shape_of_bits(&x),
            "Bitcodes: noise has another shape (left) than the bits (right)"
        );
        self.forward_rows::<D, 1>(x, Some(Noise::Given { noise, draws }), None)
    }

    /// Returns the noise that `forward` adds; `None` if it does not train.
    pub(super) fn noise_in_training<const N: usize>(
        &self,
        device: &B::Device,
    ) -> Option<Noise<B, N>> {
        B::ad_enabled(device).then(|| match self.noise_scale() {
            0.0 => Noise::None,
            scale => Noise::Logistic(scale),
        })
    }

    /// Quantizes vectors along the last axis; with noise, as in training, if there is any.
    fn forward_rows<const D: usize, const M: usize>(
        &self,
        x: Tensor<B, D>,
        noise: Option<Noise<B, D>>,
        valid: Option<Tensor<B, M, Bool>>,
    ) -> BitcodesOutput<B, D> {
        let (shape, shape_of_bits) = (x.dims(), self.shape_of_bits(&x));
        if has_no_vectors(&x) {
            return self.no_vectors(x, shape_of_bits, noise.is_some());
        }
        if let (Some(noise), None, None) = (&noise, &valid, &self.normalization)
            && !self.has_loss()
            && let Some((quantized, bits)) =
                self.assignment()
                    .train_by_kernel(&x, noise, &self.stored_codebook(), self.step())
        {
            let loss = None;
            return BitcodesOutput {
                quantized,
                bits,
                loss,
            };
        }
        let valid = valid.map(|valid| {
            let vectors = valid.dims().iter().product();
            valid.reshape([vectors, 1])
        });
        let noise = noise.map(|noise| noise.map_given(as_rows));
        let BitcodesOutput {
            quantized,
            bits,
            loss,
        } = self.forward_along_axis_1(as_rows(x), noise, valid);
        BitcodesOutput {
            quantized: reshaped_floats(quantized, shape),
            bits: reshaped_integers(bits, shape_of_bits),
            loss,
        }
    }

    /// Quantizes vectors along axis 1; with noise, as in training, if there is any. The bits of the
    /// output lie along axis 1. `valid` has one element along axis 1, true for a vector that
    /// counts.
    pub(super) fn forward_along_axis_1<const N: usize>(
        &self,
        x: Tensor<B, N>,
        noise: Option<Noise<B, N>>,
        valid: Option<Tensor<B, N, Bool>>,
    ) -> BitcodesOutput<B, N> {
        let (codebook, assignment) = (self.stored_codebook(), self.assignment());
        let given_dtype = FloatDType::from(x.dtype());
        let dtype = working([x.dtype(), codebook.dtype()]);
        let padding = valid.as_ref().map(|valid| valid.clone().bool_not());
        // Padding is filled first, as NaN times 0 would leak.
        let given = fill_padding(x.cast(dtype), &padding);
        let inputs = Inputs {
            x: given,
            normalization: self.normalization.as_ref(),
        };
        let BitcodesOutput {
            quantized,
            bits,
            loss,
        } = match noise {
            None => {
                let (quantized, bits) = assignment.quantize(inputs, &codebook);
                let loss = None;
                BitcodesOutput {
                    quantized,
                    bits,
                    loss,
                }
            }
            Some(noise) => {
                let by_kernel =
                    assignment.train_with_losses(&inputs, &noise, &valid, &codebook, self.weights);
                by_kernel.unwrap_or_else(|| self.train_by_tensors(inputs, noise, valid, &codebook))
            }
        };
        let quantized = fill_padding(quantized, &padding);
        let bits = match padding {
            Some(padding) => {
                let padding = padding.expand(bits.dims());
                bits.mask_fill(padding, 0)
            }
            None => bits,
        };
        BitcodesOutput {
            quantized: quantized.cast(given_dtype),
            bits,
            loss,
        }
    }

    /// Quantizes vectors along axis 1 as in training, and computes the losses.
    fn train_by_tensors<const N: usize>(
        &self,
        inputs: Inputs<'_, B, N>,
        noise: Noise<B, N>,
        valid: Option<Tensor<B, N, Bool>>,
        codebook: &Codebook<B>,
    ) -> BitcodesOutput<B, N> {
        let (assignment, given) = (self.assignment(), inputs.x.clone());
        let x = match &self.normalization {
            None => given.clone(),
            Some(normalization) => normalization.normalized_in_training(given.clone(), &valid),
        };
        let pairs = codebook.pairs(FloatDType::from(x.dtype()));
        let pairs = assignment.pairs_in_training(pairs, self.normalization.is_some());
        let (quantized, bits) = assignment.train(
            inputs,
            x.clone(),
            noise.clone(),
            &pairs,
            codebook,
            self.step(),
        );
        let quantized = match assignment.unquantized(&x, &quantized, &noise, &valid) {
            Some(unquantized) => quantized.mask_where(unquantized.expand(x.dims()), x.clone()),
            None => quantized,
        };
        let loss = self.loss(&pairs, given, x, &bits, quantized.clone(), valid);
        BitcodesOutput {
            quantized,
            bits,
            loss,
        }
    }

    /// Returns the output for an empty `x`.
    pub(super) fn no_vectors<const D: usize>(
        &self,
        x: Tensor<B, D>,
        bits: [usize; D],
        trains: bool,
    ) -> BitcodesOutput<B, D> {
        BitcodesOutput {
            bits: Tensor::zeros(bits, &x.device()),
            loss: (trains && self.has_loss()).then(|| Tensor::zeros([1], &x.device())),
            quantized: x,
        }
    }
}
