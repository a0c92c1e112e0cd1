//! Bits that are decided one after another, on what the others leave of a vector.

use alloc::vec::Vec;
use core::ops::{Add, AddAssign, Div, Mul, SubAssign};

/// What is computed in: `f32` or `f64`.
pub trait Real:
    Copy
    + Default
    + PartialOrd
    + Add<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
    + SubAssign
{
    /// 1.
    const ONE: Self;
}

impl Real for f32 {
    const ONE: Self = 1.0;
}

impl Real for f64 {
    const ONE: Self = 1.0;
}

/// Turns rows of products into the logits by which each bit is decided last.
///
/// The vector `x` of a row is approached by `sum_p s_p h_p`, each sign `s_p` -1 or 1. The logit of
/// bit `p` is `r . h_p / |h_p|^2`, with `r` what the others leave of `x`. First each bit in turn
/// takes the sign of its logit plus its noise, and `s_p h_p` is taken out of `r`. Then, `sweeps`
/// times, each bit in turn is put back and decided again: coordinate descent on `|r|^2`, which no
/// step makes larger where there is no noise.
///
/// `products` are rows of `x . h_p`, overwritten by the sums of logit and noise that decided; a bit
/// is 1 where that is above 0, so that a tie and NaN give 0, and where `h_p` is 0. `noise` is as
/// long, or none; `gram` is `[num_bits, num_bits]`, `h_q . h_p`.
///
/// # Panics
///
/// Where `num_bits` is 0, the rows are not whole, or `gram` or `noise` are of another length.
pub fn decide<R: Real>(
    products: &mut [R],
    noise: Option<&[R]>,
    gram: &[R],
    num_bits: usize,
    sweeps: usize,
) {
    assert!(num_bits > 0, "decide: rows of 0 bits");
    assert!(
        products.len().is_multiple_of(num_bits) && gram.len() == num_bits * num_bits,
        "decide: {} products, a Gram matrix of {}, expected rows of {num_bits} and {num_bits} x {num_bits}",
        products.len(),
        gram.len()
    );
    if let Some(noise) = noise {
        assert_eq!(
            noise.len(),
            products.len(),
            "decide: noise (left) for products"
        );
    }
    let inverse = |p: usize| match gram[p * num_bits + p] {
        square if square > R::default() => R::ONE / square,
        _ => R::default(),
    };
    let inverses: Vec<R> = (0..num_bits).map(inverse).collect();
    // What `h_q` has in the logit of bit `p`.
    let coupling: Vec<R> = gram
        .chunks_exact(num_bits)
        .flat_map(|row| row.iter().zip(&inverses).map(|(&g, &inverse)| g * inverse))
        .collect();
    let mut left = alloc::vec![R::default(); num_bits];
    for (row, decided) in products.chunks_exact_mut(num_bits).enumerate() {
        let noise = noise.map(|noise| &noise[row * num_bits..][..num_bits]);
        for ((left, &product), &inverse) in left.iter_mut().zip(&*decided).zip(&inverses) {
            *left = product * inverse;
        }
        decide_row(&mut left, decided, noise, &coupling, sweeps);
    }
}

/// `left` are the logits of what is left of the vector, `decided` the result.
fn decide_row<R: Real>(
    left: &mut [R],
    decided: &mut [R],
    noise: Option<&[R]>,
    coupling: &[R],
    sweeps: usize,
) {
    let num_bits = left.len();
    let with_noise = |logit: R, p: usize| match noise {
        Some(noise) => logit + noise[p],
        None => logit,
    };
    for p in 0..num_bits {
        decided[p] = with_noise(left[p], p);
        let vector = &coupling[p * num_bits..][..num_bits];
        take_out(left, vector, is_one(decided[p]));
    }
    for _ in 0..sweeps {
        let mut settled = true;
        for p in 0..num_bits {
            let was_one = is_one(decided[p]);
            let mut logit = left[p];
            if was_one {
                logit += R::ONE;
            } else {
                logit -= R::ONE;
            }
            decided[p] = with_noise(logit, p);
            let now_one = is_one(decided[p]);
            if now_one != was_one {
                settled = false;
                let vector = &coupling[p * num_bits..][..num_bits];
                // Once to put back what was, once to take out what is.
                take_out(left, vector, now_one);
                take_out(left, vector, now_one);
            }
        }
        // Another sweep would find the same.
        if settled {
            break;
        }
    }
}

fn is_one<R: Real>(logit: R) -> bool {
    logit > R::default()
}

fn take_out<R: Real>(left: &mut [R], vector: &[R], one: bool) {
    for (left, &part) in left.iter_mut().zip(vector) {
        if one {
            *left -= part;
        } else {
            *left += part;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in (-1, 1) that look random.
    fn numbers(seed: u64, count: usize) -> Vec<f64> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    /// The same on the vectors themselves.
    fn plainly(x: &[f64], h: &[Vec<f64>], noise: &[f64], sweeps: usize) -> Vec<f64> {
        let mut left = x.to_vec();
        let mut decided = Vec::new();
        let add = |left: &mut Vec<f64>, h: &[f64], sign: f64| {
            left.iter_mut().zip(h).for_each(|(l, h)| *l += sign * h);
        };
        let sign = |decided: f64| if decided > 0.0 { 1.0 } else { -1.0 };
        for (p, h) in h.iter().enumerate() {
            decided.push(dot(&left, h) / dot(h, h) + noise[p]);
            add(&mut left, h, -sign(decided[p]));
        }
        for _ in 0..sweeps {
            for (p, h) in h.iter().enumerate() {
                add(&mut left, h, sign(decided[p]));
                decided[p] = dot(&left, h) / dot(h, h) + noise[p];
                add(&mut left, h, -sign(decided[p]));
            }
        }
        decided
    }

    #[test]
    fn decides_as_the_vectors_themselves_do() {
        const FEATURES: usize = 5;
        let mut later = 0;
        for num_bits in [1, 2, 3, 8, 13] {
            for sweeps in 0..4 {
                let flat = numbers(num_bits as u64, num_bits * FEATURES);
                let h: Vec<Vec<f64>> = flat.chunks(FEATURES).map(<[f64]>::to_vec).collect();
                let products = |q: &[f64]| h.iter().map(|p| dot(q, p)).collect::<Vec<_>>();
                let gram: Vec<f64> = h.iter().flat_map(|q| products(q)).collect();
                let rows = numbers(7, 20 * FEATURES);
                let noise = numbers(9, 20 * num_bits);
                let silence = alloc::vec![0.0; noise.len()];
                for noise in [None, Some(&noise)] {
                    let mut logits: Vec<f64> = rows.chunks(FEATURES).flat_map(products).collect();
                    let first = logits.clone();
                    let given = noise.map(Vec::as_slice);
                    decide(&mut logits, given, &gram, num_bits, sweeps);
                    let noise = noise.unwrap_or(&silence).chunks(num_bits);
                    let wanted = rows.chunks(FEATURES).zip(noise);
                    let wanted = wanted.flat_map(|(x, noise)| plainly(x, &h, noise, sweeps));
                    for (found, wanted) in logits.iter().zip(wanted) {
                        assert!((found - wanted).abs() < 1e-9, "{found}, expected {wanted}");
                    }
                    let changed = logits.iter().zip(first);
                    later += changed.filter(|&(a, b)| is_one(*a) != is_one(b)).count();
                }
            }
        }
        assert!(later > 100, "{later} bits were decided by what others left");
    }

    #[test]
    fn nan_and_ties_give_0_and_stay_in_their_row() {
        let gram = [1.0, 0.5, 0.5, 1.0];
        let mut logits = [f32::NAN, 3.0, 0.0, -0.0, 4.0, 5.0];
        decide(&mut logits, None, &gram, 2, 2);
        let bits: Vec<bool> = logits.iter().map(|&logit| is_one(logit)).collect();
        assert_eq!(bits, [false, true, false, true, true, true]);
        let mut nothing = [3.0f32, 1.0];
        decide(&mut nothing, None, &[0.0, 0.0, 0.0, 1.0], 2, 2);
        assert!(!is_one(nothing[0]) && is_one(nothing[1]), "{nothing:?}");
    }

    #[test]
    #[should_panic(
        expected = "decide: 5 products, a Gram matrix of 4, expected rows of 2 and 2 x 2"
    )]
    fn rows_that_are_not_whole_are_refused() {
        decide(&mut [0.0f32; 5], None, &[0.0; 4], 2, 1);
    }
}
