//! Distances between packed codes.

/// Counts the bits in which two packed rows differ, their Hamming distance.
///
/// # Panics
///
/// Panics if the rows have different lengths.
pub fn hamming(a: &[u8], b: &[u8]) -> u32 {
    assert_eq!(
        a.len(),
        b.len(),
        "hamming: bytes of the first row (left), of the second (right)"
    );
    let (a_words, a_tail) = a.as_chunks::<8>();
    let (b_words, b_tail) = b.as_chunks::<8>();
    let differing =
        |a: &[u8; 8], b: &[u8; 8]| (u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b)).count_ones();
    let words = a_words.iter().zip(b_words);
    let tail = a_tail.iter().zip(b_tail);
    words.map(|(a, b)| differing(a, b)).sum::<u32>()
        + tail.map(|(a, b)| (a ^ b).count_ones()).sum::<u32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn counts_the_bits_that_differ_at_every_length() {
        for bytes in 0..=25usize {
            let a: Vec<u8> = (0..bytes).map(|i| (i * 37 + 11) as u8).collect();
            let b: Vec<u8> = (0..bytes).map(|i| (i * i + 5) as u8).collect();
            let bit = |row: &[u8], p: usize| (row[p / 8] >> (p % 8)) & 1;
            let wanted = (0..bytes * 8).filter(|&p| bit(&a, p) != bit(&b, p)).count();
            assert_eq!(hamming(&a, &b), wanted as u32);
            assert_eq!(hamming(&a, &a), 0);
        }
    }

    #[test]
    #[should_panic(expected = "bytes of the first row")]
    fn rows_of_different_lengths_panic() {
        hamming(&[1, 2], &[1]);
    }
}
