//! How codes are used: each bit's mean, how bits go together, and how many codes there are.

mod sketch;

use alloc::vec;
use alloc::vec::Vec;

use bitcodes_kernels::columns::Columns;

use self::sketch::CodeSketch;
pub use self::sketch::Estimate;
use crate::{CodesError, PackedCodes};

/// Statistics of codes, gathered batch by batch in memory that does not grow with their number.
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
///
/// The counts of single bits and of pairs take `4 num_bits (num_bits + 1)` bytes, the codes at most
/// some four megabytes: see [`codes_used`](Self::codes_used).
#[derive(Debug, Clone)]
pub struct BitStatistics {
    num_bits: usize,
    vectors: u64,
    /// Vectors in which a bit is 1.
    ones: Vec<u64>,
    /// Vectors in which bits `a` and `b < a` both are, at `a (a - 1) / 2 + b`.
    both: Vec<u64>,
    codes: CodeSketch,
}

impl BitStatistics {
    /// No codes yet, of `num_bits` bits.
    pub fn new(num_bits: usize) -> Self {
        Self {
            num_bits,
            vectors: 0,
            ones: vec![0; num_bits],
            both: vec![0; num_bits * num_bits.saturating_sub(1) / 2],
            codes: CodeSketch::default(),
        }
    }

    /// Adds codes.
    ///
    /// # Errors
    ///
    /// [`CodesError::Mismatch`] for codes of another number of bits.
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
        let columns = Columns::of_rows(codes.as_bytes(), self.num_bits);
        for (bit, ones) in self.ones.iter_mut().enumerate() {
            *ones += columns.count(bit);
        }
        let pairs = (0..self.num_bits).flat_map(|a| (0..a).map(move |b| (a, b)));
        for (both, (a, b)) in self.both.iter_mut().zip(pairs) {
            *both += columns.count_both(a, b);
        }
        for code in codes.rows() {
            self.codes.add(code);
        }
        Ok(())
    }

    /// Adds what other statistics have gathered, as if their codes had been added here.
    ///
    /// # Panics
    ///
    /// Where they are of another number of bits.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(
            self.num_bits, other.num_bits,
            "BitStatistics: bits of one (left), of the other (right)"
        );
        self.vectors += other.vectors;
        let add = |(here, there): (&mut u64, &u64)| *here += there;
        self.ones.iter_mut().zip(&other.ones).for_each(add);
        self.both.iter_mut().zip(&other.both).for_each(add);
        self.codes.merge(&other.codes);
    }

    /// Number of codes added.
    pub fn vectors(&self) -> u64 {
        self.vectors
    }

    /// The mean of each bit, 0 to 1; NaN where there were no codes.
    pub fn means(&self) -> Vec<f64> {
        let mean = |&ones: &u64| ones as f64 / self.vectors as f64;
        self.ones.iter().map(mean).collect()
    }

    /// The entropy of each bit in bits: 1 where it is fair, 0 where it never changes; NaN where
    /// there were no codes.
    pub fn entropies(&self) -> Vec<f64> {
        let entropy = |&mean: &f64| surprise(mean) + surprise(1.0 - mean);
        self.means().iter().map(entropy).collect()
    }

    /// The mean of [`entropies`](Self::entropies).
    pub fn mean_entropy(&self) -> f64 {
        self.entropies().iter().sum::<f64>() / self.num_bits as f64
    }

    /// How two bits go together, as the correlation coefficient of their values: 1 where they are
    /// always equal, -1 where they never are, 0 where one tells nothing of the other, or never
    /// changes.
    ///
    /// # Panics
    ///
    /// Where there is no such bit.
    pub fn correlation(&self, a: usize, b: usize) -> f64 {
        let n = self.vectors as f64;
        let [ones_a, ones_b] = [a, b].map(|bit| self.ones[bit] as f64);
        let (high, low) = (a.max(b), a.min(b));
        let both = match high == low {
            true => ones_a,
            false => self.both[high * (high - 1) / 2 + low] as f64,
        };
        let spread = ones_a * (n - ones_a) * ones_b * (n - ones_b);
        match spread > 0.0 {
            true => (n * both - ones_a * ones_b) / libm::sqrt(spread),
            false => 0.0,
        }
    }

    /// The mean magnitude of the [`correlation`](Self::correlation) over all pairs of bits; 0 for
    /// a single bit.
    pub fn mean_correlation(&self) -> f64 {
        let pairs = (0..self.num_bits).flat_map(|a| (0..a).map(move |b| (a, b)));
        let sum: f64 = pairs.map(|(a, b)| self.correlation(a, b).abs()).sum();
        sum / self.both.len().max(1) as f64
    }

    /// How many different codes there were.
    ///
    /// Exact up to 65,536 of them, and so for any number of codes of up to 16 bits. Beyond, those
    /// 65,536 are kept whose hashes are the smallest, a uniform sample of the different codes, and
    /// their number is estimated from the largest of the hashes
    /// ([Bar-Yossef et al. 2002](https://doi.org/10.1007/3-540-45726-7_1)), with a standard error
    /// of 0.4 %.
    pub fn codes_used(&self) -> Estimate {
        self.codes.distinct()
    }

    /// The perplexity of the codes, `2^entropy`: the number of codes that, equally often used,
    /// would be as hard to guess; NaN where there were none.
    ///
    /// Exact where [`codes_used`](Self::codes_used) is. Beyond, each code of the sample stands for
    /// as many as the sample leaves out: unbiased in the entropy, and the more uncertain the more
    /// single codes make up of the whole.
    pub fn perplexity(&self) -> Estimate {
        let Estimate {
            value: entropy,
            exact,
        } = self.codes.entropy_bits(self.vectors);
        // No estimate goes beyond what so many vectors and so many bits allow.
        let most = libm::log2(self.vectors as f64).min(self.num_bits as f64);
        let entropy = if entropy > most { most } else { entropy };
        Estimate {
            value: libm::exp2(entropy),
            exact,
        }
    }
}

/// `-p log2 p`, 0 for 0.
fn surprise(p: f64) -> f64 {
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
    fn hand_computed() {
        // Bit 1 is bit 0, bit 2 its opposite but once, bit 3 never changes.
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
    fn merged_statistics_are_those_of_all_codes() {
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
    fn no_codes_have_no_means() {
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
