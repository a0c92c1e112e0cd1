//! What the signs of the other bits take from the product of a bit, in tables.

use alloc::vec::Vec;
use core::ops::Range;

use aligned_vec::{AVec, avec};

/// Number of bits in the first word of a way.
const FIRST_WORD_BITS: usize = 32;

/// Number of bits in every other word. The rest of the word says which way the bits go on from.
pub const WORD_BITS: usize = 24;

/// Returns the number of words that hold `bits` bits.
pub fn words(bits: usize) -> usize {
    1 + bits.saturating_sub(FIRST_WORD_BITS).div_ceil(WORD_BITS)
}

/// Returns the bits of a word, of so many in all.
pub fn bits_of_word(word: usize, bits: usize) -> Range<usize> {
    match word {
        0 => 0..FIRST_WORD_BITS.min(bits),
        _ => {
            let first = FIRST_WORD_BITS + (word - 1) * WORD_BITS;
            first..bits.min(first + WORD_BITS)
        }
    }
}

/// Sums of a bit's products with other bits, for each choice of their signs.
///
/// The other bits are taken in groups of a few, so that one lookup replaces a multiplication for
/// each bit. A group has bits of one word.
#[derive(Debug, Clone)]
pub struct SignTables {
    bits: usize,
    /// Number of bits in a group; the last group of a word may have fewer.
    group_bits: usize,
    /// Number of groups.
    groups: usize,
    /// `[bits][1 + groups][1 << group_bits]`; the first table of a bit is that of the earlier bits
    /// of its own group.
    sums: AVec<f32>,
}

impl SignTables {
    /// Makes the tables of a Gram matrix `[bits, bits]`, with `group_bits` bits in a group.
    pub fn new(gram: &[f32], bits: usize, group_bits: usize) -> Self {
        let groups: Vec<Range<usize>> = (0..words(bits))
            .flat_map(|word| {
                let bits_of_word = bits_of_word(word, bits);
                let end = bits_of_word.end;
                let starts = bits_of_word.step_by(group_bits);
                starts.map(move |first| first..end.min(first + group_bits))
            })
            .collect();
        let size = 1 << group_bits;
        let mut sums = avec![0.0; bits * (1 + groups.len()) * size];
        let of_bits = sums.chunks_exact_mut((1 + groups.len()) * size);
        for ((bit, tables), row) in of_bits.enumerate().zip(gram.chunks_exact(bits)) {
            let (earlier, tables) = tables.split_at_mut(size);
            for (table, group) in tables.chunks_exact_mut(size).zip(&groups) {
                let others = group.clone().map(|other| match other == bit {
                    true => 0.0,
                    false => row[other],
                });
                fill(table, others);
                if group.contains(&bit) {
                    fill(earlier, row[group.start..bit].iter().copied());
                }
            }
        }
        Self {
            bits,
            group_bits,
            groups: groups.len(),
            sums,
        }
    }

    /// Returns the number of bits.
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// Returns the tables of a bit, one after the other: that of the earlier bits of its own group,
    /// and those of all groups. The bit itself counts for nothing.
    #[inline(always)]
    pub fn of_bit(&self, bit: usize) -> (&[f32], &[f32]) {
        let (all, size) = (1 + self.groups, 1 << self.group_bits);
        self.sums[bit * all * size..][..all * size].split_at(size)
    }
}

/// Returns the number of groups before a word.
#[inline(always)]
pub fn groups_before_word(word: usize, group_bits: usize) -> usize {
    match word {
        0 => 0,
        _ => FIRST_WORD_BITS.div_ceil(group_bits) + (word - 1) * WORD_BITS.div_ceil(group_bits),
    }
}

/// Fills a table with the sums of terms, each with the sign that a bit of the index gives it. Bits
/// past the last term make no difference.
fn fill(table: &mut [f32], terms: impl Iterator<Item = f32>) {
    table.fill(0.0);
    for (place, term) in terms.enumerate() {
        for (signs, sum) in table.iter_mut().enumerate() {
            match signs >> place & 1 {
                0 => *sum -= term,
                _ => *sum += term,
            }
        }
    }
}
