//! The bit order of packed codes: the place of each bit in bytes and words.
//!
//! A *row* is the code of one vector, `num_bits` bits. In a packed row, bit `p` is bit `p % 8` of
//! byte `p / 8`, counted from the least significant bit, and the bits past the last one are zero.
//! Read as little-endian 32-bit words, bit `p` is bit `p % 32` of word `p / 32`. numpy's
//! `packbits(.., bitorder="little")` and FAISS's binary vectors have the same order.
//!
//! Kernels that pack or unpack inside their vectorized loops repeat this order, and say so there.

use core::fmt;

/// Returns the number of bytes of a packed row of `num_bits` bits.
pub const fn row_bytes(num_bits: usize) -> usize {
    num_bits.div_ceil(8)
}

/// Returns the number of 32-bit words of a row of `num_bits` bits that is packed into words.
pub const fn row_words(num_bits: usize) -> usize {
    num_bits.div_ceil(32)
}

/// Error of packing, unpacking or checking a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayoutError {
    /// An element that stands for a bit is neither 0 nor 1.
    NotABit {
        /// Index of the element in the row.
        position: usize,
        /// Value of that element.
        value: u8,
    },
    /// The number of bytes of the packed row does not fit its number of bits.
    RowBytes {
        /// Number of bytes in the row.
        found: usize,
        /// Number of bytes that the bits need.
        wanted: usize,
    },
    /// A bit past the row's last one is set.
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

/// Packs the bits of one row, each 0 or 1.
///
/// # Shapes
///
/// - `bits`: `[num_bits]`
/// - `packed`: `[row_bytes(num_bits)]`
///
/// # Errors
///
/// Returns [`LayoutError::RowBytes`] if `packed` has another length, and [`LayoutError::NotABit`]
/// if an element is neither 0 nor 1; the content of `packed` is then unspecified.
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

/// Unpacks one row into bits, each 0 or 1.
///
/// # Shapes
///
/// - `packed`: `[row_bytes(num_bits)]`
/// - `bits`: `[num_bits]`
///
/// # Errors
///
/// Returns [`LayoutError::RowBytes`] if `packed` has another length, and [`LayoutError::TailBits`]
/// if a bit past the last one is set; the content of `bits` is then unspecified.
pub fn unpack_row(packed: &[u8], bits: &mut [u8]) -> Result<(), LayoutError> {
    check_row(packed, bits.len())?;
    for (bits, byte) in bits.chunks_mut(8).zip(packed) {
        for (position, bit) in bits.iter_mut().enumerate() {
            *bit = (byte >> position) & 1;
        }
    }
    Ok(())
}

/// Checks the length of a packed row and the zeros past its last bit.
///
/// # Errors
///
/// Returns [`LayoutError::RowBytes`] if `packed` has another length than [`row_bytes`] of
/// `num_bits`, and [`LayoutError::TailBits`] if a bit past the last one is set.
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

/// Returns one bit of a packed row.
#[inline(always)]
pub(crate) fn bit_of_row(packed: &[u8], bit: usize) -> u8 {
    (packed[bit / 8] >> (bit % 8)) & 1
}

/// Sets the bits of a packed row from bit `first` on: bit `p` of `bits` becomes bit `first + p`.
///
/// The row has to be zero there, and `bits` has to be zero past the row's last bit. The number of
/// bits set at once is a power of two up to 32, and `first` is a multiple of it.
#[inline(always)]
pub(crate) fn set_bits(bits: u32, first: usize, packed: &mut [u8]) {
    let (byte, shift) = (first / 8, first % 8);
    // Fewer than 8 bits never cross the end of a byte, because their number is a power of two.
    let bits = (bits << shift).to_le_bytes();
    for (packed, bits) in packed[byte..].iter_mut().zip(bits) {
        *packed |= bits;
    }
}

/// Packs the signs of logits: a bit is 1 if its logit is above 0, so that 0 and NaN give 0.
///
/// # Shapes
///
/// - `logits`: `[rows, num_bits]`
/// - `packed`: `[rows, row_bytes(num_bits)]`
///
/// # Panics
///
/// Panics if `num_bits` is 0, if the rows are not whole, or if the numbers of rows differ.
pub fn pack_signs(logits: &[f32], num_bits: usize, packed: &mut [u8]) {
    let bytes = row_bytes(num_bits);
    assert!(num_bits > 0, "pack_signs: rows of 0 bits");
    assert!(
        logits.len().is_multiple_of(num_bits) && packed.len() == logits.len() / num_bits * bytes,
        "pack_signs: {} logits and {} bytes, expected rows of {num_bits} and {bytes}",
        logits.len(),
        packed.len()
    );
    let sign = |position: usize, logit: f32| u8::from(logit > 0.0) << position;
    // for each row:
    //     for each byte k of the row:
    //         byte = 0
    //         for each position in 0..8, or up to the last bit:
    //             byte |= (logits[8 * k + position] > 0) << position
    for (row, packed) in logits
        .chunks_exact(num_bits)
        .zip(packed.chunks_exact_mut(bytes))
    {
        let (eights, rest) = row.as_chunks::<8>();
        for (logits, byte) in eights.iter().zip(packed.iter_mut()) {
            *byte = (0..8).fold(0, |byte, position| byte | sign(position, logits[position]));
        }
        if !rest.is_empty() {
            let signs = rest.iter().enumerate();
            packed[bytes - 1] =
                signs.fold(0, |byte, (position, &logit)| byte | sign(position, logit));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};

    /// Rows of every length from 0 to 70, whose patterns differ at each position.
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
    fn unpack_row_reverses_pack_row() {
        for bits in rows() {
            let mut packed = vec![0; row_bytes(bits.len())];
            pack_row(&bits, &mut packed).unwrap();
            let mut back = vec![9; bits.len()];
            unpack_row(&packed, &mut back).unwrap();
            assert_eq!(back, bits);
        }
    }

    #[test]
    fn bit_of_row_and_set_bits_agree_with_pack_row() {
        for bits in rows() {
            let mut packed = vec![0; row_bytes(bits.len())];
            pack_row(&bits, &mut packed).unwrap();
            for (position, &bit) in bits.iter().enumerate() {
                assert_eq!(bit_of_row(&packed, position), bit);
            }
            for lanes in [1, 2, 4, 8, 16, 32] {
                let mut found = vec![0; packed.len()];
                for (block, bits) in bits.chunks(lanes).enumerate() {
                    let of_bits = bits
                        .iter()
                        .rev()
                        .fold(0, |all, &bit| all << 1 | u32::from(bit));
                    set_bits(of_bits, block * lanes, &mut found);
                }
                assert_eq!(found, packed, "{} bits by {lanes}", bits.len());
            }
        }
    }

    #[test]
    fn pack_signs_packs_the_same_bytes_as_pack_row_at_every_length() {
        let special = [
            0.0,
            -0.0,
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            1e-45,
            -1e-45,
        ];
        for num_bits in 1..70 {
            for rows in 0..4 {
                let logits: Vec<f32> = (0..rows * num_bits)
                    .map(|index| match index % 3 {
                        0 => special[index / 3 % special.len()],
                        1 => index as f32,
                        _ => -(index as f32),
                    })
                    .collect();
                let mut packed = vec![0xff; rows * row_bytes(num_bits)];
                pack_signs(&logits, num_bits, &mut packed);
                let wanted = logits.chunks(num_bits).flat_map(|row| {
                    let bits: Vec<u8> = row.iter().map(|&logit| u8::from(logit > 0.0)).collect();
                    let mut packed = vec![0; row_bytes(num_bits)];
                    pack_row(&bits, &mut packed).unwrap();
                    packed
                });
                assert_eq!(packed, wanted.collect::<Vec<u8>>(), "{rows} x {num_bits}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "pack_signs: 5 logits and 1 bytes, expected rows of 2 and 1")]
    fn pack_signs_refuses_rows_that_are_not_whole() {
        pack_signs(&[0.0; 5], 2, &mut [0]);
    }

    #[test]
    fn errors_name_the_values_that_were_found() {
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
