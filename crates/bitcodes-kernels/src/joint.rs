//! Bits that are decided together, so that they leave as little of a vector as they can.

use alloc::vec::Vec;
use core::ops::{AddAssign, Div, Mul, SubAssign};

/// What is computed in: `f32` or `f64`.
pub trait Real:
    Copy + Default + PartialOrd + Mul<Output = Self> + Div<Output = Self> + AddAssign + SubAssign
{
    /// 1.
    const ONE: Self;
    /// -1.
    const MINUS_ONE: Self;
    /// The least that is divided by, of `f32` for both.
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

/// Turns rows of products into the logits by which each bit is decided last.
///
/// The vector `x` of a row is approached by `sum_p s_p h_p`, each sign `s_p` -1 or 1, by beam search:
/// for each bit in turn both signs are tried on each way that is kept to decide those before it, and
/// the `beam` ways are kept that leave the least of `x`. With a beam of 1 that is each bit's sign on
/// what those before it left. Then each bit is decided once more, on what all others left: its logit
/// is `r . h_p / |h_p|^2`, with `r` what they left of `x`, and it is 1 if logit plus noise is above 0.
/// Without noise that does not make `|r|^2` larger; noise of bit `p` adds `-2 s_p |h_p|^2 noise_p` to
/// what is made small.
///
/// `products` are rows of `x . h_p`, overwritten by the sums of logit and noise that decided; a tie
/// and NaN give 0, and so does, without noise, a bit whose `h_p` is 0. `noise` is as long, or none;
/// `gram` is `[num_bits, num_bits]`, `h_q . h_p`.
///
/// # Panics
///
/// Where `num_bits` or `beam` is 0, the rows are not whole, `gram` or `noise` are of another length,
/// or memory has no room for twice `beam` rows.
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
    // Finite, whatever the vector.
    let inverse = |&square: &R| match square > R::SMALLEST {
        true => R::ONE / square,
        false => R::ONE / R::SMALLEST,
    };
    let inverses: Vec<R> = squares.iter().map(inverse).collect();
    // What `h_q` has in the logit of bit `p`.
    let coupling: Vec<R> = gram
        .chunks_exact(num_bits)
        .flat_map(|row| row.iter().zip(&inverses).map(|(&g, &inverse)| g * inverse))
        .collect();
    let mut search = Search::new(num_bits, beam);
    let mut logits = alloc::vec![R::default(); num_bits];
    for (row, decided) in products.chunks_exact_mut(num_bits).enumerate() {
        let noise = noise.map(|noise| &noise[row * num_bits..][..num_bits]);
        for ((logit, &product), &inverse) in logits.iter_mut().zip(&*decided).zip(&inverses) {
            *logit = product * inverse;
        }
        decided.copy_from_slice(search.signs(&logits, noise, &squares, &coupling));
        decide_again(&mut logits, decided, noise, &coupling);
    }
}

/// The ways to decide the first bits of a row that are kept, each a row of `num_bits`.
struct Search<R> {
    num_bits: usize,
    /// How many there are, at most as many as there is room for in `best`.
    kept: usize,
    /// Of each the signs of the bits that are decided, then the logits of the others for what those
    /// leave.
    ways: Vec<R>,
    /// Of each `|r|^2`, noise included, halved and less what all have.
    costs: Vec<R>,
    /// Those with one bit more, the best first.
    best: Vec<Longer<R>>,
    next: Vec<R>,
}

/// One of the ways with one bit more.
#[derive(Clone, Copy, Default)]
struct Longer<R> {
    cost: R,
    way: usize,
    sign: R,
}

impl<R: Real> Search<R> {
    fn new(num_bits: usize, beam: usize) -> Self {
        let all = 1usize.checked_shl(num_bits as u32).unwrap_or(usize::MAX);
        let beam = beam.min(all);
        let room = beam.saturating_mul(num_bits);
        Self {
            num_bits,
            kept: 0,
            ways: alloc::vec![R::default(); room],
            costs: alloc::vec![R::default(); beam],
            best: alloc::vec![Longer::default(); beam],
            next: alloc::vec![R::default(); room],
        }
    }

    /// The signs that are found for a row, from the logit of each bit alone.
    fn signs(&mut self, logits: &[R], noise: Option<&[R]>, squares: &[R], coupling: &[R]) -> &[R] {
        self.ways[..self.num_bits].copy_from_slice(logits);
        self.costs[0] = R::default();
        self.kept = 1;
        for (p, &square) in squares.iter().enumerate() {
            self.try_both(p, noise.map(|noise| noise[p]), square);
            self.go_on(p, &coupling[p * self.num_bits..][..self.num_bits]);
        }
        &self.ways[..self.num_bits]
    }

    /// Finds the best ways to decide bit `p` after those that are kept. Of two of the same cost the
    /// first is taken, and -1 before 1.
    fn try_both(&mut self, p: usize, noise: Option<R>, square: R) {
        let mut found = 0;
        let ways = self.ways.chunks_exact(self.num_bits).zip(&self.costs);
        for (way, (signs, &cost)) in ways.take(self.kept).enumerate() {
            let mut logit = signs[p];
            if let Some(noise) = noise {
                logit += noise;
            }
            for sign in [R::MINUS_ONE, R::ONE] {
                let mut cost = cost;
                cost -= sign * square * logit;
                // The last one drops out where there is no room.
                let mut place = found;
                found = self.best.len().min(found + 1);
                while place > 0 && cost < self.best[place - 1].cost {
                    if place < found {
                        self.best[place] = self.best[place - 1];
                    }
                    place -= 1;
                }
                if place < found {
                    self.best[place] = Longer { cost, way, sign };
                }
            }
        }
        self.kept = found;
    }

    /// Goes on with the best ways; `vector` is what `h_p` has in each logit.
    fn go_on(&mut self, p: usize, vector: &[R]) {
        let next = self.next.chunks_exact_mut(self.num_bits);
        let next = next.zip(&mut self.costs).zip(&self.best);
        for ((next, to), &Longer { cost, way, sign }) in next.take(self.kept) {
            next.copy_from_slice(&self.ways[way * self.num_bits..][..self.num_bits]);
            next[p] = sign;
            take_out(&mut next[p + 1..], &vector[p + 1..], sign);
            *to = cost;
        }
        core::mem::swap(&mut self.ways, &mut self.next);
    }
}

/// Turns the signs of bits into the logits that decide them once more; `logits` are those of each bit
/// alone, overwritten.
fn decide_again<R: Real>(logits: &mut [R], signs: &mut [R], noise: Option<&[R]>, coupling: &[R]) {
    let num_bits = logits.len();
    let vector = |p: usize| &coupling[p * num_bits..][..num_bits];
    for (p, &sign) in signs.iter().enumerate() {
        take_out(logits, vector(p), sign);
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
            // Once to put back what was, once to take out what is.
            take_out(logits, vector(p), sign);
            take_out(logits, vector(p), sign);
        }
        // Its sign is not needed any more.
        signs[p] = logit;
    }
}

fn take_out<R: Real>(left: &mut [R], vector: &[R], sign: R) {
    for (left, &part) in left.iter_mut().zip(vector) {
        *left -= sign * part;
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

    fn sign(logit: f64) -> f64 {
        if logit > 0.0 { 1.0 } else { -1.0 }
    }

    /// `|x - sum_p s_p h_p|^2 - 2 sum_p s_p |h_p|^2 noise_p` of the first bits.
    fn cost(x: &[f64], h: &[Vec<f64>], noise: &[f64], signs: &[f64]) -> f64 {
        let mut left = x.to_vec();
        let mut cost = 0.0;
        for ((h, noise), sign) in h.iter().zip(noise).zip(signs) {
            left.iter_mut().zip(h).for_each(|(l, h)| *l -= sign * h);
            cost -= 2.0 * sign * dot(h, h) * noise;
        }
        cost + dot(&left, &left)
    }

    /// The same on the vectors themselves.
    fn plainly(x: &[f64], h: &[Vec<f64>], noise: &[f64], beam: usize) -> Vec<f64> {
        let mut ways = alloc::vec![Vec::new()];
        for _ in h {
            let longer = |way: &Vec<f64>| [-1.0, 1.0].map(|sign| [&way[..], &[sign]].concat());
            ways = ways.iter().flat_map(longer).collect();
            ways.sort_by(|a, b| cost(x, h, noise, a).total_cmp(&cost(x, h, noise, b)));
            ways.truncate(beam);
        }
        let mut signs = ways.swap_remove(0);
        let mut decided = Vec::new();
        for p in 0..h.len() {
            signs[p] = 0.0;
            let mut left = x.to_vec();
            for (h, sign) in h.iter().zip(&signs) {
                left.iter_mut().zip(h).for_each(|(l, h)| *l -= sign * h);
            }
            decided.push(dot(&left, &h[p]) / dot(&h[p], &h[p]) + noise[p]);
            signs[p] = sign(decided[p]);
        }
        decided
    }

    #[test]
    fn decides_as_the_vectors_themselves_do() {
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
                let silence = alloc::vec![0.0; noise.len()];
                for noise in [None, Some(&noise)] {
                    let mut logits: Vec<f64> = rows.chunks(FEATURES).flat_map(products).collect();
                    let first = logits.clone();
                    let given = noise.map(Vec::as_slice);
                    decide(&mut logits, given, &gram, num_bits, beam);
                    let noise = noise.unwrap_or(&silence).chunks(num_bits);
                    let wanted = rows.chunks(FEATURES).zip(noise);
                    let wanted = wanted.flat_map(|(x, noise)| plainly(x, &h, noise, beam));
                    for (found, wanted) in logits.iter().zip(wanted) {
                        assert!((found - wanted).abs() < 1e-9, "{found}, expected {wanted}");
                    }
                    let changed = logits.iter().zip(first);
                    later += changed.filter(|&(a, b)| sign(*a) != sign(b)).count();
                }
            }
        }
        assert!(later > 100, "{later} bits were decided by what others left");
    }

    #[test]
    fn a_beam_of_all_ways_finds_the_nearest() {
        const FEATURES: usize = 3;
        let num_bits = 7;
        let flat = numbers(3, num_bits * FEATURES);
        let h: Vec<Vec<f64>> = flat.chunks(FEATURES).map(<[f64]>::to_vec).collect();
        let products = |q: &[f64]| h.iter().map(|p| dot(q, p)).collect::<Vec<_>>();
        let gram: Vec<f64> = h.iter().flat_map(|q| products(q)).collect();
        let silence = alloc::vec![0.0; num_bits];
        let mut missed = 0;
        for x in numbers(5, 40 * FEATURES).chunks(FEATURES) {
            let least = (0..1 << num_bits).map(|code| {
                let signs = (0..num_bits).map(|p| sign(f64::from(code >> p & 1)));
                cost(x, &h, &silence, &signs.collect::<Vec<_>>())
            });
            let least = least.fold(f64::INFINITY, f64::min);
            let found = [1, 1 << num_bits].map(|beam| {
                let mut logits = products(x);
                decide(&mut logits, None, &gram, num_bits, beam);
                let signs: Vec<f64> = logits.iter().map(|&logit| sign(logit)).collect();
                cost(x, &h, &silence, &signs)
            });
            assert!(found[1] < least + 1e-9, "{found:?}, expected {least}");
            missed += usize::from(found[0] > least + 1e-9);
        }
        assert!(missed > 10, "{missed} that a beam of 1 does not find");
    }

    #[test]
    fn vectors_too_short_to_square_leave_the_other_bits_as_they_are() {
        let tiny = f32::MIN_POSITIVE / 8.0;
        let gram = [1.0, 0.0, 0.0, tiny];
        let mut logits = [0.7, tiny];
        decide(&mut logits, None, &gram, 2, usize::MAX);
        assert_eq!(logits[0], 0.7);
        assert!(logits[1].is_finite(), "{}", logits[1]);
    }

    #[test]
    fn nan_and_ties_give_0_and_stay_in_their_row() {
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
    fn no_beam_is_refused() {
        decide(&mut [0.0f32; 4], None, &[0.0; 4], 2, 0);
    }
}
