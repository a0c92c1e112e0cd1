//! Vectors that a training pass leaves unquantized.

use alloc::vec;

use crate::joint::Normalization;
use crate::rows::Rows;
use crate::tasks::{Task, run_in_parts};

/// Replaces each decoded vector whose draw is below `share` by the normalized vector
/// `factor x - center`. Returns the sum of `|factor x - center - decoded|^2` over the replaced vectors
/// that count.
///
/// # Shapes
///
/// - `x`: `[vectors, features]`, before normalization
/// - `valid`: `[vectors]`; `None` if all vectors count
/// - `draws`: `[vectors]`
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
    draws: &[f32],
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
            && draws.len() == x.len()
            && valid.is_none_or(|valid| valid.len() == x.len()),
        "leave_unquantized: {} vectors of {features}, {} decoded elements, {} draws and a center of {} do \
         not fit one another, or another number of vectors counts",
        x.len(),
        decoded.len(),
        draws.len(),
        center.len(),
    );
    run_in_parts(Replace {
        x,
        factor,
        center,
        valid,
        share,
        draws,
        decoded,
    })
}

/// Decoded vectors of which some are replaced.
struct Replace<'a> {
    x: Rows<'a>,
    factor: f32,
    center: &'a [f32],
    valid: Option<&'a [bool]>,
    share: f32,
    draws: &'a [f32],
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
        let (draws, draws_after) = self.draws.split_at(vectors);
        let part = |x, valid, draws, decoded| Replace {
            x,
            valid,
            draws,
            decoded,
            ..self
        };
        (
            part(x, valid, draws, decoded),
            part(x_after, valid_after, draws_after, after),
        )
    }

    fn run(self) -> f64 {
        let mut squares = 0.0;
        let rows = self.decoded.chunks_exact_mut(self.x.features());
        for (vector, (decoded, &draw)) in rows.zip(self.draws).enumerate() {
            // A draw of NaN leaves nothing unquantized.
            if draw.is_nan() || draw >= self.share {
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
