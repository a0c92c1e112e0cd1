//! Training steps. Of independent bits, [`forward`] decides bits with noise and [`backward`] computes
//! the gradients of vectors and codebook. Of joint bits, [`joint`] does both but for the gradients of
//! vectors, which [`gradients`] computes; [`unquantized`] takes some vectors out of its output, and
//! [`balance`] computes a loss of its own.

pub mod backward;
pub mod balance;
pub mod forward;
pub mod gradients;
pub mod joint;
pub mod unquantized;

use crate::layout::row_bytes;

/// Unpacks rows of bits to numbers of 0 and 1, `[rows, num_bits]`.
///
/// The bit order is that of [`layout`](crate::layout), repeated here to write f32 in one pass.
#[inline(always)]
fn unpack_weights(packed: &[u8], num_bits: usize, weights: &mut [f32]) {
    let rows = packed.chunks_exact(row_bytes(num_bits));
    for (weights, packed) in weights.chunks_exact_mut(num_bits).zip(rows) {
        for (weights, byte) in weights.chunks_mut(8).zip(packed) {
            for (bit, weight) in weights.iter_mut().enumerate() {
                *weight = f32::from(byte >> bit & 1);
            }
        }
    }
}
