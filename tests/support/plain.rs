//! The specification of independent bits in plain loops over f64. Each value carries a bound on the
//! error of its computation in f32.
//!
//! Each operation adds half a unit in the last place of its result to the errors of its operands. A
//! sum of n terms adds n - 1 half units in the last place of the sum of the terms' magnitudes. This
//! bound holds for any order of summation ([Higham 2002](https://doi.org/10.1137/1.9780898718027),
//! section 4.2). Subnormal numbers may be replaced by zero, as GPUs do.

use std::ops::{Add, Mul, Sub};

use crate::golden::Golden;

/// Factor of all bounds. Vulkan lets a device round toward zero, whose error is twice that of
/// rounding to nearest.
pub const SLACK: f64 = 2.0;

const HALF_ULP: f64 = f32::EPSILON as f64 / 2.0;

/// Largest magnitude of a number that may be replaced by zero.
const TINY: f64 = f32::MIN_POSITIVE as f64;

/// A value and a bound on the error of its computation in f32.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bounded {
    /// The value.
    pub value: f64,
    /// Largest error of the value in f32.
    pub error: f64,
}

impl Bounded {
    /// Makes a value that f32 holds exactly.
    pub fn exact(value: f32) -> Self {
        let value = f64::from(value);
        let flushed = value.abs() < TINY;
        Self {
            value,
            error: if flushed { value.abs() } else { 0.0 },
        }
    }

    fn rounded(value: f64, error: f64) -> Self {
        Self {
            value,
            error: error + (HALF_ULP * value.abs()).max(value.abs().min(TINY)),
        }
    }

    /// Returns the sum, with a bound for any order of summation.
    pub fn sum(terms: impl IntoIterator<Item = Self>) -> Self {
        let (mut value, mut error, mut magnitude, mut count) = (0.0, 0.0, 0.0, 0u32);
        for term in terms {
            value += term.value;
            error += term.error;
            magnitude += term.value.abs() + term.error;
            count += 1;
        }
        let additions = f64::from(count.saturating_sub(1));
        Self {
            value,
            error: error + (additions * HALF_ULP * magnitude).max(magnitude.min(additions * TINY)),
        }
    }

    /// Returns `1 / (1 + exp(-x))`, with the error that WGSL allows for `exp`: 3 + 2|x| units in
    /// the last place.
    pub fn sigmoid(self) -> Self {
        let value = 1.0 / (1.0 + (-self.value).exp());
        let slope = value * (1.0 - value);
        let of_exp = slope * (3.0 + 2.0 * self.value.abs()) * 2.0 * HALF_ULP;
        Self::rounded(value, slope * self.error + of_exp + 2.0 * HALF_ULP * value)
    }
}

impl Add for Bounded {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::rounded(self.value + other.value, self.error + other.error)
    }
}

impl Sub for Bounded {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self::rounded(self.value - other.value, self.error + other.error)
    }
}

impl Mul for Bounded {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self::rounded(
            self.value * other.value,
            self.value.abs() * other.error
                + other.value.abs() * self.error
                + self.error * other.error,
        )
    }
}

/// A quantizer with independent bits, computed by the formulas of its documentation.
pub struct Plain {
    features: usize,
    temperature: f64,
    /// The vector of each pair for a 0, `[num_bits][features]`.
    zeros: Vec<Vec<Bounded>>,
    /// The difference of each pair, `[num_bits][features]`.
    delta: Vec<Vec<Bounded>>,
}

/// Results of a training step on the loss `mean((y - target)^2)`.
pub struct PlainStep {
    /// The bits, `[rows * num_bits]`.
    pub bits: Vec<u8>,
    /// The quantized vectors, `[rows * features]`.
    pub quantized: Vec<Bounded>,
    /// The gradient of `x`, `[rows * features]`.
    pub grad_x: Vec<Bounded>,
    /// The gradient of the codebook, `[2 * num_bits * features]`.
    pub grad_codebook: Vec<Bounded>,
}

impl Plain {
    /// Makes the quantizer of a golden file.
    pub fn of(golden: &Golden) -> Self {
        Self::new(
            &golden.floats("codebook"),
            golden.features,
            golden.temperature,
        )
    }

    /// Makes the quantizer with the codebook `[2 * num_bits * features]`.
    pub fn new(codebook: &[f32], features: usize, temperature: f64) -> Self {
        let exact = |row: &[f32]| row.iter().map(|&c| Bounded::exact(c)).collect();
        let rows: Vec<Vec<Bounded>> = codebook.chunks(features).map(exact).collect();
        let minus = |pair: &[Vec<Bounded>]| {
            let both = pair[1].iter().zip(&pair[0]);
            both.map(|(&one, &zero)| one - zero).collect()
        };
        Self {
            features,
            temperature,
            zeros: rows.chunks(2).map(|pair| pair[0].clone()).collect(),
            delta: rows.chunks(2).map(minus).collect(),
        }
    }

    /// Returns the logits, `[rows * num_bits]`.
    pub fn logits(&self, x: &[f32]) -> Vec<Bounded> {
        let logit = |row: &[f32], delta: &[Bounded]| {
            Bounded::sum(row.iter().zip(delta).map(|(&x, &d)| Bounded::exact(x) * d))
        };
        x.chunks(self.features)
            .flat_map(|row| self.delta.iter().map(move |delta| logit(row, delta)))
            .collect()
    }

    /// Returns the bits, `[rows * num_bits]`.
    pub fn bits(logits: &[Bounded]) -> Vec<u8> {
        logits
            .iter()
            .map(|logit| u8::from(logit.value > 0.0))
            .collect()
    }

    /// Returns the decoded vectors, `[rows * features]`.
    pub fn decode(&self, bits: &[u8]) -> Vec<Bounded> {
        let feature = |row: &[u8], f: usize| {
            let zeros = self.zeros.iter().map(|zero| zero[f]);
            let ones = self.delta.iter().zip(row).filter(|&(_, &bit)| bit == 1);
            Bounded::sum(zeros.chain(ones.map(|(delta, _)| delta[f])))
        };
        bits.chunks(self.delta.len())
            .flat_map(|row| (0..self.features).map(move |f| feature(row, f)))
            .collect()
    }

    /// Computes a training step with the noise given, forward and backward.
    pub fn step(&self, x: &[f32], noise: &[f32], target: &[f32]) -> PlainStep {
        let (num_bits, features) = (self.delta.len(), self.features);
        let rows = x.len() / features;
        let perturbed: Vec<Bounded> = self
            .logits(x)
            .iter()
            .zip(noise)
            .map(|(&logit, &noise)| logit + Bounded::exact(noise))
            .collect();
        let bits = Self::bits(&perturbed);
        let quantized = self.decode(&bits);

        let scale = Bounded::exact(2.0 / x.len() as f32);
        let grad_y: Vec<Bounded> = quantized
            .iter()
            .zip(target)
            .map(|(&y, &t)| (y - Bounded::exact(t)) * scale)
            .collect();
        let inverse = Bounded::exact(1.0 / self.temperature as f32);
        let grad_logit = |row: usize, p: usize| {
            let grad_y = &grad_y[row * features..][..features];
            let both = grad_y.iter().zip(&self.delta[p]);
            let grad_bit = Bounded::sum(both.map(|(&g, &d)| g * d));
            let soft = (perturbed[row * num_bits + p] * inverse).sigmoid();
            grad_bit * soft * (Bounded::exact(1.0) - soft) * inverse
        };
        let grad_logits: Vec<Bounded> = (0..rows * num_bits)
            .map(|at| grad_logit(at / num_bits, at % num_bits))
            .collect();

        let grad_x = |at: usize| {
            let row = &grad_logits[at / features * num_bits..][..num_bits];
            let both = row.iter().zip(&self.delta);
            Bounded::sum(both.map(|(&g, delta)| g * delta[at % features]))
        };
        // The output `y` contains the first vector of each pair and, if the bit is 1, the
        // difference. The logit contains the difference.
        let grad_codebook = |at: usize| {
            let (code, f) = (at / features, at % features);
            let (p, is_first) = (code / 2, code % 2 == 0);
            let sign = Bounded::exact(if is_first { -1.0 } else { 1.0 });
            Bounded::sum((0..rows).flat_map(|row| {
                let grad_y = grad_y[row * features + f];
                let bit = Bounded::exact(bits[row * num_bits + p].into());
                let x = Bounded::exact(x[row * features + f]);
                let of_delta = [bit * grad_y, grad_logits[row * num_bits + p] * x];
                let of_first = is_first.then_some(grad_y);
                of_delta.map(|term| sign * term).into_iter().chain(of_first)
            }))
        };
        PlainStep {
            grad_x: (0..x.len()).map(grad_x).collect(),
            grad_codebook: (0..2 * num_bits * features).map(grad_codebook).collect(),
            bits,
            quantized,
        }
    }
}

/// Panics unless every value lies within its bound.
pub fn assert_within(what: &str, found: &[f32], wanted: &[Bounded]) {
    assert_eq!(found.len(), wanted.len(), "{what}: number of values");
    for (index, (&found, wanted)) in found.iter().zip(wanted).enumerate() {
        let off = (f64::from(found) - wanted.value).abs();
        assert!(
            off <= SLACK * wanted.error,
            "{what}[{index}] is {found}, expected {} within {:e}",
            wanted.value,
            SLACK * wanted.error
        );
    }
}
