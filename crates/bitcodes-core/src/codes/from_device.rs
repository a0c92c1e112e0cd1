//! Packed codes from tensors, whose values are read back from the device.

use alloc::vec;
use alloc::vec::Vec;
use bitcodes_kernels::layout::{self, pack_signs};
use burn::tensor::{Int, Tensor, backend::Backend, read_sync};

use super::{CodesError, PackedCodes, integers, read};

impl PackedCodes {
    /// Packs a tensor of bits.
    ///
    /// The function reads the bits back from the device; in a browser use
    /// [`from_bits_async`](Self::from_bits_async).
    ///
    /// # Shapes
    ///
    /// - bits: `[.., num_bits]`; the leading axes become [`dims`](Self::dims)
    ///
    /// # Errors
    ///
    /// Returns:
    /// - [`CodesError::NoBits`] if the last axis is empty
    /// - [`CodesError::OutOfRange`] if a bit is not 0 or 1
    /// - [`CodesError::Device`] if the device cannot be read
    pub fn from_bits<B: Backend, const D: usize>(
        bits: Tensor<B, D, Int>,
    ) -> Result<Self, CodesError> {
        read_sync(Self::from_bits_async(bits))
    }

    /// Packs a tensor of bits; the asynchronous form of [`from_bits`](Self::from_bits).
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

    /// Packs the bits `logit > 0` of a tensor of logits.
    ///
    /// For the result of [`logits`](crate::Bitcodes::logits), these are the bits of
    /// [`encode`](crate::Bitcodes::encode). This function takes less time than encoding and packing
    /// apart. It reads the logits back from the device; in a browser use
    /// [`from_logits_async`](Self::from_logits_async).
    ///
    /// # Shapes
    ///
    /// - logits: `[.., num_bits]`; the leading axes become [`dims`](Self::dims)
    ///
    /// # Errors
    ///
    /// Returns:
    /// - [`CodesError::NoBits`] if the last axis is empty
    /// - [`CodesError::Device`] if the device cannot be read
    pub fn from_logits<B: Backend, const D: usize>(
        logits: Tensor<B, D>,
    ) -> Result<Self, CodesError> {
        read_sync(Self::from_logits_async(logits))
    }

    /// Packs the bits of a tensor of logits; the asynchronous form of
    /// [`from_logits`](Self::from_logits).
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
                // Compared as f64: a small f64 above 0 may round to 0 in f32.
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
