//! Vectors to bits that are sampled, and what training keeps of them.

use alloc::vec;
use alloc::vec::Vec;
use core::mem::MaybeUninit;

use pulp::{Simd, WithSimd};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

use crate::encode::Encoder;
use crate::layout::row_bytes;
use crate::math::{exp, ln};
use crate::memory::written;
use crate::rows::Rows;
use crate::signs::pack_signs;
use crate::tasks::{Task, VECTORS, run_in_parts};

/// What is added to logits.
#[derive(Debug, Clone, Copy)]
pub enum Noise<'a> {
    /// Nothing.
    None,
    /// These numbers, as many as logits.
    Given(&'a [f32]),
    /// Draws of the logistic distribution, `scale ln(u / (1 - u))`, the same for a seed however many
    /// threads there are.
    Logistic {
        /// Of the draws.
        seed: u64,
        /// What they are multiplied by.
        scale: f32,
    },
}

/// Bits that were sampled.
#[derive(Debug, Clone)]
pub struct Sampled {
    /// A row for each vector, as [`layout`](crate::layout) says.
    pub packed: Vec<u8>,
    /// The derivatives of `sigmoid((logit + noise) / temperature)` by the logits, `[vectors, num_bits]`.
    pub slopes: Vec<f32>,
    /// Whether no sum of logit and noise is NaN, which gives the bit 0 and the slope NaN.
    pub are_numbers: bool,
}

impl Encoder {
    /// The bits of each vector: 1 where the sum of logit and noise is above 0; and their slopes.
    ///
    /// # Panics
    ///
    /// Where the vectors have other features, or there is not a number of noise for each logit.
    pub fn sample(&self, x: Rows<'_>, noise: Noise<'_>, temperature: f32) -> Sampled {
        let logits = x.len() * self.num_bits();
        let given = match noise {
            Noise::Given(noise) => noise.len(),
            _ => logits,
        };
        assert!(
            given == logits && x.features() == self.features(),
            "Encoder: {} vectors of {} and {given} numbers of noise, expected vectors of {}, and {} \
             bits of each",
            x.len(),
            x.features(),
            self.features(),
            self.num_bits(),
        );
        let mut packed = vec![0; x.len() * row_bytes(self.num_bits())];
        let mut are_numbers = true;
        let write = |slopes: &mut [MaybeUninit<f32>]| {
            are_numbers = run_in_parts(Sample {
                encoder: self,
                x,
                first: 0,
                noise,
                temperature,
                packed: &mut packed,
                slopes,
            });
        };
        // SAFETY: it writes a slope for each logit.
        #[expect(unsafe_code, reason = "measured to pay")]
        let slopes = unsafe { written(logits, write) };
        Sampled {
            packed,
            slopes,
            are_numbers,
        }
    }
}

/// Logits that are computed at a time: few enough for a core's first cache.
const TILE_LOGITS: usize = 1 << 12;

/// Vectors to sample bits of.
struct Sample<'a> {
    encoder: &'a Encoder,
    x: Rows<'a>,
    /// The number of the first, of all.
    first: usize,
    noise: Noise<'a>,
    temperature: f32,
    packed: &'a mut [u8],
    slopes: &'a mut [MaybeUninit<f32>],
}

impl Task for Sample<'_> {
    /// Whether there is no NaN.
    type Output = bool;

    fn vectors(&self) -> usize {
        self.x.len()
    }

    fn split_at(self, vectors: usize) -> (Self, Self) {
        let Self {
            encoder,
            first,
            temperature,
            ..
        } = self;
        let num_bits = encoder.num_bits();
        let (x, after) = self.x.split_at(vectors);
        let (noise, noise_after) = match self.noise {
            Noise::Given(noise) => {
                let (noise, after) = noise.split_at(vectors * num_bits);
                (Noise::Given(noise), Noise::Given(after))
            }
            other => (other, other),
        };
        let (packed, packed_after) = self.packed.split_at_mut(vectors * row_bytes(num_bits));
        let (slopes, slopes_after) = self.slopes.split_at_mut(vectors * num_bits);
        let part = |x, first, noise, packed, slopes| Sample {
            encoder,
            x,
            first,
            noise,
            temperature,
            packed,
            slopes,
        };
        (
            part(x, first, noise, packed, slopes),
            part(
                after,
                first + vectors,
                noise_after,
                packed_after,
                slopes_after,
            ),
        )
    }

    fn run(self) -> bool {
        let num_bits = self.encoder.num_bits();
        let seed = match self.noise {
            Noise::Logistic { seed, .. } => seed,
            _ => 0,
        };
        // A part begins where one of `VECTORS` does, whoever computes it.
        let part = (self.first / VECTORS) as u64;
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ part.rotate_left(32));
        let tile = (TILE_LOGITS / num_bits).max(1).min(self.x.len());
        let mut logits = vec![0.0; tile * num_bits];
        let mut are_numbers = true;
        let mut rest = self;
        while !rest.x.is_empty() {
            let count = tile.min(rest.x.len());
            let (first, after) = rest.split_at(count);
            let logits = &mut logits[..first.slopes.len()];
            first.encoder.logits(first.x, logits);
            are_numbers &= first.encoder.level().run(Decide {
                logits,
                random: &mut random,
                vectors: first,
            });
            rest = after;
        }
        are_numbers
    }

    fn join(first: bool, second: bool) -> bool {
        first && second
    }
}

/// Bits and slopes of these vectors' logits.
struct Decide<'a> {
    logits: &'a mut [f32],
    random: &'a mut Xoshiro256PlusPlus,
    vectors: Sample<'a>,
}

impl WithSimd for Decide<'_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> bool {
        let Self {
            logits,
            random,
            vectors,
        } = self;
        match vectors.noise {
            Noise::None => {}
            Noise::Given(noise) => {
                let each = logits.iter_mut().zip(noise);
                each.for_each(|(logit, noise)| *logit += noise);
            }
            Noise::Logistic { scale, .. } => add_logistic(random, scale, logits),
        }
        pack_signs(logits, vectors.encoder.num_bits(), vectors.packed);
        let by = 1.0 / vectors.temperature;
        let mut are_numbers = true;
        for (slope, logit) in vectors.slopes.iter_mut().zip(logits) {
            are_numbers &= !logit.is_nan();
            // The sigmoid's derivative is even.
            let e = exp(-(*logit * by).abs());
            let sum = 1.0 + e;
            slope.write(by * e / (sum * sum));
        }
        are_numbers
    }
}

/// Draws of 24 bits, the least 1: the nearest to 0 and to 1 that the logarithm has.
const STEPS: f32 = (1 << 24) as f32;

#[inline(always)]
fn add_logistic(random: &mut impl Rng, scale: f32, logits: &mut [f32]) {
    for logits in logits.chunks_mut(DRAWS) {
        let mut words = [0u64; DRAWS / 2];
        for word in &mut words {
            *word = random.next_u64();
        }
        let words: [u32; DRAWS] = bytemuck::cast(words);
        let mut noise = [0.0; DRAWS];
        for (noise, word) in noise.iter_mut().zip(words) {
            let draw = (word >> 8).max(1) as i32 as f32;
            *noise = scale * ln(draw / (STEPS - draw));
        }
        for (logit, noise) in logits.iter_mut().zip(noise) {
            *logit += noise;
        }
    }
}

/// Draws at a time.
const DRAWS: usize = 64;
