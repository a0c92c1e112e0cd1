//! Vectors that a training pass leaves unquantized.

use alloc::vec;

use rand::Rng;

use crate::joint::Normalization;
use crate::noise::stream_of_part;
use crate::rows::Rows;
use crate::tasks::{PART_VECTORS, Task, run_in_parts};

/// Replaces decoded vectors by the normalized vectors `factor x - center`, each with the probability
/// `share`. Returns the sum of `|factor x - center - decoded|^2` over the replaced vectors that count.
///
/// A seed replaces the same vectors for any number of threads.
///
/// # Shapes
///
/// - `x`: `[vectors, features]`, before normalization
/// - `valid`: `[vectors]`; `None` if all vectors count
/// - `decoded`: the shape of `x`
///
/// # Panics
///
/// Panics if the shapes do not fit one another.
pub fn leave_unquantized(
    x: Rows<'_>,
    normalization: Option<Normalization<'_>>,
    valid: Option<&[bool]>,
    share: f32,
    seed: u64,
    decoded: &mut [f32],
) -> f64 {
    let features = x.features();
    let zeros = vec![0.0; features];
    let Normalization { factor, center } = normalization.unwrap_or(Normalization {
        factor: 1.0,
        center: &zeros,
    });
    assert!(
        decoded.len() == x.len() * features
            && center.len() == features
            && valid.is_none_or(|valid| valid.len() == x.len()),
        "leave_unquantized: {} vectors of {features}, {} decoded elements and a center of {} do not \
         fit one another, or another number of vectors counts",
        x.len(),
        decoded.len(),
        center.len(),
    );
    run_in_parts(Replace {
        x,
        first: 0,
        factor,
        center,
        valid,
        below: share * DRAWS,
        seed,
        decoded,
    })
}

/// Number of values that a draw can have, each of which an f32 holds.
const DRAWS: f32 = (1 << 24) as f32;

/// Decoded vectors of which some are replaced.
struct Replace<'a> {
    x: Rows<'a>,
    /// Index of the first of these vectors in the batch.
    first: usize,
    factor: f32,
    center: &'a [f32],
    valid: Option<&'a [bool]>,
    /// A vector whose draw is below this is replaced.
    below: f32,
    seed: u64,
    decoded: &'a mut [f32],
}

impl Task for Replace<'_> {
    type Output = f64;

    fn vectors(&self) -> usize {
        self.x.len()
    }

    fn split_at(self, vectors: usize) -> (Self, Self) {
        let (x, x_after) = self.x.split_at(vectors);
        let (valid, valid_after) = self.valid.map(|valid| valid.split_at(vectors)).unzip();
        let (decoded, after) = self.decoded.split_at_mut(vectors * self.x.features());
        let first = self.first + vectors;
        let part = |x, first, valid, decoded| Replace {
            x,
            first,
            valid,
            decoded,
            ..self
        };
        (
            part(x, self.first, valid, decoded),
            part(x_after, first, valid_after, after),
        )
    }

    fn run(self) -> f64 {
        let mut random = stream_of_part(self.seed, self.first / PART_VECTORS);
        let mut squares = 0.0;
        let rows = self.decoded.chunks_exact_mut(self.x.features());
        for (vector, decoded) in rows.enumerate() {
            if (random.next_u32() >> 8) as f32 >= self.below {
                continue;
            }
            let mut square = 0.0;
            let each = self.x.row(vector).iter().zip(self.center);
            for (y, (&x, &center)) in decoded.iter_mut().zip(each) {
                let z = self.factor * x - center;
                square += (z - *y) * (z - *y);
                *y = z;
            }
            if self.valid.is_none_or(|valid| valid[vector]) {
                squares += f64::from(square);
            }
        }
        squares
    }

    fn join(first: f64, second: f64) -> f64 {
        first + second
    }
}
