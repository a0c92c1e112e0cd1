//! Noise that training adds to logits.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

use crate::math::ln;

/// Noise that is added to logits before they decide bits.
#[derive(Debug, Clone, Copy)]
pub enum Noise<'a> {
    /// No noise.
    None,
    /// One number for each logit, `[vectors, num_bits]`.
    Given(&'a [f32]),
    /// Draws `scale * ln(u / (1 - u))` of the logistic distribution, with `u` uniform in (0, 1).
    ///
    /// A seed gives the same draws for any number of threads.
    Logistic {
        /// Seed of the draws.
        seed: u64,
        /// Factor of the draws.
        scale: f32,
    },
}

impl<'a> Noise<'a> {
    /// Splits given noise at an index.
    pub(crate) fn split_at(self, index: usize) -> (Self, Self) {
        match self {
            Noise::Given(noise) => {
                let (noise, after) = noise.split_at(index);
                (Noise::Given(noise), Noise::Given(after))
            }
            other => (other, other),
        }
    }

    /// Returns the random stream of the part of a batch with this index.
    pub(crate) fn random(self, part: usize) -> Xoshiro256PlusPlus {
        let seed = match self {
            Noise::Logistic { seed, .. } => seed,
            _ => 0,
        };
        stream_of_part(seed, part)
    }
}

/// Returns the random stream of the part of a batch with this index.
pub(crate) fn stream_of_part(seed: u64, part: usize) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed ^ (part as u64).rotate_left(32))
}

/// Number of steps that the interval (0, 1) is divided into for uniform draws.
///
/// A draw has 24 bits and is at least 1, so that neither `u` nor `1 - u` is 0.
const STEPS: f32 = (1 << 24) as f32;

/// Number of draws that are made at a time.
const DRAWS: usize = 64;

/// Adds logistic noise to logits.
// for each block of 64 logits:
//     words = 64 random u32                              // two of each u64 of the stream
//     draw  = max(word >> 8, 1)                          // u = draw / STEPS
//     logit += scale * ln(draw / (STEPS - draw))
#[inline(always)]
pub fn add_logistic(random: &mut impl Rng, scale: f32, logits: &mut [f32]) {
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
