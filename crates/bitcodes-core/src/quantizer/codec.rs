//! Vectors to bits and back, without noise on every backend.

use burn::tensor::{FloatDType, Int, Tensor, backend::Backend, read_sync};

use super::{Bitcodes, as_rows, has_no_vectors};
use crate::backend::kernels::{self, Path, path};
use crate::precision::working;
use crate::{Assignment, CodesError, PackedCodes, check_bits_async};

impl<B: Backend> Bitcodes<B> {
    /// Quantizes without noise on every backend; the same as `decode(encode(x))`.
    ///
    /// # Shapes
    ///
    /// - x: `[.., features]`
    /// - output: `[.., features]`
    ///
    /// # Panics
    ///
    /// Where the last axis of `x` is not `features` long.
    pub fn quantize<const D: usize>(&self, x: Tensor<B, D>) -> Tensor<B, D> {
        let dtype = FloatDType::from(x.dtype());
        if self.decides_vectors_as_they_are()
            && !has_no_vectors(&x)
            && let Some((quantized, _)) = kernels::quantize(&x, &self.codebook.val())
        {
            return quantized;
        }
        self.decode(self.encode(x)).cast(dtype)
    }

    /// How decided each bit is, in f32 or f64; see [`Assignment`](crate::Assignment) for what it is
    /// for each bit. Where bits are decided together it is the logit by which each was decided
    /// last, on what the others leave, and has no gradient.
    ///
    /// # Shapes
    ///
    /// - x: `[.., features]`
    /// - output: `[.., num_bits]`
    ///
    /// # Panics
    ///
    /// Where the last axis of `x` is not `features` long.
    pub fn logits<const D: usize>(&self, x: Tensor<B, D>) -> Tensor<B, D> {
        let shape = self.with_last(&x, self.num_bits());
        let dtype = working([x.dtype(), self.codebook.val().dtype()]);
        if has_no_vectors(&x) {
            return Tensor::zeros(shape, (&x.device(), dtype.into()));
        }
        let rows = as_rows(x).cast(dtype);
        self.decided(self.normalized(rows), &self.pairs(dtype))
            .reshape(shape)
    }

    /// The bits of each vector, without noise: `logits > 0`, so that a tie and NaN give 0.
    ///
    /// # Shapes
    ///
    /// - x: `[.., features]`
    /// - output: `[.., num_bits]`, each 0 or 1
    ///
    /// # Panics
    ///
    /// Where the last axis of `x` is not `features` long.
    pub fn encode<const D: usize>(&self, x: Tensor<B, D>) -> Tensor<B, D, Int> {
        let shape = self.with_last(&x, self.num_bits());
        if has_no_vectors(&x) {
            return Tensor::zeros(shape, &x.device());
        }
        if self.decides_vectors_as_they_are()
            && let Some(bits) = kernels::encode(&x, &self.codebook.val())
        {
            return bits;
        }
        let dtype = working([x.dtype(), self.codebook.val().dtype()]);
        let rows = self.normalized(as_rows(x).cast(dtype));
        self.encoded(rows, &self.pairs(dtype)).reshape(shape)
    }

    /// [`encode`](Self::encode) to packed codes on the host, at less than to encode and pack apart; in
    /// a browser use [`encode_packed_async`](Self::encode_packed_async).
    ///
    /// # Shapes
    ///
    /// - x: `[.., features]`; the leading axes become [`dims`](PackedCodes::dims)
    ///
    /// # Errors
    ///
    /// [`CodesError::Device`] where the device fails.
    ///
    /// # Panics
    ///
    /// Where the last axis of `x` is not `features` long.
    pub fn encode_packed<const D: usize>(
        &self,
        x: Tensor<B, D>,
    ) -> Result<PackedCodes, CodesError> {
        read_sync(self.encode_packed_async(x))
    }

    /// [`encode_packed`](Self::encode_packed) where reading back has to be waited for.
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
        let shape = self.with_last(&x, self.num_bits());
        if self.assignment() == Assignment::Independent
            && path::<B>() == Path::Kernels
            && !has_no_vectors(&x)
        {
            let codebook = self.codebook.val();
            let lent = match self.decides_vectors_as_they_are() {
                true => kernels::encode_packed(&x, &codebook),
                false => None,
            };
            // As `encode` does: the tensors' product would round some logits otherwise.
            let bytes = lent.or_else(|| {
                let dtype = working([x.dtype(), codebook.dtype()]);
                let rows = self.normalized(as_rows(x.clone()).cast(dtype));
                kernels::encode_packed(&rows, &codebook)
            });
            if let Some(bytes) = bytes {
                return PackedCodes::from_bytes(&shape[..D - 1], self.num_bits(), bytes);
            }
        }
        PackedCodes::from_logits_async(self.logits(x)).await
    }

    /// The vectors that packed codes stand for, on the device and in the type of the codebook.
    ///
    /// # Shapes
    ///
    /// - output: `[codes.dims().., features]`
    ///
    /// # Panics
    ///
    /// Where codes do not have `num_bits` bits, or `D` is not one more than their
    /// [`dims`](PackedCodes::dims) are.
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

    /// The vectors that bits stand for, in the type of the codebook.
    ///
    /// # Shapes
    ///
    /// - bits: `[.., num_bits]`, each 0 or 1; any other value is extrapolated, not checked: see
    ///   [`try_decode`](Self::try_decode)
    /// - output: `[.., features]`
    ///
    /// # Panics
    ///
    /// Where the last axis of `bits` is not `num_bits` long.
    #[doc(alias = "from_bits")]
    pub fn decode<const D: usize>(&self, bits: Tensor<B, D, Int>) -> Tensor<B, D> {
        let mut shape = bits.dims();
        self.assert_num_bits(shape[D - 1]);
        shape[D - 1] = self.features();
        let stored = self.codebook.val().dtype();
        if has_no_vectors(&bits) {
            return Tensor::zeros(shape, (&bits.device(), stored));
        }
        if let Some(decoded) = kernels::decode(&bits, &self.codebook.val()) {
            return decoded;
        }
        self.decoded(as_rows(bits)).reshape(shape)
    }

    /// [`decode`](Self::decode), or an error for bits that are not 0 or 1.
    ///
    /// # Shapes
    ///
    /// - bits: `[.., num_bits]`
    /// - output: `[.., features]`
    ///
    /// # Errors
    ///
    /// [`CodesError::OutOfRange`] as [`check_bits`](crate::check_bits).
    ///
    /// # Panics
    ///
    /// Where the last axis of `bits` is not `num_bits` long.
    pub fn try_decode<const D: usize>(
        &self,
        bits: Tensor<B, D, Int>,
    ) -> Result<Tensor<B, D>, CodesError> {
        read_sync(self.try_decode_async(bits))
    }

    /// [`try_decode`](Self::try_decode) where reading back has to be waited for, as in a browser.
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
}
