//! Packed codes from tensors, which are read back from their device.

use alloc::vec;
use alloc::vec::Vec;
use bitcodes_kernels::layout;
use bitcodes_kernels::signs::pack_signs;
use burn::tensor::{Int, Tensor, backend::Backend, read_sync};

use super::{CodesError, PackedCodes, integers, read};

impl PackedCodes {
    /// Packs bits, which are read back from their device; in a browser use
    /// [`from_bits_async`](Self::from_bits_async).
    ///
    /// # Shapes
    ///
    /// - bits: `[.., num_bits]`; the leading axes become [`dims`](Self::dims)
    ///
    /// # Errors
    ///
    /// [`CodesError::OutOfRange`] for a bit that is not 0 or 1, [`CodesError::NoBits`] where the
    /// last axis is empty.
    pub fn from_bits<B: Backend, const D: usize>(
        bits: Tensor<B, D, Int>,
    ) -> Result<Self, CodesError> {
        read_sync(Self::from_bits_async(bits))
    }

    /// [`from_bits`](Self::from_bits) where reading back has to be waited for.
    ///
    /// # Errors
    ///
    /// As [`from_bits`](Self::from_bits).
    pub async fn from_bits_async<B: Backend, const D: usize>(
        bits: Tensor<B, D, Int>,
    ) -> Result<Self, CodesError> {
        let shape = bits.dims();
        let (dims, num_bits) = (shape[..D - 1].to_vec(), shape[D - 1]);
        if num_bits == 0 {
            return Err(CodesError::NoBits);
        }
        let mut bytes = vec![0; dims.iter().product::<usize>() * layout::row_bytes(num_bits)];
        let bits = integers(&read(bits).await?)
            .map(|value| u8::try_from(value).ok().filter(|&bit| bit < 2).ok_or(value))
            .collect::<Result<Vec<u8>, i128>>()
            .map_err(|value| CodesError::OutOfRange { value, max: 1 })?;
        let packed = bytes.chunks_exact_mut(layout::row_bytes(num_bits));
        for (row, (bits, packed)) in bits.chunks_exact(num_bits).zip(packed).enumerate() {
            layout::pack_row(bits, packed).map_err(|source| CodesError::Layout { row, source })?;
        }
        Ok(Self {
            dims,
            num_bits,
            bytes,
        })
    }

    /// Packs the bits that logits decide, `logit > 0`, as [`encode`](crate::Bitcodes::encode) does;
    /// they are read back from their device. It takes less than to encode and pack apart.
    ///
    /// # Shapes
    ///
    /// - logits: `[.., num_bits]`, of [`logits`](crate::Bitcodes::logits); the leading axes become
    ///   [`dims`](Self::dims)
    ///
    /// # Errors
    ///
    /// [`CodesError::NoBits`] where the last axis is empty, [`CodesError::Device`].
    pub fn from_logits<B: Backend, const D: usize>(
        logits: Tensor<B, D>,
    ) -> Result<Self, CodesError> {
        read_sync(Self::from_logits_async(logits))
    }

    /// [`from_logits`](Self::from_logits) where reading back has to be waited for.
    ///
    /// # Errors
    ///
    /// As [`from_logits`](Self::from_logits).
    pub async fn from_logits_async<B: Backend, const D: usize>(
        logits: Tensor<B, D>,
    ) -> Result<Self, CodesError> {
        let shape = logits.dims();
        let (dims, num_bits) = (shape[..D - 1].to_vec(), shape[D - 1]);
        if num_bits == 0 {
            return Err(CodesError::NoBits);
        }
        let mut bytes = vec![0; dims.iter().product::<usize>() * layout::row_bytes(num_bits)];
        let logits = read(logits).await?;
        match logits.as_slice::<f32>() {
            Ok(logits) => pack_signs(logits, num_bits, &mut bytes),
            Err(_) => {
                // A wider type: what is above 0 there may round to 0 in an f32.
                let signs = logits
                    .iter::<f64>()
                    .map(|logit| f32::from(u8::from(logit > 0.0)));
                pack_signs(&signs.collect::<Vec<f32>>(), num_bits, &mut bytes);
            }
        }
        Ok(Self {
            dims,
            num_bits,
            bytes,
        })
    }
}
