//! The codes that were seen and how often, in memory of a fixed size.
//!
//! Kept are the codes whose hashes are the smallest. A code that is in the sample at the end was
//! in it from its first occurrence on, as the bound only falls: its count is exact. With `u` the
//! largest hash kept, as a fraction of all hashes, each other code had the chance `u` of being
//! kept, so a sum over the kept ones divided by `u` estimates the sum over all.

use alloc::collections::BTreeMap;

use siphasher::sip::SipHasher13;

use super::surprise;

/// A number that is counted, or, where there was too much to count, estimated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Whether it was counted.
    pub exact: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct CodeSketch {
    /// How often a code was seen, by its hash.
    counts: BTreeMap<u64, u64>,
    /// Whether a code had to be left out.
    full: bool,
}

impl CodeSketch {
    /// All codes of 16 bits, and a standard error of 1 / sqrt(2^16) beyond.
    const CAPACITY: usize = 1 << 16;

    pub fn add(&mut self, code: &[u8]) {
        self.add_hash(SipHasher13::new().hash(code), 1);
    }

    /// A code among the smallest of all is among the smallest of each part in which it was seen.
    pub fn merge(&mut self, other: &Self) {
        for (&hash, &times) in &other.counts {
            self.add_hash(hash, times);
        }
        self.full |= other.full;
        // A part that is full has not kept what lies above its largest.
        if let (true, Some((&last, _))) = (other.full, other.counts.last_key_value()) {
            self.counts.split_off(&(last.saturating_add(1)));
        }
    }

    fn add_hash(&mut self, hash: u64, times: u64) {
        if let Some(count) = self.counts.get_mut(&hash) {
            *count += times;
            return;
        }
        if self.counts.len() < Self::CAPACITY {
            // One that had to leave does not come back.
            let above = |(&last, _): (&u64, &u64)| self.full && hash > last;
            if !self.counts.last_key_value().is_some_and(above) {
                self.counts.insert(hash, times);
            }
            return;
        }
        self.full = true;
        let below = |(&last, _): (&u64, &u64)| hash < last;
        if self.counts.last_key_value().is_some_and(below) {
            self.counts.pop_last();
            self.counts.insert(hash, times);
        }
    }

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

    /// The entropy of the codes in bits, `vectors` being all that were added.
    pub fn entropy_bits(&self, vectors: u64) -> Estimate {
        let share = |&count: &u64| surprise(count as f64 / vectors as f64);
        if vectors == 0 {
            return Estimate {
                value: f64::NAN,
                exact: true,
            };
        }
        match self.bound() {
            None => Estimate {
                value: self.counts.values().map(share).sum(),
                exact: true,
            },
            Some(bound) => Estimate {
                value: self.counts.values().rev().skip(1).map(share).sum::<f64>() / bound,
                exact: false,
            },
        }
    }

    /// The largest hash kept, as a fraction of all hashes; `None` while all codes are kept.
    fn bound(&self) -> Option<f64> {
        let (&last, _) = self.counts.last_key_value()?;
        self.full.then(|| last as f64 / u64::MAX as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_its_capacity_it_estimates_within_four_standard_errors() {
        // A million codes, each tenth of them nine times as often as the others.
        const CODES: u64 = 1_000_000;
        let mut sketch = CodeSketch::default();
        let mut parts = [CodeSketch::default(), CodeSketch::default()];
        for code in 0..CODES {
            let times = if code.is_multiple_of(10) { 9 } else { 1 };
            for time in 0..times {
                sketch.add(&code.to_le_bytes());
                // The first holds nearly all of the codes, the second a tenth, some of them in both.
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

        // The terms of the entropy spread as 0.9 of 1 and 0.1 of about 9: a coefficient of
        // variation below 2, on top of the error of the number of codes.
        let vectors = CODES / 10 * 18;
        let (rare, often) = (1.0 / vectors as f64, 9.0 / vectors as f64);
        let wanted = CODES as f64 * (0.9 * surprise(rare) + 0.1 * surprise(often));
        let found = sketch.entropy_bits(vectors);
        assert!(
            (found.value / wanted - 1.0).abs() < 4.0 * 2.0 * relative,
            "{found:?}"
        );
    }
}
