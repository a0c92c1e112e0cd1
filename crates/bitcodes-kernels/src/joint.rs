//! Joint bits: decides the bits of a vector together by beam search, to reconstruct it better.

use alloc::vec::Vec;
use core::ops::{AddAssign, Div, Mul, SubAssign};

/// Floating-point type that bits are decided in: `f32` or `f64`.
pub trait Real:
    Copy + Default + PartialOrd + Mul<Output = Self> + Div<Output = Self> + AddAssign + SubAssign
{
    /// The number 1.
    const ONE: Self;
    /// The number -1.
    const MINUS_ONE: Self;
    /// Smallest divisor, `f32::MIN_POSITIVE` for both types.
    const SMALLEST: Self;
}

impl Real for f32 {
    const ONE: Self = 1.0;
    const MINUS_ONE: Self = -1.0;
    const SMALLEST: Self = f32::MIN_POSITIVE;
}

impl Real for f64 {
    const ONE: Self = 1.0;
    const MINUS_ONE: Self = -1.0;
    const SMALLEST: Self = f32::MIN_POSITIVE as f64;
}

/// Decides the bits of each row jointly and returns the logits that decided them in `products`.
///
/// A row belongs to a vector `x`, which the codes approximate by `sum_p s_p h_p` with signs `s_p`
/// of -1 or 1. A beam search goes through the bits in order: it tries both signs after each
/// candidate for the bits before, and keeps the `beam` candidates with the smallest residuals. With
/// a beam of 1, each bit takes its sign on the residual of those before. The best candidate is then
/// refined: each bit is decided once more, and is 1 if logit plus noise is above 0. Its logit is
/// `r . h_p / |h_p|^2`, with the residual `r` of all other bits.
///
/// Without noise, the refinement never enlarges the residual. Noise of bit `p` adds
/// `-2 s_p |h_p|^2 noise_p` to the cost `|x - sum_p s_p h_p|^2` of the search. A sum of 0 and NaN
/// give the bit 0, and so does `h_p = 0` without noise.
///
/// # Shapes
///
/// - `products`: `[rows, num_bits]`, the dot products `x . h_p`; overwritten by logit plus noise
/// - `noise`: `[rows, num_bits]`
/// - `gram`: `[num_bits, num_bits]`, the dot products `h_q . h_p`
///
/// # Panics
///
/// Panics if `num_bits` or `beam` is 0, if the rows are not whole, if `gram` or `noise` has another
/// shape, or if memory has no room for twice `beam` rows.
pub fn decide<R: Real>(
    products: &mut [R],
    noise: Option<&[R]>,
    gram: &[R],
    num_bits: usize,
    beam: usize,
) {
    assert!(num_bits > 0, "decide: rows of 0 bits");
    assert!(beam > 0, "decide: a beam of 0");
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
    let squares: Vec<R> = gram.iter().copied().step_by(num_bits + 1).collect();
    // The inverse is finite for every vector.
    let inverse = |&square: &R| match square > R::SMALLEST {
        true => R::ONE / square,
        false => R::ONE / R::SMALLEST,
    };
    let inverses: Vec<R> = squares.iter().map(inverse).collect();
    // Part of `h_q` in the logit of bit `p`.
    let coupling: Vec<R> = gram
        .chunks_exact(num_bits)
        .flat_map(|row| row.iter().zip(&inverses).map(|(&g, &inverse)| g * inverse))
        .collect();
    let mut search = BeamSearch::new(num_bits, beam);
    let mut logits = alloc::vec![R::default(); num_bits];
    for (row, decided) in products.chunks_exact_mut(num_bits).enumerate() {
        let noise = noise.map(|noise| &noise[row * num_bits..][..num_bits]);
        for ((logit, &product), &inverse) in logits.iter_mut().zip(&*decided).zip(&inverses) {
            *logit = product * inverse;
        }
        decided.copy_from_slice(search.best_signs(&logits, noise, &squares, &coupling));
        refine(&mut logits, decided, noise, &coupling);
    }
}

/// State of a beam search: the candidates for the first bits of a row.
struct BeamSearch<R> {
    num_bits: usize,
    /// Number of candidates, at most the length of `best`.
    kept: usize,
    /// `[beam, num_bits]`: each candidate's signs of the decided bits, then the logits of the other
    /// bits for its residual.
    candidates: Vec<R>,
    /// Cost of each candidate, halved and less a term that all candidates share.
    costs: Vec<R>,
    /// Best extensions of the candidates by one bit, in the order of their costs.
    best: Vec<Extension<R>>,
    /// Candidates after the extension, which then take the place of `candidates`.
    next: Vec<R>,
}

/// Extension of a candidate by the sign of one more bit.
#[derive(Clone, Copy, Default)]
struct Extension<R> {
    cost: R,
    /// Index of the candidate that is extended.
    from: usize,
    sign: R,
}

impl<R: Real> BeamSearch<R> {
    fn new(num_bits: usize, beam: usize) -> Self {
        let all = 1usize.checked_shl(num_bits as u32).unwrap_or(usize::MAX);
        let beam = beam.min(all);
        let room = beam.saturating_mul(num_bits);
        Self {
            num_bits,
            kept: 0,
            candidates: alloc::vec![R::default(); room],
            costs: alloc::vec![R::default(); beam],
            best: alloc::vec![Extension::default(); beam],
            next: alloc::vec![R::default(); room],
        }
    }

    /// Returns the best signs of a row, from the logit of each bit alone.
    fn best_signs(
        &mut self,
        logits: &[R],
        noise: Option<&[R]>,
        squares: &[R],
        coupling: &[R],
    ) -> &[R] {
        self.candidates[..self.num_bits].copy_from_slice(logits);
        self.costs[0] = R::default();
        self.kept = 1;
        for (p, &square) in squares.iter().enumerate() {
            self.find_extensions(p, noise.map(|noise| noise[p]), square);
            self.extend(p, &coupling[p * self.num_bits..][..self.num_bits]);
        }
        &self.candidates[..self.num_bits]
    }

    /// Finds the best extensions of the candidates by bit `p`.
    ///
    /// A tie in cost goes to the earlier candidate, then to -1.
    fn find_extensions(&mut self, p: usize, noise: Option<R>, square: R) {
        let mut found = 0;
        let candidates = self.candidates.chunks_exact(self.num_bits);
        let candidates = candidates.zip(&self.costs).take(self.kept);
        for (from, (signs, &cost)) in candidates.enumerate() {
            let mut logit = signs[p];
            if let Some(noise) = noise {
                logit += noise;
            }
            for sign in [R::MINUS_ONE, R::ONE] {
                let mut cost = cost;
                cost -= sign * square * logit;
                // The worst extension drops out if the beam is full.
                let mut place = found;
                found = self.best.len().min(found + 1);
                while place > 0 && cost < self.best[place - 1].cost {
                    if place < found {
                        self.best[place] = self.best[place - 1];
                    }
                    place -= 1;
                }
                if place < found {
                    self.best[place] = Extension { cost, from, sign };
                }
            }
        }
        self.kept = found;
    }

    /// Extends the candidates by bit `p`; `coupling` is the part of `h_p` in each logit.
    fn extend(&mut self, p: usize, coupling: &[R]) {
        let next = self.next.chunks_exact_mut(self.num_bits);
        let next = next.zip(&mut self.costs).zip(&self.best);
        for ((next, to), &Extension { cost, from, sign }) in next.take(self.kept) {
            next.copy_from_slice(&self.candidates[from * self.num_bits..][..self.num_bits]);
            next[p] = sign;
            subtract(&mut next[p + 1..], &coupling[p + 1..], sign);
            *to = cost;
        }
        core::mem::swap(&mut self.candidates, &mut self.next);
    }
}

/// Replaces the signs of bits by the logits, noise included, that decide each bit once more.
///
/// `logits` are those of each bit alone and are overwritten.
fn refine<R: Real>(logits: &mut [R], signs: &mut [R], noise: Option<&[R]>, coupling: &[R]) {
    let num_bits = logits.len();
    let coupling = |p: usize| &coupling[p * num_bits..][..num_bits];
    for (p, &sign) in signs.iter().enumerate() {
        subtract(logits, coupling(p), sign);
    }
    for p in 0..num_bits {
        let mut logit = logits[p];
        logit += signs[p];
        if let Some(noise) = noise {
            logit += noise[p];
        }
        let sign = match logit > R::default() {
            true => R::ONE,
            false => R::MINUS_ONE,
        };
        if sign != signs[p] {
            // The first call undoes the old sign, the second applies the new one.
            subtract(logits, coupling(p), sign);
            subtract(logits, coupling(p), sign);
        }
        // The sign of this bit is not read again.
        signs[p] = logit;
    }
}

/// Subtracts a bit's vector, with its sign, from the residual that the logits belong to.
fn subtract<R: Real>(logits: &mut [R], coupling: &[R], sign: R) {
    for (logit, &part) in logits.iter_mut().zip(coupling) {
        *logit -= sign * part;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns pseudo-random numbers in (-1, 1).
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

    fn sign(logit: f64) -> f64 {
        if logit > 0.0 { 1.0 } else { -1.0 }
    }

    /// Returns `|x - sum_p s_p h_p|^2 - 2 sum_p s_p |h_p|^2 noise_p` over the bits that have signs.
    fn cost(x: &[f64], h: &[Vec<f64>], noise: &[f64], signs: &[f64]) -> f64 {
        let mut residual = x.to_vec();
        let mut cost = 0.0;
        for ((h, noise), sign) in h.iter().zip(noise).zip(signs) {
            residual.iter_mut().zip(h).for_each(|(r, h)| *r -= sign * h);
            cost -= 2.0 * sign * dot(h, h) * noise;
        }
        cost + dot(&residual, &residual)
    }

    /// Decides as `decide` does, with the vectors instead of their products.
    fn decide_plainly(x: &[f64], h: &[Vec<f64>], noise: &[f64], beam: usize) -> Vec<f64> {
        let mut candidates = alloc::vec![Vec::new()];
        for _ in h {
            let extend = |signs: &Vec<f64>| [-1.0, 1.0].map(|sign| [&signs[..], &[sign]].concat());
            candidates = candidates.iter().flat_map(extend).collect();
            candidates.sort_by(|a, b| cost(x, h, noise, a).total_cmp(&cost(x, h, noise, b)));
            candidates.truncate(beam);
        }
        let mut signs = candidates.swap_remove(0);
        let mut decided = Vec::new();
        for p in 0..h.len() {
            signs[p] = 0.0;
            let mut residual = x.to_vec();
            for (h, sign) in h.iter().zip(&signs) {
                residual.iter_mut().zip(h).for_each(|(r, h)| *r -= sign * h);
            }
            decided.push(dot(&residual, &h[p]) / dot(&h[p], &h[p]) + noise[p]);
            signs[p] = sign(decided[p]);
        }
        decided
    }

    #[test]
    fn decide_gives_the_logits_of_a_search_with_the_vectors() {
        const FEATURES: usize = 5;
        let mut later = 0;
        for num_bits in [1, 2, 3, 8, 13] {
            for beam in [1, 2, 5, 16] {
                let flat = numbers(num_bits as u64, num_bits * FEATURES);
                let h: Vec<Vec<f64>> = flat.chunks(FEATURES).map(<[f64]>::to_vec).collect();
                let products = |q: &[f64]| h.iter().map(|p| dot(q, p)).collect::<Vec<_>>();
                let gram: Vec<f64> = h.iter().flat_map(|q| products(q)).collect();
                let rows = numbers(7, 20 * FEATURES);
                let noise = numbers(9, 20 * num_bits);
                let no_noise = alloc::vec![0.0; noise.len()];
                for noise in [None, Some(&noise)] {
                    let mut logits: Vec<f64> = rows.chunks(FEATURES).flat_map(products).collect();
                    let first = logits.clone();
                    let given = noise.map(Vec::as_slice);
                    decide(&mut logits, given, &gram, num_bits, beam);
                    let noise = noise.unwrap_or(&no_noise).chunks(num_bits);
                    let wanted = rows.chunks(FEATURES).zip(noise);
                    let wanted = wanted.flat_map(|(x, noise)| decide_plainly(x, &h, noise, beam));
                    for (found, wanted) in logits.iter().zip(wanted) {
                        assert!((found - wanted).abs() < 1e-9, "{found}, expected {wanted}");
                    }
                    let changed = logits.iter().zip(first);
                    later += changed.filter(|&(a, b)| sign(*a) != sign(b)).count();
                }
            }
        }
        assert!(
            later > 100,
            "only {later} bits differ from independent ones"
        );
    }

    #[test]
    fn a_beam_of_all_candidates_finds_the_nearest_code() {
        const FEATURES: usize = 3;
        let num_bits = 7;
        let flat = numbers(3, num_bits * FEATURES);
        let h: Vec<Vec<f64>> = flat.chunks(FEATURES).map(<[f64]>::to_vec).collect();
        let products = |q: &[f64]| h.iter().map(|p| dot(q, p)).collect::<Vec<_>>();
        let gram: Vec<f64> = h.iter().flat_map(|q| products(q)).collect();
        let no_noise = alloc::vec![0.0; num_bits];
        let mut missed = 0;
        for x in numbers(5, 40 * FEATURES).chunks(FEATURES) {
            let least = (0..1 << num_bits).map(|code| {
                let signs = (0..num_bits).map(|p| sign(f64::from(code >> p & 1)));
                cost(x, &h, &no_noise, &signs.collect::<Vec<_>>())
            });
            let least = least.fold(f64::INFINITY, f64::min);
            let found = [1, 1 << num_bits].map(|beam| {
                let mut logits = products(x);
                decide(&mut logits, None, &gram, num_bits, beam);
                let signs: Vec<f64> = logits.iter().map(|&logit| sign(logit)).collect();
                cost(x, &h, &no_noise, &signs)
            });
            assert!(found[1] < least + 1e-9, "{found:?}, expected {least}");
            missed += usize::from(found[0] > least + 1e-9);
        }
        assert!(
            missed > 10,
            "a beam of 1 misses only {missed} nearest codes"
        );
    }

    #[test]
    fn a_vector_whose_square_is_subnormal_does_not_change_the_other_bits() {
        let tiny = f32::MIN_POSITIVE / 8.0;
        let gram = [1.0, 0.0, 0.0, tiny];
        let mut logits = [0.7, tiny];
        decide(&mut logits, None, &gram, 2, usize::MAX);
        assert_eq!(logits[0], 0.7);
        assert!(logits[1].is_finite(), "{}", logits[1]);
    }

    #[test]
    fn nan_and_ties_give_0_and_do_not_affect_other_rows() {
        let gram = [1.0, 0.5, 0.5, 1.0];
        let mut logits = [f32::NAN, 3.0, 0.0, -0.0, 4.0, 5.0];
        decide(&mut logits, None, &gram, 2, 2);
        let bits: Vec<bool> = logits.iter().map(|&logit| logit > 0.0).collect();
        assert_eq!(bits, [false, true, false, true, true, true]);
        let mut nothing = [0.0f32, 1.0];
        decide(&mut nothing, None, &[0.0, 0.0, 0.0, 1.0], 2, 2);
        assert!(nothing[0] <= 0.0 && nothing[1] > 0.0, "{nothing:?}");
    }

    #[test]
    #[should_panic(
        expected = "decide: 5 products, a Gram matrix of 4, expected rows of 2 and 2 x 2"
    )]
    fn rows_that_are_not_whole_are_refused() {
        decide(&mut [0.0f32; 5], None, &[0.0; 4], 2, 1);
    }

    #[test]
    #[should_panic(expected = "decide: a beam of 0")]
    fn a_beam_of_0_is_refused() {
        decide(&mut [0.0f32; 4], None, &[0.0; 4], 2, 0);
    }
}
