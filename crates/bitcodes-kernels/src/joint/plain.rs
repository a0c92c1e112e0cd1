//! The beam search in plain loops, which specify what a [`JointEncoder`](super::JointEncoder) computes.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::{AddAssign, Div, Mul, SubAssign};

use crate::tasks::{Task, run_in_parts};

/// Floating-point type that bits are decided in: `f32` or `f64`.
pub trait Real:
    Copy
    + Default
    + PartialOrd
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
    + SubAssign
    + Send
    + Sync
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

/// Decides the bits of each row jointly, in double precision, and returns the logits that decided them
/// in `products`.
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
/// give the bit 0, and so does `h_p = 0` without noise. Of candidates that cost the same, the search
/// keeps those that extend the better candidates, then those whose sign is -1. It does not try a sign
/// of 1 for `h_p = 0`.
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
pub fn decide(
    products: &mut [f64],
    noise: Option<&[f64]>,
    gram: &[f64],
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
    let inverses = &inverses(gram, num_bits);
    run_in_parts(Rows {
        pairs: Pairs { gram, inverses },
        beam,
        products,
        noise,
    });
}

/// Rows to decide.
struct Rows<'a> {
    pairs: Pairs<'a, f64>,
    beam: usize,
    products: &'a mut [f64],
    noise: Option<&'a [f64]>,
}

impl Task for Rows<'_> {
    type Output = ();

    fn vectors(&self) -> usize {
        self.products.len() / self.pairs.num_bits()
    }

    fn split_at(self, vectors: usize) -> (Self, Self) {
        let Self { pairs, beam, .. } = self;
        let at = vectors * pairs.num_bits();
        let (products, products_after) = self.products.split_at_mut(at);
        let (noise, noise_after) = self.noise.map(|noise| noise.split_at(at)).unzip();
        let part = |products, noise| Rows {
            pairs,
            beam,
            products,
            noise,
        };
        (part(products, noise), part(products_after, noise_after))
    }

    fn run(self) {
        let num_bits = self.pairs.num_bits();
        let mut search = BeamSearch::new(num_bits, self.beam);
        for (row, products) in self.products.chunks_exact_mut(num_bits).enumerate() {
            let noise = self.noise.map(|noise| &noise[row * num_bits..][..num_bits]);
            search.decide(products, noise, &self.pairs);
        }
    }

    fn join((): (), (): ()) {}
}

/// Products of the halves of the pairs' differences with one another.
#[derive(Debug, Clone, Copy)]
pub struct Pairs<'a, R> {
    /// `[num_bits, num_bits]`, the dot products `h_q . h_p`.
    pub gram: &'a [R],
    /// What [`inverses`] returns for them.
    pub inverses: &'a [R],
}

/// Returns the inverses of the squares `|h_p|^2`, finite for every vector, of a Gram matrix.
pub fn inverses<R: Real>(gram: &[R], num_bits: usize) -> Vec<R> {
    let squares = gram.iter().step_by(num_bits + 1);
    let inverses = squares.map(|&square| match square > R::SMALLEST {
        true => R::ONE / square,
        false => R::ONE / R::SMALLEST,
    });
    inverses.collect()
}

impl<'a, R: Real> Pairs<'a, R> {
    fn num_bits(&self) -> usize {
        self.inverses.len()
    }

    /// Returns the products of a half with all halves.
    fn row(&self, p: usize) -> &'a [R] {
        &self.gram[p * self.num_bits()..][..self.num_bits()]
    }
}

/// State of a beam search: the candidates for the first bits of a row.
#[derive(Debug, Clone)]
pub struct BeamSearch<R> {
    num_bits: usize,
    /// Product of each half with the vector, and then with the residual.
    rest: Vec<R>,
    /// Number of candidates, at most the length of `best`.
    kept: usize,
    /// `[beam, num_bits]`: each candidate's signs of the decided bits, then the products of the other
    /// halves with its residual.
    candidates: Vec<R>,
    /// Cost of each candidate, halved and less a term that all candidates share.
    costs: Vec<R>,
    /// Best extensions of the candidates by one bit, in the order of their costs.
    best: Vec<Extension<R>>,
    /// Candidates after the extension, which then take the place of `candidates`.
    next: Vec<R>,
}

/// Extension of a candidate by the sign of one more bit.
#[derive(Debug, Clone, Copy, Default)]
struct Extension<R> {
    cost: R,
    /// Index of the candidate that is extended.
    from: usize,
    sign: R,
}

impl<R: Real> BeamSearch<R> {
    /// Makes room for searches of `num_bits` bits.
    pub fn new(num_bits: usize, beam: usize) -> Self {
        let all = 1usize.checked_shl(num_bits as u32).unwrap_or(usize::MAX);
        let beam = beam.min(all);
        let room = beam.saturating_mul(num_bits);
        Self {
            num_bits,
            rest: vec![R::default(); num_bits],
            kept: 0,
            candidates: vec![R::default(); room],
            costs: vec![R::default(); beam],
            best: vec![Extension::default(); beam],
            next: vec![R::default(); room],
        }
    }

    /// Decides the bits of a row as [`decide`] does.
    pub fn decide(&mut self, products: &mut [R], noise: Option<&[R]>, pairs: &Pairs<'_, R>) {
        self.candidates[..self.num_bits].copy_from_slice(products);
        self.costs[0] = R::default();
        self.kept = 1;
        for p in 0..self.num_bits {
            let row = pairs.row(p);
            self.find_extensions(p, noise.map(|noise| noise[p]), row[p]);
            self.extend(p, row);
        }
        self.rest.copy_from_slice(products);
        products.copy_from_slice(&self.candidates[..self.num_bits]);
        refine(&mut self.rest, products, noise, pairs);
    }

    /// Finds the best extensions of the candidates by bit `p`.
    ///
    /// A tie in cost goes to the earlier candidate, then to -1.
    fn find_extensions(&mut self, p: usize, noise: Option<R>, square: R) {
        let mut found = 0;
        let candidates = self.candidates.chunks_exact(self.num_bits);
        let candidates = candidates.zip(&self.costs).take(self.kept);
        for (from, (candidate, &cost)) in candidates.enumerate() {
            let mut gain = candidate[p];
            if let Some(noise) = noise {
                gain += noise * square;
            }
            let signs: &[R] = match square == R::default() {
                true => &[R::MINUS_ONE],
                false => &[R::MINUS_ONE, R::ONE],
            };
            for &sign in signs {
                let mut cost = cost;
                cost -= sign * gain;
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

    /// Extends the candidates by bit `p`; `row` holds the products of its half with all halves.
    fn extend(&mut self, p: usize, row: &[R]) {
        let next = self.next.chunks_exact_mut(self.num_bits);
        let next = next.zip(&mut self.costs).zip(&self.best);
        for ((next, to), &Extension { cost, from, sign }) in next.take(self.kept) {
            next.copy_from_slice(&self.candidates[from * self.num_bits..][..self.num_bits]);
            next[p] = sign;
            subtract(&mut next[p + 1..], &row[p + 1..], sign);
            *to = cost;
        }
        core::mem::swap(&mut self.candidates, &mut self.next);
    }
}

/// Replaces the signs of bits by the logits, noise included, that decide each bit once more.
///
/// `rest` holds the products of the halves with the vector and is overwritten.
fn refine<R: Real>(rest: &mut [R], signs: &mut [R], noise: Option<&[R]>, pairs: &Pairs<'_, R>) {
    for (p, &sign) in signs.iter().enumerate() {
        subtract(rest, pairs.row(p), sign);
    }
    for p in 0..signs.len() {
        let row = pairs.row(p);
        let mut without = rest[p];
        without += signs[p] * row[p];
        let mut logit = without * pairs.inverses[p];
        if let Some(noise) = noise {
            logit += noise[p];
        }
        let sign = match logit > R::default() {
            true => R::ONE,
            false => R::MINUS_ONE,
        };
        if sign != signs[p] {
            // The first call undoes the old sign, the second applies the new one.
            subtract(rest, row, sign);
            subtract(rest, row, sign);
        }
        // The sign of this bit is not read again.
        signs[p] = logit;
    }
}

/// Subtracts a half, with its sign, from the residual that the products belong to.
fn subtract<R: Real>(rest: &mut [R], row: &[R], sign: R) {
    for (rest, &part) in rest.iter_mut().zip(row) {
        *rest -= sign * part;
    }
}
