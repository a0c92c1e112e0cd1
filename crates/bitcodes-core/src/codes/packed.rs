//! Packed codes in host memory.

use core::ops::{Index, Range};

use alloc::vec;
use alloc::vec::Vec;
use bitcodes_kernels::{distance, layout};
use burn::tensor::{Int, Tensor, TensorData, backend::Backend};

use super::{CodesError, LayoutError};

/// Packed codes in host memory: one row of `num_bits` bits for each vector.
///
/// A row is a whole number of bytes. Bit `p` of a row is bit `p % 8` (0 is the least significant)
/// of byte `p / 8`, and the bits past the last one are zero. This is the order of
/// `numpy.packbits(.., bitorder="little")`; see [`bitcodes_kernels::layout`].
///
/// ```
/// use bitcodes_core::PackedCodes;
///
/// let codes = PackedCodes::from_bytes([3], 12, vec![0x0f, 0, 0xff, 0, 0x01, 0x02])?;
/// assert_eq!(codes[1], [0xff, 0]);
/// assert!(codes.bit(2, 9));
/// assert_eq!(codes.slice(1..3), PackedCodes::from_bytes([2], 12, vec![0xff, 0, 0x01, 0x02])?);
/// assert_eq!(codes.distances_to(&codes[0])?, [0, 4, 4]);
/// # Ok::<(), bitcodes_core::CodesError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedCodes {
    pub(super) dims: Vec<usize>,
    pub(super) num_bits: usize,
    pub(super) bytes: Vec<u8>,
}

impl PackedCodes {
    /// Makes packed codes of bytes, `dims` rows of `ceil(num_bits / 8)` bytes.
    ///
    /// # Errors
    ///
    /// Returns:
    /// - [`CodesError::NoBits`] if `num_bits` is 0
    /// - [`CodesError::ByteCount`] if there are more or fewer bytes
    /// - [`CodesError::Layout`] if a bit past the last one of a row is set
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

    /// Makes packed codes of words, `dims` rows of `ceil(num_bits / 32)` words.
    ///
    /// Bit `p` of a row is bit `p % 32` of word `p / 32`. [`unpack_words`](crate::unpack_words) is
    /// the function for a tensor of words.
    ///
    /// # Errors
    ///
    /// Returns:
    /// - [`CodesError::NoBits`] if `num_bits` is 0
    /// - [`CodesError::ByteCount`] if there are more or fewer words
    /// - [`CodesError::Layout`] if a bit past the last one of a row is set
    pub fn from_words(
        dims: impl Into<Vec<usize>>,
        num_bits: usize,
        words: &[u32],
    ) -> Result<Self, CodesError> {
        if num_bits == 0 {
            return Err(CodesError::NoBits);
        }
        let row_bytes = layout::row_bytes(num_bits);
        let mut bytes = Vec::with_capacity(words.len() * 4);
        for (row, words) in words.chunks(layout::row_words(num_bits)).enumerate() {
            let start = bytes.len();
            bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
            // The last word may have more bytes than the row; `from_bytes` does not see them.
            let mut tail = bytes[start..].iter().skip(row_bytes);
            if let Some(&last_byte) = tail.find(|&&byte| byte != 0) {
                let source = LayoutError::TailBits {
                    num_bits,
                    last_byte,
                };
                return Err(CodesError::Layout { row, source });
            }
            bytes.truncate(start + row_bytes);
        }
        Self::from_bytes(dims, num_bits, bytes)
    }

    /// Returns the codes as words, `ceil(num_bits / 32)` words for each row; see
    /// [`from_words`](Self::from_words).
    pub fn to_words(&self) -> Vec<u32> {
        let word = |bytes: &[u8]| {
            let mut word = [0; 4];
            word[..bytes.len()].copy_from_slice(bytes);
            u32::from_le_bytes(word)
        };
        self.rows()
            .flat_map(|row| row.chunks(4).map(word))
            .collect()
    }

    /// Unpacks the codes to a tensor of bits, each 0 or 1, of the backend's integer type.
    ///
    /// # Shapes
    ///
    /// - output: `[dims.., num_bits]`
    ///
    /// # Panics
    ///
    /// Panics if `D` is not one more than the number of [`dims`](Self::dims).
    pub fn unpack<B: Backend, const D: usize>(&self, device: &B::Device) -> Tensor<B, D, Int> {
        let mut shape = self.dims.clone();
        shape.push(self.num_bits);
        assert_eq!(shape.len(), D, "PackedCodes: the bits have shape {shape:?}");
        let bits: Vec<i32> = self.unpack_on_host().into_iter().map(i32::from).collect();
        Tensor::from_data(TensorData::new(bits, shape), device)
    }

    /// Unpacks the codes in host memory, to one byte for each bit, 0 or 1.
    pub fn unpack_on_host(&self) -> Vec<u8> {
        let mut bits = vec![0u8; self.len() * self.num_bits];
        for (bits, packed) in bits.chunks_exact_mut(self.num_bits).zip(self.rows()) {
            layout::unpack_row(packed, bits).expect("every constructor checks the layout");
        }
        bits
    }

    /// Returns the dimensions of the codes, without the axis of the bits.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Returns the number of bits of a code.
    pub fn num_bits(&self) -> usize {
        self.num_bits
    }

    /// Returns the number of codes, the product of [`dims`](Self::dims).
    pub fn len(&self) -> usize {
        self.bytes.len() / layout::row_bytes(self.num_bits)
    }

    /// Returns whether there are no codes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Iterates over the codes, `ceil(num_bits / 8)` bytes each; `codes[i]` is code `i`.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.bytes.chunks_exact(layout::row_bytes(self.num_bits))
    }

    /// Returns bit `bit` of code `row`.
    ///
    /// # Panics
    ///
    /// Panics if `row` is not below [`len`](Self::len) or `bit` not below
    /// [`num_bits`](Self::num_bits).
    pub fn bit(&self, row: usize, bit: usize) -> bool {
        let num_bits = self.num_bits;
        assert!(
            bit < num_bits,
            "PackedCodes: bit {bit}, expected one below num_bits = {num_bits}"
        );
        (self[row][bit / 8] >> (bit % 8)) & 1 == 1
    }

    /// Copies the codes at `range` of the first axis.
    ///
    /// # Panics
    ///
    /// Panics if the range does not lie within the first axis, or if [`dims`](Self::dims) is empty.
    pub fn slice(&self, range: Range<usize>) -> Self {
        let first = self.dims.first().copied();
        let first = first.expect("PackedCodes: a single code has no axis to slice");
        assert!(
            range.start <= range.end && range.end <= first,
            "PackedCodes: range {range:?}, expected one within 0..{first}"
        );
        let mut dims = self.dims.clone();
        dims[0] = range.len();
        let stride = dims[1..].iter().product::<usize>() * layout::row_bytes(self.num_bits);
        Self {
            dims,
            num_bits: self.num_bits,
            bytes: self.bytes[range.start * stride..range.end * stride].to_vec(),
        }
    }

    /// Computes the Hamming distance of each code to one packed row, in bits.
    ///
    /// # Errors
    ///
    /// Returns [`CodesError::Layout`] if `row` is not a packed row of [`num_bits`](Self::num_bits)
    /// bits.
    pub fn distances_to(&self, row: &[u8]) -> Result<Vec<u32>, CodesError> {
        layout::check_row(row, self.num_bits)
            .map_err(|source| CodesError::Layout { row: 0, source })?;
        Ok(self
            .rows()
            .map(|code| distance::hamming(code, row))
            .collect())
    }

    /// Computes the Hamming distance of each code to the code of `other` with the same index, in
    /// bits.
    ///
    /// # Errors
    ///
    /// Returns [`CodesError::Mismatch`] if the dimensions or the numbers of bits differ.
    pub fn hamming_distances(&self, other: &Self) -> Result<Vec<u32>, CodesError> {
        if (&self.dims, self.num_bits) != (&other.dims, other.num_bits) {
            return Err(CodesError::Mismatch {
                found: other.dims.clone(),
                found_bits: other.num_bits,
                wanted: self.dims.clone(),
                wanted_bits: self.num_bits,
            });
        }
        let pairs = self.rows().zip(other.rows());
        Ok(pairs.map(|(a, b)| distance::hamming(a, b)).collect())
    }

    /// Returns the bytes of all rows, one row after the other.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Converts the codes into the bytes of all rows, one row after the other.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Indexing by the number of a code gives its bytes.
impl Index<usize> for PackedCodes {
    type Output = [u8];

    fn index(&self, row: usize) -> &[u8] {
        let (codes, bytes) = (self.len(), layout::row_bytes(self.num_bits));
        assert!(
            row < codes,
            "PackedCodes: code {row}, expected one below {codes}"
        );
        &self.bytes[row * bytes..][..bytes]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn words_on_the_host_are_packed_and_unpacked() {
        let words = [0x8000_0001, 1, 0x7fff_fffe, 0];
        let codes = PackedCodes::from_words([2], 33, &words).unwrap();
        assert_eq!(codes.to_words(), words);
        assert_eq!(codes[0], [1, 0, 0, 0x80, 1]);
        let bits = codes.unpack_on_host();
        assert_eq!(bits.len(), 66);
        assert_eq!([bits[0], bits[1], bits[31], bits[32]], [1, 0, 1, 1]);
        let none = PackedCodes::from_words([2, 0], 33, &[]).unwrap();
        assert_eq!((none.dims(), none.to_words()), (&[2, 0][..], vec![]));
    }

    #[test]
    fn words_that_break_the_layout_are_errors() {
        assert_eq!(
            PackedCodes::from_words([1], 0, &[0]),
            Err(CodesError::NoBits)
        );
        let error = PackedCodes::from_words([2], 34, &[1, 3, 5, 0b1100]).unwrap_err();
        let source = LayoutError::TailBits {
            num_bits: 34,
            last_byte: 0b1100,
        };
        assert_eq!(error, CodesError::Layout { row: 1, source });
        // The bit lies past the five bytes of the row.
        let error = PackedCodes::from_words([1], 34, &[0, 1 << 30]).unwrap_err();
        assert!(
            error.to_string().starts_with("row 0: the last byte"),
            "{error}"
        );
        for words in [&[0; 3][..], &[0; 6]] {
            let error = PackedCodes::from_words([2], 34, words).unwrap_err();
            assert!(
                matches!(error, CodesError::ByteCount { .. }),
                "{} words for two codes of two words: {error}",
                words.len()
            );
        }
    }
}
