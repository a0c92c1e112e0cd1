//! Codes packed to bytes, on the host.

use alloc::vec;
use alloc::vec::Vec;
use bitcodes_kernels::layout;
use burn::tensor::{Int, Tensor, TensorData, backend::Backend};

use super::CodesError;

/// Packed codes on the host: rows of `num_bits` bits, each row whole bytes.
///
/// Bit `p` of a row is bit `p % 8` of its byte `p / 8`, bits past the last are zero: the order of
/// `numpy.packbits(.., bitorder="little")`; see [`bitcodes_kernels::layout`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedCodes {
    dims: Vec<usize>,
    num_bits: usize,
    bytes: Vec<u8>,
}

impl PackedCodes {
    /// Packs bits, which are read back from their device, synchronously, which a GPU in a browser
    /// does not allow.
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
        let shape = bits.dims();
        let (dims, num_bits) = (shape[..D - 1].to_vec(), shape[D - 1]);
        if num_bits == 0 {
            return Err(CodesError::NoBits);
        }
        let mut bytes = vec![0; dims.iter().product::<usize>() * layout::row_bytes(num_bits)];
        let bits = bits
            .into_data()
            .iter::<i64>()
            .map(|value| u8::try_from(value).ok().filter(|&bit| bit < 2).ok_or(value))
            .collect::<Result<Vec<u8>, i64>>()
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

    /// Takes over bytes that are packed already.
    ///
    /// # Errors
    ///
    /// [`CodesError::ByteCount`] for more or fewer bytes than `dims` rows of `num_bits` bits have,
    /// [`CodesError::Layout`] for a row with a bit set past its last, [`CodesError::NoBits`].
    pub fn from_bytes(
        dims: impl Into<Vec<usize>>,
        num_bits: usize,
        bytes: Vec<u8>,
    ) -> Result<Self, CodesError> {
        let dims = dims.into();
        if num_bits == 0 {
            return Err(CodesError::NoBits);
        }
        let row_bytes = layout::row_bytes(num_bits);
        let wanted = dims
            .iter()
            .try_fold(row_bytes, |bytes, &dim| bytes.checked_mul(dim));
        if wanted != Some(bytes.len()) {
            return Err(CodesError::ByteCount {
                found: bytes.len(),
                wanted,
                dims,
                num_bits,
            });
        }
        for (row, packed) in bytes.chunks_exact(row_bytes).enumerate() {
            layout::check_row(packed, num_bits)
                .map_err(|source| CodesError::Layout { row, source })?;
        }
        Ok(Self {
            dims,
            num_bits,
            bytes,
        })
    }

    /// The bits as a tensor.
    ///
    /// # Shapes
    ///
    /// - output: `[dims.., num_bits]`
    ///
    /// # Panics
    ///
    /// Where `D` is not one more than the number of [`dims`](Self::dims).
    pub fn to_bits<B: Backend, const D: usize>(&self, device: &B::Device) -> Tensor<B, D, Int> {
        let mut shape = self.dims.clone();
        shape.push(self.num_bits);
        assert_eq!(shape.len(), D, "PackedCodes: the bits have shape {shape:?}");
        let mut bits = vec![0u8; shape.iter().product()];
        for (bits, packed) in bits.chunks_exact_mut(self.num_bits).zip(self.rows()) {
            layout::unpack_row(packed, bits).expect("every constructor checks the layout");
        }
        let bits: Vec<i32> = bits.into_iter().map(i32::from).collect();
        Tensor::from_data(TensorData::new(bits, shape), device)
    }

    /// Dimensions of the codes, without the bits' axis.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Bits of a code.
    pub fn num_bits(&self) -> usize {
        self.num_bits
    }

    /// The codes one after the other, `ceil(num_bits / 8)` bytes each.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.bytes.chunks_exact(layout::row_bytes(self.num_bits))
    }

    /// All rows one after the other.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}
