//! Codebooks whose outputs are a grid.

use alloc::vec::Vec;

use burn::tensor::{Tensor, backend::Backend};

/// Bits of a direction, or more where there are no more directions. Training ended better with
/// three than with one, two or four.
const BITS_A_DIRECTION: usize = 3;

/// The first bit of a direction of deviation 1 decides between this far to one side and to the
/// other. Training ended better than from 1, which is nearer to the best grid.
pub(super) const AMPLITUDE: f64 = 0.7;

/// How many directions a grid of so many bits has.
pub(super) fn directions(num_bits: usize, features: usize) -> usize {
    features.min(num_bits.div_ceil(BITS_A_DIRECTION))
}

/// Half the codebook's differences are `directions [count, features]`, then halves of them, and so
/// on; the output's mean is `mean [1, features]`, or 0.
pub(super) fn codebook<B: Backend>(
    directions: Tensor<B, 2>,
    mean: Option<Tensor<B, 2>>,
    num_bits: usize,
) -> Tensor<B, 2> {
    let [count, features] = directions.dims();
    let halved = |level: usize| directions.clone() * libm::exp2(-(level as f64));
    let levels = (0..num_bits.div_ceil(count)).map(halved);
    let halves = Tensor::cat(levels.collect(), 0).narrow(0, 0, num_bits);
    let [zeros, ones] = match mean.map(|mean| mean / num_bits as f64) {
        Some(share) => [share.clone() - halves.clone(), share + halves],
        None => [-halves.clone(), halves],
    };
    Tensor::stack::<3>([zeros, ones].into(), 1).reshape([2 * num_bits, features])
}

/// The rows made orthogonal and of length 1, each from those before it (Gram and Schmidt); at most
/// as many as they have elements.
pub(super) fn orthonormal<B: Backend>(rows: Tensor<B, 2>) -> Tensor<B, 2> {
    let [count, _] = rows.dims();
    let mut done: Option<Tensor<B, 2>> = None;
    for index in 0..count {
        let mut row = rows.clone().narrow(0, index, 1);
        // Long rows that differ by little: scaled first, and projected twice.
        for _ in 0..2 {
            row = of_length_1(row);
            if let Some(done) = &done {
                row = row.clone() - row.matmul(done.clone().transpose()).matmul(done.clone());
            }
        }
        let row = of_length_1(row);
        done = Some(match done {
            Some(done) => Tensor::cat(Vec::from([done, row]), 0),
            None => row,
        });
    }
    done.expect("there is at least one row")
}

fn of_length_1<B: Backend>(row: Tensor<B, 2>) -> Tensor<B, 2> {
    let length = row.clone().powi_scalar(2).sum_dim(1).sqrt();
    row / length.clamp_min(f64::from(f32::MIN_POSITIVE))
}
