use alloc::vec;
use alloc::vec::Vec;

use super::plain::decide;

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
    let mut candidates = vec![Vec::new()];
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
            let no_noise = vec![0.0; noise.len()];
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
    let no_noise = vec![0.0; num_bits];
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
    let tiny = f64::from(f32::MIN_POSITIVE / 8.0);
    let gram = [1.0, 0.0, 0.0, tiny];
    let mut logits = [0.7, tiny];
    decide(&mut logits, None, &gram, 2, usize::MAX);
    assert_eq!(logits[0], 0.7);
    assert!(logits[1].is_finite(), "{}", logits[1]);
}

#[test]
fn nan_and_ties_give_0_and_do_not_affect_other_rows() {
    let gram = [1.0, 0.5, 0.5, 1.0];
    let mut logits = [f64::NAN, 3.0, 0.0, -0.0, 4.0, 5.0];
    decide(&mut logits, None, &gram, 2, 2);
    let bits: Vec<bool> = logits.iter().map(|&logit| logit > 0.0).collect();
    assert_eq!(bits, [false, true, false, true, true, true]);
    let mut nothing = [0.0, 1.0];
    decide(&mut nothing, None, &[0.0, 0.0, 0.0, 1.0], 2, 2);
    assert!(nothing[0] <= 0.0 && nothing[1] > 0.0, "{nothing:?}");
}

#[test]
#[should_panic(expected = "decide: 5 products, a Gram matrix of 4, expected rows of 2 and 2 x 2")]
fn rows_that_are_not_whole_are_refused() {
    decide(&mut [0.0; 5], None, &[0.0; 4], 2, 1);
}

#[test]
#[should_panic(expected = "decide: a beam of 0")]
fn a_beam_of_0_is_refused() {
    decide(&mut [0.0; 4], None, &[0.0; 4], 2, 0);
}
