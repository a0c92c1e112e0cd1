//! Bits to vectors in the units of `x`, the vectors that were encoded.

use burn::tensor::{FloatDType, Int, Tensor, backend::Backend};

use super::{Bitcodes, channel_first::flat};
use crate::PackedCodes;
use crate::backend::lend::reshaped_floats;
use crate::precision::working;
use crate::vectors::{as_rows, has_no_vectors};

impl<B: Backend> Bitcodes<B> {
    /// Decodes bits to vectors in the units of `x`, the vectors that were encoded, and in the type
    /// of the codebook.
    ///
    /// With `y` the output of [`decode`](Self::decode), it is
    ///
    /// ```text
    /// (y + center) exp(log_scale) / DEVIATION
    /// ```
    ///
    /// if the quantizer has a [normalization](crate::Normalization), and `y` otherwise. Center and
    /// scale get no gradient from it.
    ///
    /// ```
    /// # #[cfg(feature = "flex")] {
    /// use bitcodes_core::BitcodesConfig;
    /// use bitcodes_core::burn::{backend::Flex, tensor::{Distribution, Tensor}};
    ///
    /// let device = Default::default();
    /// let around_100 = Distribution::Normal(100.0, 5.0);
    /// let x = Tensor::<Flex, 2>::random([500, 4], around_100, &device);
    /// let bitcodes = BitcodesConfig::new(4, 16).try_init_from_sample(x.clone()).unwrap();
    ///
    /// let again = bitcodes.reconstruct(bitcodes.encode(x.clone()));
    /// let error = (again - x).powi_scalar(2).mean().sqrt().into_scalar();
    /// assert!(error < 2.5, "{error}");
    /// # }
    /// ```
    ///
    /// # Shapes
    ///
    /// - bits: `[.., num_bits]`, each 0 or 1; other values are extrapolated and not checked
    /// - output: `[.., features]`
    ///
    /// # Panics
    ///
    /// Panics if the last axis of `bits` is not `num_bits` long.
    pub fn reconstruct<const D: usize>(&self, bits: Tensor<B, D, Int>) -> Tensor<B, D> {
        self.denormalized_rows(self.decode(bits))
    }

    /// Does the same as [`reconstruct`](Self::reconstruct) for packed codes.
    ///
    /// # Shapes
    ///
    /// - output: `[codes.dims().., features]`
    ///
    /// # Panics
    ///
    /// Panics if codes do not have `num_bits` bits, or if `D` is not one more than the number of their
    /// [`dims`](PackedCodes::dims).
    pub fn reconstruct_packed<const D: usize>(&self, codes: &PackedCodes) -> Tensor<B, D> {
        self.denormalized_rows(self.decode_packed(codes))
    }

    /// Decodes bits as [`reconstruct`](Self::reconstruct) does, to a channel-first map.
    ///
    /// # Shapes
    ///
    /// - bits: `[batch, .., num_bits]`, each 0 or 1; other values are extrapolated and not checked
    /// - output: `[batch, features, ..]`
    ///
    /// # Panics
    ///
    /// Panics if the last axis of `bits` is not `num_bits` long.
    pub fn reconstruct_channel_first<const D: usize>(
        &self,
        bits: Tensor<B, D, Int>,
    ) -> Tensor<B, D> {
        let y = self.decode_channel_first(bits);
        let shape = y.dims();
        if self.normalization.is_none() || shape.contains(&0) {
            return y;
        }
        self.denormalized(flat(y)).reshape(shape)
    }

    fn denormalized_rows<const D: usize>(&self, y: Tensor<B, D>) -> Tensor<B, D> {
        let shape = y.dims();
        if self.normalization.is_none() || has_no_vectors(&y) {
            return y;
        }
        reshaped_floats(self.denormalized(as_rows(y)), shape)
    }

    /// Brings decoded vectors along axis 1 to the units of `x`, in their type.
    fn denormalized<const N: usize>(&self, y: Tensor<B, N>) -> Tensor<B, N> {
        match &self.normalization {
            Some(normalization) => {
                let stored = y.dtype();
                // In f16 the vectors of an unusual scale would overflow half-way.
                let y = normalization.denormalized(y.cast(working([stored])));
                y.cast(FloatDType::from(stored))
            }
            None => y,
        }
    }
}
