//! Maps whose features come before their positions, as convolutions have them.
//!
//! The codebook is multiplied from the left, `delta [num_bits, features]` with
//! `x [batch, features, positions]`, so that neither the map nor the output is transposed.

use burn::tensor::{BasicOps, Bool, FloatDType, Int, Tensor, backend::Backend};

use super::pass::{Choice, Pass};
use super::{Bitcodes, BitcodesOutput, assert_leading};
use crate::precision::working;

impl<B: Backend> Bitcodes<B> {
    /// [`forward`](Self::forward) for channel-first maps of one to any number of dimensions, such
    /// as images `[batch, features, height, width]`.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, features, ..]`
    /// - output: `quantized [batch, features, ..]`, `bits [batch, .., num_bits]`: the bits of a
    ///   position come last, as everything that takes bits expects them
    ///
    /// # Panics
    ///
    /// Where axis 1 of `x` is not `features` long.
    pub fn forward_channel_first<const D: usize>(&self, x: Tensor<B, D>) -> BitcodesOutput<B, D> {
        let choice = self.choice(self.flat_bits(&x), &x.device());
        self.forward_map::<D, 1>(x, choice, None)
    }

    /// [`forward_with_noise`](Self::forward_with_noise) for channel-first maps.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, features, ..]`
    /// - noise: `[batch, .., num_bits]`
    /// - output: `quantized [batch, features, ..]`, `bits [batch, .., num_bits]`
    ///
    /// # Panics
    ///
    /// Where axis 1 of `x` is not `features` long, or `noise` not of the bits' shape.
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
        let [batch, num_bits, positions] = self.flat_bits(&x);
        let noise = match batch * positions {
            0 => None,
            _ => Some(noise.reshape([batch, positions, num_bits]).swap_dims(1, 2)),
        };
        self.forward_map::<D, 1>(x, Choice::Trained(noise), None)
    }

    /// [`forward_masked`](Self::forward_masked) for channel-first maps.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, features, ..]`
    /// - valid: `[batch, ..]`, true where a position counts; `M` is `D - 1`, or it does not compile
    /// - output: `quantized [batch, features, ..]`, `bits [batch, .., num_bits]`
    ///
    /// # Panics
    ///
    /// Where axis 1 of `x` is not `features` long, or `valid` not of its other axes.
    pub fn forward_channel_first_masked<const D: usize, const M: usize>(
        &self,
        x: Tensor<B, D>,
        valid: Tensor<B, M, Bool>,
    ) -> BitcodesOutput<B, D> {
        const { assert!(M + 1 == D, "M is D - 1") };
        let mut vectors = x.dims().to_vec();
        vectors.remove(1);
        assert_leading("x", &vectors, &valid.dims());
        let choice = self.choice(self.flat_bits(&x), &x.device());
        self.forward_map(x, choice, Some(valid))
    }

    /// [`quantize`](Self::quantize) for channel-first maps.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, features, ..]`
    /// - output: `[batch, features, ..]`
    ///
    /// # Panics
    ///
    /// Where axis 1 of `x` is not `features` long.
    pub fn quantize_channel_first<const D: usize>(&self, x: Tensor<B, D>) -> Tensor<B, D> {
        let dtype = FloatDType::from(x.dtype());
        let bits = self.encode_channel_first(x);
        self.decode_channel_first(bits).cast(dtype)
    }

    /// [`encode`](Self::encode) for channel-first maps.
    ///
    /// # Shapes
    ///
    /// - x: `[batch, features, ..]`
    /// - output: `[batch, .., num_bits]`, each 0 or 1
    ///
    /// # Panics
    ///
    /// Where axis 1 of `x` is not `features` long.
    pub fn encode_channel_first<const D: usize>(&self, x: Tensor<B, D>) -> Tensor<B, D, Int> {
        let shape = self.bits_of_map(&x);
        if shape[..D - 1].contains(&0) {
            return Tensor::zeros(shape, &x.device());
        }
        let dtype = working([x.dtype(), self.codebook.val().dtype()]);
        let x = self.normalized(flat(x).cast(dtype));
        self.encoded(x, &self.pairs(dtype)).reshape(shape)
    }

    /// [`decode`](Self::decode) to a channel-first map.
    ///
    /// # Shapes
    ///
    /// - bits: `[batch, .., num_bits]`, each 0 or 1; any other value is extrapolated, not checked: see
    ///   [`check_bits`](crate::check_bits)
    /// - output: `[batch, features, ..]`
    ///
    /// # Panics
    ///
    /// Where the last axis of `bits` is not `num_bits` long.
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
        self.decoded(bits.swap_dims(1, 2)).reshape(shape)
    }

    fn forward_map<const D: usize, const M: usize>(
        &self,
        x: Tensor<B, D>,
        choice: Choice<B, 3>,
        valid: Option<Tensor<B, M, Bool>>,
    ) -> BitcodesOutput<B, D> {
        let (shape, bits_shape) = (x.dims(), self.bits_of_map(&x));
        if bits_shape[..D - 1].contains(&0) {
            return self.no_vectors(x, bits_shape);
        }
        let x = flat(x);
        let [batch, _, positions] = x.dims();
        let valid = valid.map(|valid| valid.reshape([batch, 1, positions]));
        let Pass {
            quantized,
            bits,
            loss,
        } = self.pass(x, choice, valid);
        BitcodesOutput {
            quantized: quantized.reshape(shape),
            bits: bits.swap_dims(1, 2).reshape(bits_shape),
            loss,
        }
    }

    /// The shape of the bits of `x` as the arithmetic has them, `[batch, num_bits, positions]`.
    fn flat_bits<const D: usize>(&self, x: &Tensor<B, D>) -> [usize; 3] {
        let dims = self.bits_of_map(x);
        [dims[0], dims[D - 1], dims[1..D - 1].iter().product()]
    }

    /// The shape of the bits of `x`; panics unless `x` is `[batch, features, ..]`.
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

/// `[batch, n, ..]` as `[batch, n, positions]`.
fn flat<B: Backend, const D: usize, K: BasicOps<B>>(map: Tensor<B, D, K>) -> Tensor<B, 3, K> {
    let dims = map.dims();
    let positions = dims[2..].iter().product();
    map.reshape([dims[0], dims[1], positions])
}
