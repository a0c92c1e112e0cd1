//! Statistics of packed codes: how often each bit is set, and how often each pair of bits is.

use alloc::vec;
use alloc::vec::Vec;

use crate::layout::{bit_of_row, row_bytes};

/// Packed codes transposed: for each bit, the set of codes in which it is 1.
#[derive(Debug, Clone)]
pub struct BitColumns {
    /// Number of 64-bit words of a set.
    words: usize,
    /// `[num_bits][words]`: code `r` is bit `r % 64` of word `r / 64`.
    sets: Vec<u64>,
}

impl BitColumns {
    /// Transposes packed codes of `num_bits` bits.
    ///
    /// # Shapes
    ///
    /// - `packed`: `[codes, row_bytes(num_bits)]`
    ///
    /// # Panics
    ///
    /// Panics if `num_bits` is 0, or if `packed` is not whole rows.
    pub fn of_rows(packed: &[u8], num_bits: usize) -> Self {
        assert!(
            num_bits > 0,
            "BitColumns: num_bits is 0, expected at least 1"
        );
        let bytes = row_bytes(num_bits);
        assert!(
            packed.len().is_multiple_of(bytes),
            "BitColumns: {} bytes, expected a multiple of {bytes}",
            packed.len()
        );
        let words = (packed.len() / bytes).div_ceil(64);
        let mut sets = vec![0; num_bits * words];
        for (row, packed) in packed.chunks_exact(bytes).enumerate() {
            for (bit, set) in sets.chunks_exact_mut(words).enumerate() {
                let value = u64::from(bit_of_row(packed, bit));
                set[row / 64] |= value << (row % 64);
            }
        }
        Self { words, sets }
    }

    /// Counts the codes in which a bit is set.
    ///
    /// # Panics
    ///
    /// Panics if there is no such bit.
    pub fn count(&self, bit: usize) -> u64 {
        let set = self.set(bit).iter();
        set.map(|word| u64::from(word.count_ones())).sum()
    }

    /// Counts the codes in which both bits are set.
    ///
    /// # Panics
    ///
    /// Panics if there is no such bit.
    pub fn count_both(&self, a: usize, b: usize) -> u64 {
        let both = self.set(a).iter().zip(self.set(b));
        both.map(|(a, b)| u64::from((a & b).count_ones())).sum()
    }

    fn set(&self, bit: usize) -> &[u64] {
        &self.sets[bit * self.words..][..self.words]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::pack_row;

    #[test]
    fn counts_equal_those_of_single_bits() {
        for num_bits in [1, 7, 8, 9, 33, 70] {
            for rows in [0, 1, 63, 64, 65, 200] {
                let bit = |row: usize, p: usize| u8::from((row * row + 3 * p * row + p) % 7 < 3);
                let mut packed = vec![0; rows * row_bytes(num_bits)];
                for (row, packed) in packed.chunks_exact_mut(row_bytes(num_bits)).enumerate() {
                    let bits: Vec<u8> = (0..num_bits).map(|p| bit(row, p)).collect();
                    pack_row(&bits, packed).unwrap();
                }
                let columns = BitColumns::of_rows(&packed, num_bits);
                for a in 0..num_bits {
                    let wanted = (0..rows).filter(|&row| bit(row, a) == 1).count();
                    assert_eq!(columns.count(a), wanted as u64);
                    for b in 0..num_bits {
                        let both = |&row: &usize| bit(row, a) == 1 && bit(row, b) == 1;
                        let wanted = (0..rows).filter(both).count();
                        assert_eq!(columns.count_both(a, b), wanted as u64);
                    }
                }
            }
        }
    }
}
