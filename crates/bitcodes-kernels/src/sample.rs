//! Vectors to bits that are sampled, and what training keeps of them.

use pulp::{Simd, WithSimd};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

use crate::encode::Encoder;
use crate::layout::row_bytes;
use crate::math::{exp, ln};
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

impl Encoder {
    /// The bits of each vector, packed: 1 where the sum of logit and noise is above 0; and as many
    /// `slopes`, the derivatives of `sigmoid((logit + noise) / temperature)` by the logits.
    ///
    /// # Panics
    ///
    /// Where the vectors have other features, or what is given or filled is not a row for each.
    pub fn sample(
        &self,
        x: Rows<'_>,
        noise: Noise<'_>,
        temperature: f32,
        packed: &mut [u8],
        slopes: &mut [f32],
    ) {
        let logits = x.len() * self.num_bits();
        let given = match noise {
            Noise::Given(noise) => noise.len(),
            _ => logits,
        };
        assert!(
            slopes.len() == logits
                && given == logits
                && packed.len() == x.len() * row_bytes(self.num_bits())
                && x.features() == self.features(),
            "Encoder: {} vectors of {}, {given} numbers of noise, {} bytes and {} slopes, expected \
             vectors of {}, and {} bits of each",
            x.len(),
            x.features(),
            packed.len(),
            slopes.len(),
            self.features(),
            self.num_bits(),
        );
        run_in_parts(Sample {
            encoder: self,
            x,
            first: 0,
            noise,
            temperature,
            packed,
            slopes,
        });
    }
}

/// Vectors to sample bits of.
struct Sample<'a> {
    encoder: &'a Encoder,
    x: Rows<'a>,
    /// The number of the first, of all.
    first: usize,
    noise: Noise<'a>,
    temperature: f32,
    packed: &'a mut [u8],
    slopes: &'a mut [f32],
}

impl Task for Sample<'_> {
    type Output = ();

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

    fn run(self) {
        self.encoder.logits(self.x, self.slopes);
        self.encoder.level().run(self);
    }

    fn join((): (), (): ()) {}
}

impl WithSimd for Sample<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        match self.noise {
            Noise::None => {}
            Noise::Given(noise) => {
                let each = self.slopes.iter_mut().zip(noise);
                each.for_each(|(logit, noise)| *logit += noise);
            }
            Noise::Logistic { seed, scale } => {
                // A part begins where one of `VECTORS` does, whoever computes it.
                let part = (self.first / VECTORS) as u64;
                let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ part.rotate_left(32));
                add_logistic(&mut random, scale, self.slopes);
            }
        }
        pack_signs(self.slopes, self.encoder.num_bits(), self.packed);
        let by = 1.0 / self.temperature;
        for slope in self.slopes.iter_mut() {
            // The sigmoid's derivative is even, and of a large number 0.
            let e = exp(-(*slope * by).abs());
            let sum = 1.0 + e;
            *slope = by * e / (sum * sum);
        }
    }
}

/// Draws of 24 bits, the least 1: the nearest to 0 and to 1 that both logarithms have.
const STEPS: f32 = (1 << 24) as f32;

#[inline(always)]
fn add_logistic(random: &mut impl Rng, scale: f32, logits: &mut [f32]) {
    let mut draws = [0.0; 64];
    for logits in logits.chunks_mut(draws.len()) {
        for pair in draws.as_chunks_mut::<2>().0 {
            let bits = random.next_u64();
            let number = |bits: u64| ((bits & 0x00ff_ffff) as u32).max(1) as f32;
            *pair = [number(bits >> 40), number(bits >> 16)];
        }
        for (logit, draw) in logits.iter_mut().zip(draws) {
            *logit += scale * (ln(draw) - ln(STEPS - draw));
        }
    }
}
