//! Packed rows seen by column: how often each bit is set, and each two of them together.

use alloc::vec;
use alloc::vec::Vec;

use crate::layout::row_bytes;

/// The columns of packed rows: for each bit the rows in which it is set, as a set of bits.
#[derive(Debug, Clone)]
pub struct Columns {
    /// Words of a column.
    words: usize,
    /// `[num_bits][words]`; row `r` is bit `r % 64` of word `r / 64`.
    sets: Vec<u64>,
}

impl Columns {
    /// Of packed rows of `num_bits` bits, one after the other.
    ///
    /// # Panics
    ///
    /// Where `num_bits` is 0, or the bytes are no whole number of rows.
    pub fn of_rows(packed: &[u8], num_bits: usize) -> Self {
        assert!(num_bits > 0, "Columns: num_bits is 0, expected at least 1");
        let bytes = row_bytes(num_bits);
        assert!(
            packed.len().is_multiple_of(bytes),
            "Columns: {} bytes, expected a multiple of {bytes}",
            packed.len()
        );
        let words = (packed.len() / bytes).div_ceil(64);
        let mut sets = vec![0; num_bits * words];
        for (row, packed) in packed.chunks_exact(bytes).enumerate() {
            for (bit, set) in sets.chunks_exact_mut(words).enumerate() {
                let value = u64::from((packed[bit / 8] >> (bit % 8)) & 1);
                set[row / 64] |= value << (row % 64);
            }
        }
        Self { words, sets }
    }

    /// In how many rows the bit is set.
    ///
    /// # Panics
    ///
    /// Where there is no such bit.
    pub fn count(&self, bit: usize) -> u64 {
        let set = self.set(bit).iter();
        set.map(|word| u64::from(word.count_ones())).sum()
    }

    /// In how many rows both bits are set.
    ///
    /// # Panics
    ///
    /// Where there is no such bit.
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
    fn counts_are_those_of_the_bits_one_by_one() {
        for num_bits in [1, 7, 8, 9, 33, 70] {
            for rows in [0, 1, 63, 64, 65, 200] {
                let bit = |row: usize, p: usize| u8::from((row * row + 3 * p * row + p) % 7 < 3);
                let mut packed = vec![0; rows * row_bytes(num_bits)];
                for (row, packed) in packed.chunks_exact_mut(row_bytes(num_bits)).enumerate() {
                    let bits: Vec<u8> = (0..num_bits).map(|p| bit(row, p)).collect();
                    pack_row(&bits, packed).unwrap();
                }
                let columns = Columns::of_rows(&packed, num_bits);
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
