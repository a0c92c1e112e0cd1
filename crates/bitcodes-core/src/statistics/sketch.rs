//! Counts of the different codes, in bounded memory.
//!
//! The sketch keeps the codes with the smallest hashes, each with its count. In a full sketch the
//! largest hash can only fall, so a code that is kept at the end has been kept since its first
//! occurrence: its count is exact.
//!
//! Let `u` be the largest hash kept, as a fraction of the largest possible hash. Each of the
//! remaining codes was kept with probability `u`. So the sum over the kept codes (without the one
//! of the largest hash), divided by `u`, estimates the sum over all codes.

use alloc::collections::BTreeMap;

use siphasher::sip::SipHasher13;

use super::entropy_term;

/// A number that is either counted or estimated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// True if the number was counted, false if it is an estimate.
    pub exact: bool,
}

/// The codes with the smallest hashes, and how often each occurred.
#[derive(Debug, Clone, Default)]
pub(super) struct CodeSketch {
    /// Number of occurrences of a code, by the code's hash.
    counts: BTreeMap<u64, u64>,
    /// True if a code was left out.
    full: bool,
}

impl CodeSketch {
    /// The largest number of codes kept: all codes of 16 bits, and a standard error of
    /// `1 / sqrt(2^16)` for longer ones.
    const CAPACITY: usize = 1 << 16;

    /// Adds one occurrence of a code.
    pub fn add(&mut self, code: &[u8]) {
        self.add_hash(SipHasher13::new().hash(code), 1);
    }

    /// Adds the counts of another sketch.
    ///
    /// A code whose hash is among the smallest of all codes is also among the smallest of each
    /// sketch in which it occurred, so its count stays exact.
    pub fn merge(&mut self, other: &Self) {
        for (&hash, &times) in &other.counts {
            self.add_hash(hash, times);
        }
        self.full |= other.full;
        // The other sketch, if full, has lost its codes above its largest hash: their counts here
        // are not complete.
        if let (true, Some((&largest, _))) = (other.full, other.counts.last_key_value()) {
            self.counts.split_off(&(largest.saturating_add(1)));
        }
    }

    fn add_hash(&mut self, hash: u64, times: u64) {
        if let Some(count) = self.counts.get_mut(&hash) {
            *count += times;
            return;
        }
        if self.counts.len() < Self::CAPACITY {
            // A full sketch may have left this code out before, so it is not taken back.
            let above = |(&largest, _): (&u64, &u64)| self.full && hash > largest;
            if !self.counts.last_key_value().is_some_and(above) {
                self.counts.insert(hash, times);
            }
            return;
        }
        self.full = true;
        let below = |(&largest, _): (&u64, &u64)| hash < largest;
        if self.counts.last_key_value().is_some_and(below) {
            self.counts.pop_last();
            self.counts.insert(hash, times);
        }
    }

    /// Returns the number of different codes.
    pub fn distinct(&self) -> Estimate {
        let kept = self.counts.len();
        match self.bound() {
            None => Estimate {
                value: kept as f64,
                exact: true,
            },
            Some(bound) => Estimate {
                value: (kept - 1) as f64 / bound,
                exact: false,
            },
        }
    }

    /// Computes the entropy of the codes in bits; `vectors` is the number of all occurrences.
    pub fn entropy_bits(&self, vectors: u64) -> Estimate {
        let term = |&count: &u64| entropy_term(count as f64 / vectors as f64);
        if vectors == 0 {
            return Estimate {
                value: f64::NAN,
                exact: true,
            };
        }
        match self.bound() {
            None => Estimate {
                value: self.counts.values().map(term).sum(),
                exact: true,
            },
            Some(bound) => Estimate {
                value: self.counts.values().rev().skip(1).map(term).sum::<f64>() / bound,
                exact: false,
            },
        }
    }

    /// Returns the largest hash kept as a fraction of the largest possible hash; `None` while all
    /// codes are kept.
    fn bound(&self) -> Option<f64> {
        let (&largest, _) = self.counts.last_key_value()?;
        self.full.then(|| largest as f64 / u64::MAX as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn above_its_capacity_a_sketch_estimates_within_four_standard_errors() {
        // A million codes, of which every tenth occurs nine times and the others once.
        const CODES: u64 = 1_000_000;
        let mut sketch = CodeSketch::default();
        let mut parts = [CodeSketch::default(), CodeSketch::default()];
        for code in 0..CODES {
            let times = if code.is_multiple_of(10) { 9 } else { 1 };
            for time in 0..times {
                sketch.add(&code.to_le_bytes());
                // The first part has all codes, the second part every tenth code only.
                let second = code.is_multiple_of(10) && time > 3;
                parts[usize::from(second)].add(&code.to_le_bytes());
            }
        }
        for [mut one, other] in [parts.clone(), [parts[1].clone(), parts[0].clone()]] {
            one.merge(&other);
            assert_eq!(one.counts, sketch.counts);
        }
        assert_eq!(sketch.counts.len(), CodeSketch::CAPACITY);
        let relative = 1.0 / libm::sqrt(CodeSketch::CAPACITY as f64);
        let found = sketch.distinct();
        assert!(!found.exact);
        assert!(
            (found.value / CODES as f64 - 1.0).abs() < 4.0 * relative,
            "{found:?}"
        );

        // In units of the smaller term, 0.9 of the entropy's terms are about 1 and 0.1 about 9. So
        // their coefficient of variation is below 2; the number of codes has an error as well.
        let vectors = CODES / 10 * 18;
        let (rare, often) = (1.0 / vectors as f64, 9.0 / vectors as f64);
        let wanted = CODES as f64 * (0.9 * entropy_term(rare) + 0.1 * entropy_term(often));
        let found = sketch.entropy_bits(vectors);
        assert!(
            (found.value / wanted - 1.0).abs() < 4.0 * 2.0 * relative,
            "{found:?}"
        );
    }
}
