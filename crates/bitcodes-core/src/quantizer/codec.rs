//! Vectors to bits and back, without noise, whatever the backend.

use burn::tensor::{FloatDType, Int, Tensor, backend::Backend, read_sync};

use super::Bitcodes;
use crate::backend::kernels;
use crate::backend::lend::{reshaped_floats, reshaped_integers};
use crate::normalization::Inputs;
use crate::precision::working;
use crate::vectors::{as_integer_rows, as_rows, has_no_vectors};
use crate::{CodesError, PackedCodes, check_bits_async};

impl<B: Backend> Bitcodes<B> {
    /// Quantizes vectors without noise, whatever the backend, as `decode(encode(x))` does.
    ///
    /// # Shapes
    ///
    /// - x: `[.., features]`
    /// - output: `[.., features]`, in the type of `x`
    ///
    /// # Panics
    ///
    /// Panics if the last axis of `x` is not `features` long.
    pub fn quantize<const D: usize>(&self, x: Tensor<B, D>) -> Tensor<B, D> {
        let (shape, dtype) = (x.dims(), FloatDType::from(x.dtype()));
        self.shape_of_bits(&x);
        if has_no_vectors(&x) {
            return x;
        }
        let codebook = self.stored_codebook();
        let (quantized, _) = self
            .assignment()
            .quantize(self.inputs(as_rows(x)), &codebook);
        // Decoded vectors have the codebook's type first, as those of `decode` do.
        let quantized = quantized.cast(FloatDType::from(codebook.dtype()));
        reshaped_floats(quantized.cast(dtype), shape)
    }

    /// Returns the logits of the bits, in f32 or f64: a bit is 1 if its logit is above 0.
    ///
    /// The [`Assignment`](crate::Assignment) says how a method computes them. Logits of joint bits are
    /// the logits of the last decision of each bit, on the residual that the other bits leave, and
    /// have no gradient.
    ///
    /// # Shapes
    ///
    /// - x: `[.., features]`
    /// - output: `[.., num_bits]`
    ///
    /// # Panics
    ///
    /// Panics if the last axis of `x` is not `features` long.
    pub fn logits<const D: usize>(&self, x: Tensor<B, D>) -> Tensor<B, D> {
        let shape = self.shape_of_bits(&x);
        if has_no_vectors(&x) {
            let dtype = working([x.dtype(), self.codebook.val().dtype()]);
            return Tensor::zeros(shape, (&x.device(), dtype.into()));
        }
        let logits = self
            .assignment()
            .logits(self.inputs(as_rows(x)), &self.stored_codebook());
        reshaped_floats(logits, shape)
    }

    /// Decides the bits of vectors without noise: `logits > 0`, so that a tie and a NaN give 0.
    ///
    /// # Shapes
    ///
    /// - x: `[.., features]`
    /// - output: `[.., num_bits]`, each 0 or 1
    ///
    /// # Panics
    ///
    /// Panics if the last axis of `x` is not `features` long.
    pub fn encode<const D: usize>(&self, x: Tensor<B, D>) -> Tensor<B, D, Int> {
        let shape = self.shape_of_bits(&x);
        if has_no_vectors(&x) {
            return Tensor::zeros(shape, &x.device());
        }
        let bits = self
            .assignment()
            .encode(self.inputs(as_rows(x)), &self.stored_codebook());
        reshaped_integers(bits, shape)
    }

    /// Encodes vectors to packed codes on the host, which takes less time than to encode and to pack
    /// apart. In a browser use [`encode_packed_async`](Self::encode_packed_async).
    ///
    /// # Shapes
    ///
    /// - x: `[.., features]`; the leading axes become [`dims`](PackedCodes::dims)
    ///
    /// # Errors
    ///
    /// Returns [`CodesError::Device`] if the device fails.
    ///
    /// # Panics
    ///
    /// Panics if the last axis of `x` is not `features` long.
    pub fn encode_packed<const D: usize>(
        &self,
        x: Tensor<B, D>,
    ) -> Result<PackedCodes, CodesError> {
        read_sync(self.encode_packed_async(x))
    }

    /// Does the same as [`encode_packed`](Self::encode_packed) for devices that are read
    /// asynchronously.
    ///
    /// # Errors
    ///
    /// As [`encode_packed`](Self::encode_packed).
    ///
    /// # Panics
    ///
    /// As [`encode_packed`](Self::encode_packed).
    pub async fn encode_packed_async<const D: usize>(
        &self,
        x: Tensor<B, D>,
    ) -> Result<PackedCodes, CodesError> {
        let shape = self.shape_of_bits(&x);
        if has_no_vectors(&x) {
            return PackedCodes::from_bytes(&shape[..D - 1], self.num_bits(), [].into());
        }
        let (inputs, codebook) = (self.inputs(as_rows(x)), self.stored_codebook());
        if let Some(bytes) = self.assignment().encode_packed(&inputs, &codebook) {
            return PackedCodes::from_bytes(&shape[..D - 1], self.num_bits(), bytes);
        }
        let logits = self.assignment().logits(inputs, &codebook);
        PackedCodes::from_logits_async(reshaped_floats(logits, shape)).await
    }

    /// Decodes packed codes to vectors, on the device and in the type of the codebook. They are in the
    /// units of normalized vectors if the quantizer normalizes.
    ///
    /// # Shapes
    ///
    /// - output: `[codes.dims().., features]`
    ///
    /// # Panics
    ///
    /// Panics if codes do not have `num_bits` bits, or if `D` is not one more than the number of their
    /// [`dims`](PackedCodes::dims).
    pub fn decode_packed<const D: usize>(&self, codes: &PackedCodes) -> Tensor<B, D> {
        self.assert_num_bits(codes.num_bits());
        let codebook = self.codebook.val();
        assert_eq!(
            codes.dims().len() + 1,
            D,
            "Bitcodes: the axes of the codes and one more (left) are not the output's (right)"
        );
        let mut shape = [self.features(); D];
        shape[..D - 1].copy_from_slice(codes.dims());
        if !codes.is_empty()
            && let Some(decoded) = kernels::decode_packed(codes.as_bytes(), shape, &codebook)
        {
            return decoded;
        }
        self.decode(codes.unpack(&codebook.device()))
    }

    /// Decodes bits to vectors, in the type of the codebook. They are in the units of normalized vectors
    /// if the quantizer normalizes; [`reconstruct`](Self::reconstruct) gives the units of `x`.
    ///
    /// # Shapes
    ///
    /// - bits: `[.., num_bits]`, each 0 or 1; other values are extrapolated and not checked, see
    ///   [`try_decode`](Self::try_decode)
    /// - output: `[.., features]`
    ///
    /// # Panics
    ///
    /// Panics if the last axis of `bits` is not `num_bits` long.
    #[doc(alias = "from_bits")]
    pub fn decode<const D: usize>(&self, bits: Tensor<B, D, Int>) -> Tensor<B, D> {
        let mut shape = bits.dims();
        self.assert_num_bits(shape[D - 1]);
        shape[D - 1] = self.features();
        if has_no_vectors(&bits) {
            let stored = self.codebook.val().dtype();
            return Tensor::zeros(shape, (&bits.device(), stored));
        }
        let decoded = self.stored_codebook().decode(as_integer_rows(bits));
        reshaped_floats(decoded, shape)
    }

    /// Decodes bits as [`decode`](Self::decode) does, and checks that they are 0 or 1.
    ///
    /// # Shapes
    ///
    /// - bits: `[.., num_bits]`
    /// - output: `[.., features]`
    ///
    /// # Errors
    ///
    /// Returns [`CodesError::OutOfRange`] as [`check_bits`](crate::check_bits) does.
    ///
    /// # Panics
    ///
    /// Panics if the last axis of `bits` is not `num_bits` long.
    pub fn try_decode<const D: usize>(
        &self,
        bits: Tensor<B, D, Int>,
    ) -> Result<Tensor<B, D>, CodesError> {
        read_sync(self.try_decode_async(bits))
    }

    /// Does the same as [`try_decode`](Self::try_decode) for devices that are read asynchronously,
    /// as in a browser.
    ///
    /// # Errors
    ///
    /// As [`try_decode`](Self::try_decode).
    ///
    /// # Panics
    ///
    /// As [`try_decode`](Self::try_decode).
    pub async fn try_decode_async<const D: usize>(
        &self,
        bits: Tensor<B, D, Int>,
    ) -> Result<Tensor<B, D>, CodesError> {
        check_bits_async(&bits).await?;
        Ok(self.decode(bits))
    }

    /// Returns vectors along axis 1 in the type that is computed in, to be normalized.
    pub(super) fn inputs<const N: usize>(&self, x: Tensor<B, N>) -> Inputs<'_, B, N> {
        let dtype = working([x.dtype(), self.codebook.val().dtype()]);
        Inputs {
            x: x.cast(dtype),
            normalization: self.normalization.as_ref(),
        }
    }
}
