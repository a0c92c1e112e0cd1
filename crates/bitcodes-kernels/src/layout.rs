//! Where each bit of a code lies.
//!
//! A *row* is the code of one vector: `num_bits` bits. Packed, bit `p` is bit `p % 8` (the least
//! significant is 0) of byte `p / 8`; bits past the last one are zero. Read as little-endian 32-bit
//! words that is position `p % 32` of word `p / 32`. It is the order of
//! `numpy.packbits(.., bitorder="little")` and of FAISS's binary vectors.

use core::fmt;

/// Bytes that a packed row of `num_bits` bits takes.
pub const fn row_bytes(num_bits: usize) -> usize {
    num_bits.div_ceil(8)
}

/// 32-bit words that a row of `num_bits` bits takes where it is packed into words.
pub const fn row_words(num_bits: usize) -> usize {
    num_bits.div_ceil(32)
}

/// A row that cannot be packed or unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayoutError {
    /// An element that stands for a bit is neither 0 nor 1.
    NotABit {
        /// Index of the element in the row.
        position: usize,
        /// What was found there.
        value: u8,
    },
    /// The packed row has another length than its bits need.
    RowBytes {
        /// Bytes that were given.
        found: usize,
        /// Bytes that the bits need.
        wanted: usize,
    },
    /// A bit past the last one of the row is set.
    TailBits {
        /// Number of bits in the row.
        num_bits: usize,
        /// The row's last byte.
        last_byte: u8,
    },
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotABit { position, value } => {
                write!(f, "bit {position} is {value}, expected 0 or 1")
            }
            Self::RowBytes { found, wanted } => {
                write!(f, "a packed row has {found} bytes, expected {wanted}")
            }
            Self::TailBits {
                num_bits,
                last_byte,
            } => write!(
                f,
                "the last byte of a packed row of {num_bits} bits is {last_byte:#010b}, \
                 expected zeros past the last bit"
            ),
        }
    }
}

impl core::error::Error for LayoutError {}

/// Packs one row: `bits` (each 0 or 1) into `packed`, [`row_bytes`] long.
///
/// # Errors
///
/// [`LayoutError::RowBytes`] for another length of `packed`, [`LayoutError::NotABit`] for an
/// element that is not 0 or 1; `packed` is then unspecified.
pub fn pack_row(bits: &[u8], packed: &mut [u8]) -> Result<(), LayoutError> {
    check_row_bytes(packed, bits.len())?;
    for (byte, bits) in packed.iter_mut().zip(bits.chunks(8)) {
        *byte = bits
            .iter()
            .enumerate()
            .fold(0, |byte, (position, bit)| byte | ((bit & 1) << position));
    }
    match bits.iter().position(|&bit| bit > 1) {
        None => Ok(()),
        Some(position) => Err(LayoutError::NotABit {
            position,
            value: bits[position],
        }),
    }
}

/// Unpacks one row: `packed`, [`row_bytes`] long, into `bits` (each 0 or 1).
///
/// # Errors
///
/// [`LayoutError::RowBytes`] for another length of `packed`, [`LayoutError::TailBits`] where a bit
/// past the last one is set; `bits` is then unspecified.
pub fn unpack_row(packed: &[u8], bits: &mut [u8]) -> Result<(), LayoutError> {
    check_row(packed, bits.len())?;
    for (bits, byte) in bits.chunks_mut(8).zip(packed) {
        for (position, bit) in bits.iter_mut().enumerate() {
            *bit = (byte >> position) & 1;
        }
    }
    Ok(())
}

/// Checks that `packed` is a row of `num_bits` bits: its length, and zeros past the last bit.
///
/// # Errors
///
/// [`LayoutError::RowBytes`] or [`LayoutError::TailBits`].
pub fn check_row(packed: &[u8], num_bits: usize) -> Result<(), LayoutError> {
    check_row_bytes(packed, num_bits)?;
    let used = num_bits % 8;
    match packed.last() {
        Some(&last_byte) if used > 0 && last_byte >> used != 0 => Err(LayoutError::TailBits {
            num_bits,
            last_byte,
        }),
        _ => Ok(()),
    }
}

fn check_row_bytes(packed: &[u8], num_bits: usize) -> Result<(), LayoutError> {
    let wanted = row_bytes(num_bits);
    match packed.len() {
        found if found == wanted => Ok(()),
        found => Err(LayoutError::RowBytes { found, wanted }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};

    /// Every length from 0 to 70 with a pattern that differs at each position.
    fn rows() -> impl Iterator<Item = Vec<u8>> {
        (0..=70usize).map(|n| (0..n).map(|p| u8::from((p * p + n) % 3 == 0)).collect())
    }

    #[test]
    fn bit_p_is_at_position_p_mod_8_of_byte_p_div_8_and_the_tail_is_zero() {
        for bits in rows() {
            let mut packed = vec![0xff; row_bytes(bits.len())];
            pack_row(&bits, &mut packed).unwrap();
            for position in 0..packed.len() * 8 {
                let wanted = bits.get(position).copied().unwrap_or(0);
                assert_eq!((packed[position / 8] >> (position % 8)) & 1, wanted);
            }
        }
    }

    #[test]
    fn bytes_read_as_little_endian_words_have_bit_p_in_word_p_div_32() {
        for bits in rows() {
            let mut packed = vec![0; row_bytes(bits.len())];
            pack_row(&bits, &mut packed).unwrap();
            packed.resize(packed.len().next_multiple_of(4), 0);
            for (position, &bit) in bits.iter().enumerate() {
                let bytes = &packed[position / 32 * 4..][..4];
                let word = u32::from_le_bytes(bytes.try_into().unwrap());
                assert_eq!((word >> (position % 32)) & 1, u32::from(bit));
            }
        }
    }

    #[test]
    fn unpack_reverses_pack() {
        for bits in rows() {
            let mut packed = vec![0; row_bytes(bits.len())];
            pack_row(&bits, &mut packed).unwrap();
            let mut back = vec![9; bits.len()];
            unpack_row(&packed, &mut back).unwrap();
            assert_eq!(back, bits);
        }
    }

    #[test]
    fn errors_name_what_was_found() {
        assert_eq!(
            pack_row(&[0, 1, 2], &mut [0]),
            Err(LayoutError::NotABit {
                position: 2,
                value: 2
            })
        );
        assert_eq!(
            pack_row(&[0; 9], &mut [0]),
            Err(LayoutError::RowBytes {
                found: 1,
                wanted: 2
            })
        );
        assert_eq!(
            unpack_row(&[0b1000], &mut [0; 3]),
            Err(LayoutError::TailBits {
                num_bits: 3,
                last_byte: 0b1000
            })
        );
        assert_eq!(unpack_row(&[0b111], &mut [0; 3]), Ok(()));
        assert_eq!(unpack_row(&[0xff], &mut [0; 8]), Ok(()));
    }
}
