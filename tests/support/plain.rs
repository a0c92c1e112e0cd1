//! The specification in plain loops over f64, each value with a bound on what f32 may be off by.
//!
//! The bound is a running error analysis ([Higham 2002](https://doi.org/10.1137/1.9780898718027),
//! section 3.3): each operation adds half a unit in the last place of its result to what its
//! operands bring along. It holds for the order of these loops and, up to the small factor
//! [`SLACK`], for any other.

use std::ops::{Add, Mul, Sub};

use crate::golden::Golden;

/// Factor for sums in another order, and for devices that round to a neighbour of the nearest.
pub const SLACK: f64 = 4.0;

const HALF_ULP: f64 = f32::EPSILON as f64 / 2.0;

/// A number and a bound on the error of its computation in f32.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bounded {
    /// The number.
    pub value: f64,
    /// How far f32 may be from it.
    pub error: f64,
}

impl Bounded {
    /// A number that f32 holds exactly.
    pub fn exact(value: f32) -> Self {
        Self {
            value: value.into(),
            error: 0.0,
        }
    }

    fn rounded(value: f64, error: f64) -> Self {
        Self {
            value,
            error: error + HALF_ULP * value.abs(),
        }
    }

    /// `1 / (1 + exp(-x))`, with the error that WGSL allows `exp`: 3 + 2|x| units in the last
    /// place.
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

/// What the quantizer computes, by the formulas of its documentation.
pub struct Plain {
    features: usize,
    temperature: Bounded,
    /// `[num_bits][features]`.
    delta: Vec<Vec<Bounded>>,
    /// `[features]`.
    base: Vec<Bounded>,
}

/// A training step on `mean((y - target)^2)`, with the noise given.
pub struct PlainStep {
    /// `[rows * num_bits]`.
    pub bits: Vec<u8>,
    /// `[rows * features]`.
    pub quantized: Vec<Bounded>,
    /// `[rows * features]`.
    pub grad_x: Vec<Bounded>,
    /// `[2 * num_bits * features]`.
    pub grad_codebook: Vec<Bounded>,
}

impl Plain {
    /// The quantizer of a golden file.
    pub fn of(golden: &Golden) -> Self {
        let codebook = golden.floats("codebook");
        let pairs = || {
            codebook
                .chunks(2 * golden.features)
                .map(|p| p.split_at(golden.features))
        };
        let mut base = vec![Bounded::default(); golden.features];
        for (zero, _) in pairs() {
            for (sum, &c) in base.iter_mut().zip(zero) {
                *sum = *sum + Bounded::exact(c);
            }
        }
        let difference = |(zero, one): (&[f32], &[f32])| {
            let both = one.iter().zip(zero);
            both.map(|(&one, &zero)| Bounded::exact(one) - Bounded::exact(zero))
                .collect()
        };
        Self {
            features: golden.features,
            temperature: Bounded::exact(golden.temperature as f32),
            delta: pairs().map(difference).collect(),
            base,
        }
    }

    /// `[rows * num_bits]`.
    pub fn logits(&self, x: &[f32]) -> Vec<Bounded> {
        let logit = |row: &[f32], delta: &[Bounded]| {
            let products = row.iter().zip(delta).map(|(&x, &d)| Bounded::exact(x) * d);
            products.fold(Bounded::default(), Add::add)
        };
        x.chunks(self.features)
            .flat_map(|row| self.delta.iter().map(move |delta| logit(row, delta)))
            .collect()
    }

    /// `[rows * num_bits]`.
    pub fn bits(logits: &[Bounded]) -> Vec<u8> {
        logits
            .iter()
            .map(|logit| u8::from(logit.value > 0.0))
            .collect()
    }

    /// `[rows * features]`.
    pub fn decode(&self, bits: &[u8]) -> Vec<Bounded> {
        let mut y = Vec::new();
        for row in bits.chunks(self.delta.len()) {
            let mut sum = self.base.clone();
            for (delta, _) in self.delta.iter().zip(row).filter(|&(_, &bit)| bit == 1) {
                for (sum, &d) in sum.iter_mut().zip(delta) {
                    *sum = *sum + d;
                }
            }
            y.extend(sum);
        }
        y
    }

    /// Forward and backward of training, by hand.
    pub fn step(&self, x: &[f32], noise: &[f32], target: &[f32]) -> PlainStep {
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
        let mut grad_x = vec![Bounded::default(); x.len()];
        let mut grad_codebook = vec![Bounded::default(); 2 * self.delta.len() * self.features];
        for (row, grad_y) in grad_y.chunks(self.features).enumerate() {
            for (p, delta) in self.delta.iter().enumerate() {
                let at = row * self.delta.len() + p;
                let grad_bit = grad_y
                    .iter()
                    .zip(delta)
                    .fold(Bounded::default(), |sum, (&g, &d)| sum + g * d);
                let inverse = Bounded::exact(1.0 / self.temperature.value as f32);
                let soft = (perturbed[at] * inverse).sigmoid();
                let slope = soft * (Bounded::exact(1.0) - soft);
                let grad_logit = grad_bit * slope * inverse;
                let bit = Bounded::exact(bits[at].into());
                for f in 0..self.features {
                    let x_at = row * self.features + f;
                    grad_x[x_at] = grad_x[x_at] + grad_logit * delta[f];
                    let grad_delta = bit * grad_y[f] + grad_logit * Bounded::exact(x[x_at]);
                    let [zero, one] = [0, 1].map(|bit| (2 * p + bit) * self.features + f);
                    grad_codebook[one] = grad_codebook[one] + grad_delta;
                    grad_codebook[zero] = grad_codebook[zero] + (grad_y[f] - grad_delta);
                }
            }
        }
        PlainStep {
            bits,
            quantized,
            grad_x,
            grad_codebook,
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
