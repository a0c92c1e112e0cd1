//! The balance loss of joint bits, and its gradient.

use alloc::vec;
use alloc::vec::Vec;

use crate::codebook::Codebook;
use crate::joint::Normalization;
use crate::layout::row_bytes;
use crate::level::Level;
use crate::rows::Rows;

use crate::tasks::{Task, part_vectors_for, run_in_parts};

/// Vectors whose bits are decided, and how unbalanced each bit is.
#[derive(Debug, Clone, Copy)]
pub struct Balance<'a> {
    /// The vectors before normalization, `[vectors, features]`.
    pub x: Rows<'a>,
    /// The normalization of the vectors.
    pub normalization: Option<Normalization<'a>>,
    /// The codebook `[2 * num_bits, features]`.
    pub codebook: Codebook<'a>,
    /// The packed codes, `[vectors, row_bytes(num_bits)]`, in the order of
    /// [`layout`](crate::layout).
    pub packed: &'a [u8],
    /// The decoded vectors, `[vectors, features]`.
    pub quantized: &'a [f32],
    /// Whether a vector counts, `[vectors]`; `None` if all do.
    pub valid: Option<&'a [bool]>,
    /// How much more often a bit is 1 than it should be, `[num_bits]`; negative if it is 0 too often. A
    /// bit of excess 0 has no part in the loss.
    pub excess: &'a [f32],
    /// Weight of the loss.
    pub weight: f32,
}

/// A vector gets a gradient while its logit is this near to 0: it then lies between the two vectors of
/// the pair.
const NEAR: f32 = 1.0;

impl Balance<'_> {
    /// Computes a loss and its gradient by normalized vectors, `[vectors, features]`.
    ///
    /// With half the difference of a pair `h_p`, the sign `s_p` of a bit, and the residual `d = factor x
    /// - center - quantized`, the loss is
    ///
    /// ```text
    /// weight sum_v sum_p excess_p |h_p|^2 clamp(logit_p, -1, 1)     logit_p = d . h_p / |h_p|^2 + s_p
    /// ```
    ///
    /// over the vectors `v` that count. A logit that is not finite adds nothing.
    ///
    /// # Panics
    ///
    /// Panics if the shapes of the fields do not fit one another.
    // for each vector that counts, and each bit p of excess != 0:
    //     logit = d . h_p / |h_p|^2 + s_p
    //     loss += weight excess_p |h_p|^2 clamp(logit, -1, 1)
    //     if |logit| < 1:  gradient += weight excess_p h_p
    pub fn loss_and_gradient(self) -> (f64, Vec<f32>) {
        let (vectors, features) = (self.x.len(), self.x.features());
        let num_bits = self.codebook.num_bits();
        let zeros = vec![0.0; features];
        let Normalization { factor, center } = self.normalization.unwrap_or(Normalization {
            factor: 1.0,
            center: &zeros,
        });
        assert!(
            self.codebook.features() == features
                && center.len() == features
                && self.packed.len() == vectors * row_bytes(num_bits)
                && self.quantized.len() == vectors * features
                && self.valid.is_none_or(|valid| valid.len() == vectors)
                && self.excess.len() == num_bits,
            "Balance: {vectors} vectors of {features}, {} decoded elements, {} bytes of codes, a center of \
             {}, the excess of {} bits and a codebook of {num_bits} bits and {} features do not fit one \
             another, or another number of vectors counts",
            self.quantized.len(),
            self.packed.len(),
            center.len(),
            self.excess.len(),
            self.codebook.features(),
        );
        let pairs = self.codebook.differences().zip(self.excess).enumerate();
        let unbalanced = pairs.filter(|(_, (_, excess))| **excess != 0.0);
        let bits: Vec<Bit> = unbalanced
            .map(|(bit, (difference, excess))| Bit::new(bit, difference, self.weight * excess))
            .collect();
        let mut gradient = vec![0.0; vectors * features];
        if bits.is_empty() {
            return (0.0, gradient);
        }
        let loss = run_in_parts(Part {
            level: Level::best(),
            bits: &bits,
            factor,
            center,
            x: self.x,
            packed: self.packed,
            row_bytes: row_bytes(num_bits),
            quantized: self.quantized,
            valid: self.valid,
            gradient: &mut gradient,
        });
        (loss, gradient)
    }
}

/// A bit that has a part in the loss.
struct Bit {
    index: usize,
    half: Vec<f32>,
    square: f32,
    /// The weighted excess.
    weight: f32,
}

impl Bit {
    fn new(index: usize, difference: impl Iterator<Item = f32>, weight: f32) -> Self {
        let half: Vec<f32> = difference.map(|delta| 0.5 * delta).collect();
        let square = half.iter().map(|half| half * half).sum::<f32>();
        Self {
            index,
            half,
            square: square.max(f32::MIN_POSITIVE),
            weight,
        }
    }
}

struct Part<'a> {
    level: Level,
    bits: &'a [Bit],
    factor: f32,
    center: &'a [f32],
    x: Rows<'a>,
    packed: &'a [u8],
    row_bytes: usize,
    quantized: &'a [f32],
    valid: Option<&'a [bool]>,
    gradient: &'a mut [f32],
}

impl Task for Part<'_> {
    type Output = f64;

    fn vectors(&self) -> usize {
        self.x.len()
    }

    fn part_vectors(&self) -> usize {
        part_vectors_for(4 * self.bits.len() * self.center.len())
    }

    fn split_at(self, vectors: usize) -> (Self, Self) {
        let elements = vectors * self.center.len();
        let (x, x_after) = self.x.split_at(vectors);
        let (packed, packed_after) = self.packed.split_at(vectors * self.row_bytes);
        let (quantized, quantized_after) = self.quantized.split_at(elements);
        let (valid, valid_after) = self.valid.map(|valid| valid.split_at(vectors)).unzip();
        let (gradient, gradient_after) = self.gradient.split_at_mut(elements);
        let part = |x, packed, quantized, valid, gradient| Part {
            x,
            packed,
            quantized,
            valid,
            gradient,
            ..self
        };
        (
            part(x, packed, quantized, valid, gradient),
            part(
                x_after,
                packed_after,
                quantized_after,
                valid_after,
                gradient_after,
            ),
        )
    }

    fn run(self) -> f64 {
        let features = self.center.len();
        let mut residual = vec![0.0; features];
        let mut loss = 0.0;
        let codes = self.packed.chunks_exact(self.row_bytes);
        let rows = self.quantized.chunks_exact(features).zip(codes);
        let rows = rows.zip(self.gradient.chunks_exact_mut(features));
        self.level.run(
            #[inline(always)]
            || {
                for (vector, ((quantized, code), gradient)) in rows.enumerate() {
                    if self.valid.is_some_and(|valid| !valid[vector]) {
                        continue;
                    }
                    let each = self.x.row(vector).iter().zip(self.center).zip(quantized);
                    for (to, ((&x, &center), &y)) in residual.iter_mut().zip(each) {
                        *to = self.factor * x - center - y;
                    }
                    for bit in self.bits {
                        let sign = match code[bit.index / 8] >> (bit.index % 8) & 1 {
                            1 => 1.0,
                            _ => -1.0,
                        };
                        let logit = dot(&residual, &bit.half) / bit.square + sign;
                        if !logit.is_finite() {
                            continue;
                        }
                        loss += f64::from(bit.weight * bit.square * logit.clamp(-NEAR, NEAR));
                        if logit.abs() < NEAR {
                            for (to, half) in gradient.iter_mut().zip(&bit.half) {
                                *to += bit.weight * half;
                            }
                        }
                    }
                }
            },
        );
        loss
    }

    fn join(first: f64, second: f64) -> f64 {
        first + second
    }
}

/// Number of sums that are added apart, so that they fill a register.
const LANES: usize = 16;

#[inline(always)]
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let (left, left_rest) = left.as_chunks::<LANES>();
    let (right, right_rest) = right.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (left, right) in left.iter().zip(right) {
        for lane in 0..LANES {
            sums[lane] += left[lane] * right[lane];
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(l, r)| l * r).sum();
    // In halves, as a sum of the lanes in order would wait for each addition.
    for width in [8, 4, 2, 1] {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
    }
    sums[0] + rest
}
