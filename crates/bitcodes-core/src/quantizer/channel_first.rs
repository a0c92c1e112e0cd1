//! Channel-first maps, whose features come before their positions, as convolutions have them.
//!
//! On a GPU the codebook is multiplied from the left, `delta [num_bits, features]` with
//! `x [batch, features, positions]`, so that neither the map nor the output is transposed. Kernels
//! on the CPU take the map as rows, of which they copy a part at a time, and all in training.

use burn::tensor::{BasicOps, Bool, FloatDType, Int, Tensor, backend::Backend};

use super::{Bitcodes, assert_leading};
use crate::BitcodesOutput;
use crate::noise::Noise;

impl<B: Backend> Bitcodes<B> {
    /// Quantizes channel-first maps as [`forward`](Self::forward) does rows. A map has any number
    /// of dimensions, such as an image `[batch, features, height, width]`.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, features, ..]`
    /// - output: `quantized [batch, features, ..]`, `bits [batch, .., num_bits]`: the bits of a
    ///   position lie along the last axis, as in all functions that take bits
    ///
    /// # Panics
    ///
    /// Panics if axis 1 of `x` is not `features` long.
    pub fn forward_channel_first<const D: usize>(&self, x: Tensor<B, D>) -> BitcodesOutput<B, D> {
        let noise = self.noise_in_training(&x.device());
        self.forward_map::<D, 1>(x, noise, None)
    }

    /// Does the same as [`forward_with_noise`](Self::forward_with_noise) for channel-first maps.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, features, ..]`
    /// - noise: `[batch, .., num_bits]`
    /// - output: `quantized [batch, features, ..]`, `bits [batch, .., num_bits]`
    ///
    /// # Panics
    ///
    /// Panics if axis 1 of `x` is not `features` long, or if `noise` has another shape than the bits.
    pub fn forward_channel_first_with_noise<const D: usize>(
        &self,
        x: Tensor<B, D>,
        noise: Tensor<B, D>,
    ) -> BitcodesOutput<B, D> {
        assert_eq!(
            noise.dims(),
            self.bits_of_map(&x),
            "Bitcodes: noise has another shape (left) than the bits (right)"
        );
        let dims = noise.dims();
        let positions = dims[1..D - 1].iter().product();
        let noise = match dims[0] * positions {
            0 => Noise::None,
            _ => {
                let noise = noise.reshape([dims[0], positions, dims[D - 1]]);
                Noise::Given {
                    noise: noise.swap_dims(1, 2),
                    draws: None,
                }
            }
        };
        self.forward_map::<D, 1>(x, Some(noise), None)
    }

    /// Does the same as [`forward_masked`](Self::forward_masked) for channel-first maps.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, features, ..]`
    /// - valid: `[batch, ..]`, true for a position that counts; `M` is `D - 1`, or it does not
    ///   compile
    /// - output: `quantized [batch, features, ..]`, `bits [batch, .., num_bits]`
    ///
    /// # Panics
    ///
    /// Panics if axis 1 of `x` is not `features` long, or if `valid` does not have its other axes.
    pub fn forward_channel_first_masked<const D: usize, const M: usize>(
        &self,
        x: Tensor<B, D>,
        valid: Tensor<B, M, Bool>,
    ) -> BitcodesOutput<B, D> {
        const { assert!(M + 1 == D, "M is D - 1") };
        let mut vectors = x.dims().to_vec();
        vectors.remove(1);
        assert_leading("x", &vectors, &valid.dims());
        self.bits_of_map(&x);
        let noise = self.noise_in_training(&x.device());
        self.forward_map(x, noise, Some(valid))
    }

    /// Does the same as [`quantize`](Self::quantize) for channel-first maps.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, features, ..]`
    /// - output: `[batch, features, ..]`
    ///
    /// # Panics
    ///
    /// Panics if axis 1 of `x` is not `features` long.
    pub fn quantize_channel_first<const D: usize>(&self, x: Tensor<B, D>) -> Tensor<B, D> {
        let dtype = FloatDType::from(x.dtype());
        let bits = self.encode_channel_first(x);
        self.decode_channel_first(bits).cast(dtype)
    }

    /// Does the same as [`encode`](Self::encode) for channel-first maps.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, features, ..]`
    /// - output: `[batch, .., num_bits]`, each 0 or 1
    ///
    /// # Panics
    ///
    /// Panics if axis 1 of `x` is not `features` long.
    pub fn encode_channel_first<const D: usize>(&self, x: Tensor<B, D>) -> Tensor<B, D, Int> {
        let shape = self.bits_of_map(&x);
        if shape[..D - 1].contains(&0) {
            return Tensor::zeros(shape, &x.device());
        }
        let codebook = self.stored_codebook();
        let bits = self.assignment().encode(self.inputs(flat(x)), &codebook);
        bits.reshape(shape)
    }

    /// Decodes bits as [`decode`](Self::decode) does, to a channel-first map.
    ///
    /// # Shapes
    ///
    /// - bits: `[batch, .., num_bits]`, each 0 or 1; other values are extrapolated and not checked, see
    ///   [`check_bits`](crate::check_bits)
    /// - output: `[batch, features, ..]`
    ///
    /// # Panics
    ///
    /// Panics if the last axis of `bits` is not `num_bits` long.
    pub fn decode_channel_first<const D: usize>(&self, bits: Tensor<B, D, Int>) -> Tensor<B, D> {
        const { assert!(D >= 3, "a map has at least three axes") };
        let dims = bits.dims();
        self.assert_num_bits(dims[D - 1]);
        let mut shape = dims;
        shape[1] = self.features();
        shape[2..].copy_from_slice(&dims[1..D - 1]);
        let stored = self.codebook.val().dtype();
        if dims[..D - 1].contains(&0) {
            return Tensor::zeros(shape, (&bits.device(), stored));
        }
        let positions = dims[1..D - 1].iter().product();
        let bits = bits.reshape([dims[0], positions, dims[D - 1]]);
        let decoded = self.stored_codebook().decode(bits.swap_dims(1, 2));
        decoded.reshape(shape)
    }

    fn forward_map<const D: usize, const M: usize>(
        &self,
        x: Tensor<B, D>,
        noise: Option<Noise<B, 3>>,
        valid: Option<Tensor<B, M, Bool>>,
    ) -> BitcodesOutput<B, D> {
        let (shape, bits_shape) = (x.dims(), self.bits_of_map(&x));
        if bits_shape[..D - 1].contains(&0) {
            return self.no_vectors(x, bits_shape, noise.is_some());
        }
        let x = flat(x);
        let [batch, _, positions] = x.dims();
        let valid = valid.map(|valid| valid.reshape([batch, 1, positions]));
        let BitcodesOutput {
            quantized,
            bits,
            loss,
        } = self.forward_along_axis_1(x, noise, valid);
        BitcodesOutput {
            quantized: quantized.reshape(shape),
            bits: bits.swap_dims(1, 2).reshape(bits_shape),
            loss,
        }
    }

    /// Returns the shape of the bits of `x`; panics unless `x` is `[batch, features, ..]`.
    fn bits_of_map<const D: usize>(&self, x: &Tensor<B, D>) -> [usize; D] {
        const { assert!(D >= 3, "a map has at least three axes") };
        let (dims, features) = (x.dims(), self.features());
        assert_eq!(
            dims[1], features,
            "Bitcodes: axis 1 of x has {} elements, expected features = {features}",
            dims[1]
        );
        let mut shape = dims;
        shape[1..D - 1].copy_from_slice(&dims[2..]);
        shape[D - 1] = self.num_bits();
        shape
    }
}

/// Turns `[batch, n, ..]` into `[batch, n, positions]`.
pub(super) fn flat<B: Backend, const D: usize, K: BasicOps<B>>(
    map: Tensor<B, D, K>,
) -> Tensor<B, 3, K> {
    let dims = map.dims();
    let positions = dims[2..].iter().product();
    map.reshape([dims[0], dims[1], positions])
}
