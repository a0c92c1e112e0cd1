//! Tests the training backward pass against plain loops, at every level.

mod support;

use bitcodes_kernels::layout::{pack_row, row_bytes};
use bitcodes_kernels::{Backward, Codebook, Level, Rows};
use support::numbers;

/// A sum and the sum of its terms' magnitudes, which bounds the error in f32.
#[derive(Clone, Copy, Default)]
struct Sum(f64, f64);

impl Sum {
    fn add(&mut self, term: f64) {
        self.0 += term;
        self.1 += term.abs();
    }

    fn check(self, found: f32, terms: usize, what: &str) {
        let bound = 2.0 * f64::from(f32::EPSILON) * (terms as f64).sqrt().max(4.0) * self.1;
        assert!(
            (f64::from(found) - self.0).abs() <= bound,
            "{what} is {found}, expected {}",
            self.0
        );
    }
}

#[test]
fn gradients_agree_with_the_formulas() {
    for (features, num_bits, vectors) in [
        (1, 1, 1),
        (3, 2, 7),
        (16, 33, 40),
        (65, 9, 530),
        (64, 32, 1100),
        (512, 5, 70),
    ] {
        let codebook = numbers(2 * num_bits * features, 1);
        let x = numbers(vectors * features, 2);
        let output = numbers(vectors * features, 3);
        let slopes = numbers(vectors * num_bits, 4);
        let bits: Vec<u8> = numbers(vectors * num_bits, 5)
            .iter()
            .map(|n| u8::from(*n > 0.0))
            .collect();
        let bytes = row_bytes(num_bits);
        let mut packed = vec![0; vectors * bytes];
        for (bits, packed) in bits.chunks(num_bits).zip(packed.chunks_mut(bytes)) {
            pack_row(bits, packed).unwrap();
        }
        let wide = |n: f32| f64::from(n);
        let delta = |bit: usize, feature: usize| {
            let [zero, one] = [0, 1].map(|b| wide(codebook[(2 * bit + b) * features + feature]));
            one - zero
        };
        let mut grad_x = vec![Sum::default(); vectors * features];
        let mut grad_delta = vec![Sum::default(); num_bits * features];
        let mut grad_base = vec![Sum::default(); features];
        for vector in 0..vectors {
            for feature in 0..features {
                grad_base[feature].add(wide(output[vector * features + feature]));
            }
            for bit in 0..num_bits {
                let at = vector * num_bits + bit;
                let mut logit = Sum::default();
                for feature in 0..features {
                    logit.add(wide(output[vector * features + feature]) * delta(bit, feature));
                }
                let slope = wide(slopes[at]);
                for feature in 0..features {
                    let place = vector * features + feature;
                    let by = |sum: &mut Sum, factor: f64| {
                        sum.0 += logit.0 * slope * factor;
                        sum.1 += logit.1 * (slope * factor).abs();
                    };
                    by(&mut grad_x[place], delta(bit, feature));
                    let grad_delta = &mut grad_delta[bit * features + feature];
                    by(grad_delta, wide(x[place]));
                    grad_delta.add(f64::from(bits[at]) * wide(output[place]));
                }
            }
        }
        let backward = Backward {
            codebook: Codebook::new(&codebook, features),
            x: Rows::new(&x, features),
            packed: &packed,
            slopes: &slopes,
            output: Rows::new(&output, features),
        };
        for level in Level::available() {
            let found = backward.gradients_at(level);
            assert_eq!(found.x.len(), grad_x.len());
            let terms = features * num_bits;
            for (found, wanted) in found.x.iter().zip(&grad_x) {
                wanted.check(*found, terms, "a gradient of a vector");
            }
            for bit in 0..num_bits {
                for feature in 0..features {
                    let [zero, one] =
                        [0, 1].map(|b| found.codebook[(2 * bit + b) * features + feature]);
                    let (delta, base) = (grad_delta[bit * features + feature], grad_base[feature]);
                    delta.check(one, vectors * features, "a gradient of a vector for 1");
                    let rest = Sum(base.0 - delta.0, base.1 + delta.1);
                    rest.check(zero, vectors * features, "a gradient of a vector for 0");
                }
            }
        }
    }
}

#[test]
fn an_empty_batch_gives_the_codebook_a_gradient_of_zeros() {
    let codebook = numbers(2 * 3 * 4, 1);
    let backward = Backward {
        codebook: Codebook::new(&codebook, 4),
        x: Rows::new(&[], 4),
        packed: &[],
        slopes: &[],
        output: Rows::new(&[], 4),
    };
    let found = backward.gradients();
    assert_eq!((found.x, found.codebook), (vec![], vec![0.0; 24]));
}
