//! Statistics of codes: the mean of each bit, the correlation of bits, the number of codes.

mod sketch;

use alloc::vec;
use alloc::vec::Vec;

use bitcodes_kernels::columns::BitColumns;

use self::sketch::CodeSketch;
pub use self::sketch::Estimate;
use crate::{CodesError, PackedCodes};

/// Statistics of codes, gathered batch by batch in bounded memory.
///
/// The counts of bits and of pairs of bits take `4 num_bits (num_bits + 1)` bytes. The counts of
/// codes take at most about four megabytes; see [`codes_used`](Self::codes_used).
///
/// ```
/// use bitcodes_core::{BitStatistics, PackedCodes};
///
/// let mut statistics = BitStatistics::new(3);
/// statistics.update(&PackedCodes::from_bytes([4], 3, vec![0b000, 0b011, 0b000, 0b111])?)?;
/// assert_eq!(statistics.means(), [0.5, 0.5, 0.25]);
/// assert_eq!(statistics.correlation(0, 1), 1.0);
/// assert_eq!(statistics.codes_used().value, 3.0);
/// assert_eq!(statistics.perplexity().value, 2f64.powf(1.5));
/// # Ok::<(), bitcodes_core::CodesError>(())
/// ```
#[derive(Debug, Clone)]
pub struct BitStatistics {
    num_bits: usize,
    /// Number of codes added.
    vectors: u64,
    /// Number of codes in which each bit is 1.
    ones: Vec<u64>,
    /// Number of codes in which bits `a` and `b < a` are both 1, at index `a (a - 1) / 2 + b`.
    both_ones: Vec<u64>,
    codes: CodeSketch,
}

impl BitStatistics {
    /// Makes empty statistics of codes of `num_bits` bits.
    pub fn new(num_bits: usize) -> Self {
        Self {
            num_bits,
            vectors: 0,
            ones: vec![0; num_bits],
            both_ones: vec![0; num_bits * num_bits.saturating_sub(1) / 2],
            codes: CodeSketch::default(),
        }
    }

    /// Adds a batch of codes.
    ///
    /// # Errors
    ///
    /// Returns [`CodesError::Mismatch`] if the codes have another number of bits.
    pub fn update(&mut self, codes: &PackedCodes) -> Result<(), CodesError> {
        if codes.num_bits() != self.num_bits {
            return Err(CodesError::Mismatch {
                found: codes.dims().to_vec(),
                found_bits: codes.num_bits(),
                wanted: codes.dims().to_vec(),
                wanted_bits: self.num_bits,
            });
        }
        self.vectors += codes.len() as u64;
        let columns = BitColumns::of_rows(codes.as_bytes(), self.num_bits);
        for (bit, ones) in self.ones.iter_mut().enumerate() {
            *ones += columns.count(bit);
        }
        let pairs = (0..self.num_bits).flat_map(|a| (0..a).map(move |b| (a, b)));
        for (both_ones, (a, b)) in self.both_ones.iter_mut().zip(pairs) {
            *both_ones += columns.count_both(a, b);
        }
        for code in codes.rows() {
            self.codes.add(code);
        }
        Ok(())
    }

    /// Adds the counts of other statistics.
    ///
    /// The result is that of adding all their codes to these statistics.
    ///
    /// # Panics
    ///
    /// Panics if the numbers of bits differ.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(
            self.num_bits, other.num_bits,
            "BitStatistics: num_bits (left) differs from that of the other statistics (right)"
        );
        self.vectors += other.vectors;
        let add = |(here, there): (&mut u64, &u64)| *here += there;
        self.ones.iter_mut().zip(&other.ones).for_each(add);
        self.both_ones
            .iter_mut()
            .zip(&other.both_ones)
            .for_each(add);
        self.codes.merge(&other.codes);
    }

    /// Returns the number of codes added.
    pub fn vectors(&self) -> u64 {
        self.vectors
    }

    /// Computes the mean of each bit, 0 to 1; NaN if there were no codes.
    pub fn means(&self) -> Vec<f64> {
        let mean = |&ones: &u64| ones as f64 / self.vectors as f64;
        self.ones.iter().map(mean).collect()
    }

    /// Computes the entropy of each bit, in bits; NaN if there were no codes.
    ///
    /// A fair bit has an entropy of 1, and a bit that never changes one of 0.
    pub fn entropies(&self) -> Vec<f64> {
        let entropy = |&mean: &f64| entropy_term(mean) + entropy_term(1.0 - mean);
        self.means().iter().map(entropy).collect()
    }

    /// Computes the mean of the [`entropies`](Self::entropies).
    pub fn mean_entropy(&self) -> f64 {
        self.entropies().iter().sum::<f64>() / self.num_bits as f64
    }

    /// Computes the correlation coefficient of two bits.
    ///
    /// It is 1 for bits that are always equal, -1 for bits that are never equal, and 0 for
    /// independent bits. It is also 0 if one of the bits never changes.
    ///
    /// # Panics
    ///
    /// Panics if `a` or `b` is not below the number of bits.
    pub fn correlation(&self, a: usize, b: usize) -> f64 {
        let n = self.vectors as f64;
        let [ones_a, ones_b] = [a, b].map(|bit| self.ones[bit] as f64);
        let (high, low) = (a.max(b), a.min(b));
        let both_ones = match high == low {
            true => ones_a,
            false => self.both_ones[high * (high - 1) / 2 + low] as f64,
        };
        // The product of the two variances, times n^4.
        let variances = ones_a * (n - ones_a) * ones_b * (n - ones_b);
        match variances > 0.0 {
            true => (n * both_ones - ones_a * ones_b) / libm::sqrt(variances),
            false => 0.0,
        }
    }

    /// Computes the mean magnitude of the [`correlation`](Self::correlation) over all pairs of
    /// bits; 0 for a single bit.
    pub fn mean_correlation(&self) -> f64 {
        let pairs = (0..self.num_bits).flat_map(|a| (0..a).map(move |b| (a, b)));
        let sum: f64 = pairs.map(|(a, b)| self.correlation(a, b).abs()).sum();
        sum / self.both_ones.len().max(1) as f64
    }

    /// Returns the number of different codes.
    ///
    /// The number is exact up to 65,536 different codes, so it is exact for all codes of up to 16
    /// bits. Above that, only the 65,536 codes with the smallest hashes are kept, and the number of
    /// codes is estimated from the largest of these hashes
    /// ([Bar-Yossef et al. 2002](https://doi.org/10.1007/3-540-45726-7_1)), with a standard error
    /// of 0.4 %.
    pub fn codes_used(&self) -> Estimate {
        self.codes.distinct()
    }

    /// Computes the perplexity of the codes, `2^entropy`; NaN if there were no codes.
    ///
    /// The perplexity is the number of codes that, all used equally often, would have the same
    /// entropy. It is exact if [`codes_used`](Self::codes_used) is exact. Otherwise the entropy is
    /// estimated from the codes that are kept, a uniform choice of the different codes. That
    /// estimate has no bias; its error is large if a few codes make up much of the whole.
    pub fn perplexity(&self) -> Estimate {
        let Estimate {
            value: entropy,
            exact,
        } = self.codes.entropy_bits(self.vectors);
        // The entropy is at most log2 of the number of vectors, and at most the number of bits.
        // A comparison, as `f64::min` would hide a NaN.
        let most = libm::log2(self.vectors as f64).min(self.num_bits as f64);
        let entropy = if entropy > most { most } else { entropy };
        Estimate {
            value: libm::exp2(entropy),
            exact,
        }
    }
}

/// Computes `-p log2 p`, a term of the entropy; 0 for `p = 0`.
fn entropy_term(p: f64) -> f64 {
    match p == 0.0 {
        true => 0.0,
        false => -p * libm::log2(p),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(bits: &[&[u8]]) -> PackedCodes {
        let pack = |row: &&[u8]| {
            let mut bytes = vec![0; bitcodes_kernels::layout::row_bytes(row.len())];
            bitcodes_kernels::layout::pack_row(row, &mut bytes).unwrap();
            bytes
        };
        let bytes = bits.iter().flat_map(pack).collect();
        PackedCodes::from_bytes([bits.len()], bits[0].len(), bytes).unwrap()
    }

    #[test]
    fn statistics_of_four_codes_are_those_computed_by_hand() {
        // Bit 1 equals bit 0, bit 2 is its opposite in all codes but one, bit 3 never changes.
        let mut statistics = BitStatistics::new(4);
        statistics
            .update(&packed(&[&[0, 0, 1, 0], &[0, 0, 1, 0]]))
            .unwrap();
        statistics
            .update(&packed(&[&[1, 1, 0, 0], &[1, 1, 1, 0]]))
            .unwrap();
        assert_eq!(statistics.vectors(), 4);
        assert_eq!(statistics.means(), [0.5, 0.5, 0.75, 0.0]);
        let entropies = statistics.entropies();
        assert_eq!(entropies[..2], [1.0, 1.0]);
        assert!((entropies[2] - 0.811_278_124_459_132_8).abs() < 1e-12);
        assert_eq!(entropies[3], 0.0);
        assert!((statistics.mean_entropy() - entropies.iter().sum::<f64>() / 4.0).abs() < 1e-15);
        assert_eq!(statistics.correlation(0, 1), 1.0);
        assert_eq!(statistics.correlation(1, 1), 1.0);
        // Covariance 1/4 - 1/2 * 3/4 = -1/8, deviations 1/2 and sqrt(3)/4.
        let wanted = -1.0 / libm::sqrt(3.0);
        assert!((statistics.correlation(0, 2) - wanted).abs() < 1e-12);
        assert_eq!(statistics.correlation(2, 0), statistics.correlation(0, 2));
        assert_eq!(statistics.correlation(0, 3), 0.0);
        let mean = (1.0 - 2.0 * wanted) / 6.0;
        assert!((statistics.mean_correlation() - mean).abs() < 1e-12);
        let exact = |value| Estimate { value, exact: true };
        assert_eq!(statistics.codes_used(), exact(3.0));
        assert_eq!(statistics.perplexity(), exact(libm::exp2(1.5)));
    }

    #[test]
    fn merged_statistics_equal_the_statistics_of_all_codes() {
        let rows: [&[u8]; 5] = [&[0, 0, 1], &[1, 0, 1], &[1, 1, 0], &[0, 0, 1], &[1, 1, 1]];
        let of = |rows: &[&[u8]]| {
            let mut statistics = BitStatistics::new(3);
            statistics.update(&packed(rows)).unwrap();
            statistics
        };
        let (mut merged, all) = (of(&rows[..2]), of(&rows));
        merged.merge(&of(&rows[2..]));
        assert_eq!(merged.means(), all.means());
        assert_eq!(merged.correlation(0, 2), all.correlation(0, 2));
        assert_eq!(merged.codes_used(), all.codes_used());
        assert_eq!(merged.perplexity(), all.perplexity());
    }

    #[test]
    fn without_codes_means_and_perplexity_are_nan() {
        let mut statistics = BitStatistics::new(2);
        statistics
            .update(&PackedCodes::from_bytes([0], 2, vec![]).unwrap())
            .unwrap();
        assert_eq!(statistics.codes_used().value, 0.0);
        assert!(statistics.means().iter().all(|mean| mean.is_nan()));
        assert!(statistics.perplexity().value.is_nan());
        let other = PackedCodes::from_bytes([1], 3, vec![1]).unwrap();
        assert!(matches!(
            statistics.update(&other),
            Err(CodesError::Mismatch {
                found_bits: 3,
                wanted_bits: 2,
                ..
            })
        ));
    }
}
