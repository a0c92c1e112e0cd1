//! Training forward pass: encodes vectors with noise and keeps the slopes for the backward pass.

use alloc::vec;
use alloc::vec::Vec;
use core::mem::MaybeUninit;

use pulp::{Simd, WithSimd};
use rand::rngs::Xoshiro256PlusPlus;

use crate::encode::Encoder;
use crate::layout::{pack_signs, row_bytes};
use crate::math::exp;
use crate::memory::filled_by;
use crate::noise::{Noise, add_logistic};
use crate::rows::Rows;
use crate::tasks::{PART_VECTORS, Task, run_in_parts};

/// Bits that were decided with noise, and their slopes.
#[derive(Debug, Clone)]
pub struct NoisyBits {
    /// The packed codes, `[vectors, row_bytes(num_bits)]`, in the order of
    /// [`layout`](crate::layout).
    pub packed: Vec<u8>,
    /// The derivatives of `sigmoid((logit + noise) / temperature)` by the logits, `[vectors,
    /// num_bits]`.
    pub slopes: Vec<f32>,
    /// False if a sum of logit and noise is NaN; its bit is then 0 and its slope NaN.
    pub are_numbers: bool,
}

impl Encoder {
    /// Encodes vectors with noise and computes the slope of each bit.
    ///
    /// ```text
    /// z_p     = x . (codebook[2p + 1] - codebook[2p]) + noise_p
    /// bit_p   = z_p > 0
    /// slope_p = s (1 - s) / temperature          s = sigmoid(z_p / temperature)
    /// ```
    ///
    /// # Shapes
    ///
    /// - `x`: `[vectors, features]`
    ///
    /// # Panics
    ///
    /// Panics if `x` has other features than the codebook, or if [`Noise::Given`] does not have one
    /// number for each logit.
    pub fn encode_with_noise(&self, x: Rows<'_>, noise: Noise<'_>, temperature: f32) -> NoisyBits {
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
            are_numbers = run_in_parts(ForwardTask {
                encoder: self,
                x,
                first: 0,
                noise,
                temperature,
                packed: &mut packed,
                slopes,
            });
        };
        // SAFETY: `write` writes a slope for each logit.
        #[expect(unsafe_code, reason = "measured to pay")]
        let slopes = unsafe { filled_by(logits, write) };
        NoisyBits {
            packed,
            slopes,
            are_numbers,
        }
    }
}

/// Number of logits of a tile, which fit into the first-level cache.
const TILE_LOGITS: usize = 1 << 12;

/// Vectors to encode with noise.
struct ForwardTask<'a> {
    encoder: &'a Encoder,
    x: Rows<'a>,
    /// Index of the first of these vectors in the batch.
    first: usize,
    noise: Noise<'a>,
    temperature: f32,
    packed: &'a mut [u8],
    slopes: &'a mut [MaybeUninit<f32>],
}

impl Task for ForwardTask<'_> {
    /// Whether no sum of logit and noise is NaN.
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
        let (x, x_after) = self.x.split_at(vectors);
        let (noise, noise_after) = self.noise.split_at(vectors * num_bits);
        let (packed, packed_after) = self.packed.split_at_mut(vectors * row_bytes(num_bits));
        let (slopes, slopes_after) = self.slopes.split_at_mut(vectors * num_bits);
        let part = |x, first, noise, packed, slopes| ForwardTask {
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
                x_after,
                first + vectors,
                noise_after,
                packed_after,
                slopes_after,
            ),
        )
    }

    fn run(self) -> bool {
        let num_bits = self.encoder.num_bits();
        // The index of a part in the batch determines its random stream, so that the draws do not
        // depend on the thread that computes them.
        let mut random = self.noise.random(self.first / PART_VECTORS);
        let tile = (TILE_LOGITS / num_bits).max(1).min(self.x.len());
        let mut logits = vec![0.0; tile * num_bits];
        let mut are_numbers = true;
        let mut rest = self;
        while !rest.x.is_empty() {
            let count = tile.min(rest.x.len());
            let (first, after) = rest.split_at(count);
            let logits = &mut logits[..first.slopes.len()];
            first.encoder.logits(first.x, logits);
            are_numbers &= first.encoder.level().run(DecideTile {
                logits,
                random: &mut random,
                tile: first,
            });
            rest = after;
        }
        are_numbers
    }

    fn join(first: bool, second: bool) -> bool {
        first && second
    }
}

/// Logits of a tile, to which noise is added and from which bits and slopes are made.
struct DecideTile<'a> {
    logits: &'a mut [f32],
    random: &'a mut Xoshiro256PlusPlus,
    tile: ForwardTask<'a>,
}

// for each logit of the tile:
//     logit += noise
//     bit   = logit > 0                                  // `pack_signs`
//     e     = exp(-|logit / temperature|)
//     slope = e / (1 + e)^2 / temperature                // the sigmoid's derivative is even
//
// Each line is a loop over the whole tile. None has a branch, so that the compiler turns them into
// vector instructions of the level.
impl WithSimd for DecideTile<'_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> bool {
        let Self {
            logits,
            random,
            tile,
        } = self;
        match tile.noise {
            Noise::None => {}
            Noise::Given(noise) => {
                let each = logits.iter_mut().zip(noise);
                each.for_each(|(logit, noise)| *logit += noise);
            }
            Noise::Logistic { scale, .. } => add_logistic(random, scale, logits),
        }
        pack_signs(logits, tile.encoder.num_bits(), tile.packed);
        let by = 1.0 / tile.temperature;
        let mut are_numbers = true;
        for (slope, logit) in tile.slopes.iter_mut().zip(logits) {
            are_numbers &= !logit.is_nan();
            let e = exp(-(*logit * by).abs());
            let sum = 1.0 + e;
            slope.write(by * e / (sum * sum));
        }
        are_numbers
    }
}
