//! Codebooks whose outputs are a grid.

use alloc::vec::Vec;

use burn::tensor::{Tensor, backend::Backend};

/// Largest number of bits along a direction, unless `num_bits` is above three times `features`.
///
/// Three bits gave better results after training than one, two or four.
const BITS_PER_DIRECTION: usize = 3;

/// Half the length of a direction's first difference, in standard deviations along the direction.
///
/// An amplitude of 1 is nearer to the best grid, but 0.7 gave better results after training.
pub(super) const AMPLITUDE: f64 = 0.7;

/// Returns the number of directions of a grid of `num_bits` bits.
pub(super) fn directions(num_bits: usize, features: usize) -> usize {
    features.min(num_bits.div_ceil(BITS_PER_DIRECTION))
}

/// Makes the codebook `[2 * num_bits, features]` of a grid along `directions [count, features]`.
///
/// Half the difference of bit `i + j count` is `2^-j` times direction `i`. The mean of the outputs
/// is `mean [1, features]`, or 0.
pub(super) fn codebook<B: Backend>(
    directions: Tensor<B, 2>,
    mean: Option<Tensor<B, 2>>,
    num_bits: usize,
) -> Tensor<B, 2> {
    let [count, features] = directions.dims();
    let halved = |digit: usize| directions.clone() * libm::exp2(-(digit as f64));
    let digits = (0..num_bits.div_ceil(count)).map(halved);
    let halves = Tensor::cat(digits.collect(), 0).narrow(0, 0, num_bits);
    let [zeros, ones] = match mean.map(|mean| mean / num_bits as f64) {
        Some(share) => [share.clone() - halves.clone(), share + halves],
        None => [-halves.clone(), halves],
    };
    Tensor::stack::<3>([zeros, ones].into(), 1).reshape([2 * num_bits, features])
}

/// Makes the rows orthogonal to one another and of length 1 (Gram and Schmidt).
///
/// The matrix must not have more rows than columns.
pub(super) fn orthonormal<B: Backend>(rows: Tensor<B, 2>) -> Tensor<B, 2> {
    let [count, _] = rows.dims();
    let mut done: Option<Tensor<B, 2>> = None;
    for index in 0..count {
        let mut row = rows.clone().narrow(0, index, 1);
        // Rows may be long, and may differ by little from those before them: a row is scaled first,
        // and projected twice.
        for _ in 0..2 {
            row = with_length_1(row);
            if let Some(done) = &done {
                row = row.clone() - row.matmul(done.clone().transpose()).matmul(done.clone());
            }
        }
        let row = with_length_1(row);
        done = Some(match done {
            Some(done) => Tensor::cat(Vec::from([done, row]), 0),
            None => row,
        });
    }
    done.expect("there is at least one row")
}

fn with_length_1<B: Backend>(row: Tensor<B, 2>) -> Tensor<B, 2> {
    let length = row.clone().powi_scalar(2).sum_dim(1).sqrt();
    row / length.clamp_min(f64::from(f32::MIN_POSITIVE))
}
