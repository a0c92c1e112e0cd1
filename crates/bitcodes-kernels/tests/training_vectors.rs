//! Tests what training does with the vectors and their codes after a pass of joint bits, against plain
//! loops.

mod support;

use bitcodes_kernels::joint::Normalization;
use bitcodes_kernels::layout::{row_bytes, unpack_row};
use bitcodes_kernels::{Balance, Codebook, Decoder, JointEncoder, Noise, Rows, leave_unquantized};
use support::numbers;

const SHAPES: [[usize; 3]; 6] = [
    [0, 4, 3],
    [1, 1, 1],
    [7, 3, 2],
    [40, 16, 33],
    [1100, 20, 9],
    [530, 130, 5],
];

const FACTOR: f32 = 0.7;
const WEIGHT: f32 = 0.5;

fn valid(vectors: usize) -> Vec<bool> {
    (0..vectors).map(|vector| vector % 5 != 2).collect()
}

#[test]
fn the_vectors_with_draws_below_the_share_are_left_unquantized() {
    for [vectors, features, _] in SHAPES {
        let (x, center) = (numbers(vectors * features, 1), numbers(features, 2));
        let decoded = numbers(vectors * features, 3);
        let draws: Vec<f32> = numbers(vectors, 4).iter().map(|x| x.abs() / 2.0).collect();
        let valid = valid(vectors);
        let x = Rows::new(&x, features);
        let normalization = Some(Normalization {
            factor: FACTOR,
            center: &center,
        });
        for share in [0.0, 0.3, 1.0] {
            let mut draws = draws.clone();
            draws
                .iter_mut()
                .skip(3)
                .take(1)
                .for_each(|draw| *draw = f32::NAN);
            let mut after = decoded.clone();
            let squares =
                leave_unquantized(x, normalization, Some(&valid), share, &draws, &mut after);
            let mut wanted = 0.0;
            let rows = after.chunks(features).zip(decoded.chunks(features));
            for (vector, (after, before)) in rows.enumerate() {
                if draws[vector].is_nan() || draws[vector] >= share {
                    assert_eq!(after, before);
                    continue;
                }
                let z = x.row(vector).iter().zip(&center);
                let z: Vec<f32> = z.map(|(x, center)| FACTOR * x - center).collect();
                assert_eq!(after, z);
                if valid[vector] {
                    let each = z.iter().zip(before);
                    let square = |(z, y): (&f32, &f32)| (f64::from(*z) - f64::from(*y)).powi(2);
                    wanted += each.map(square).sum::<f64>();
                }
            }
            // A difference, its square and each addition round by half a unit, the difference twice in
            // the square. All terms are positive, so that relative errors do not grow in the sum.
            let bound = f64::from(f32::EPSILON) / 2.0 * (features + 2) as f64 * wanted;
            assert!(
                (squares - wanted).abs() <= bound,
                "{squares}, expected {wanted}"
            );
        }
    }
}

#[test]
fn the_balance_loss_and_its_gradient_are_those_of_plain_loops() {
    for [vectors, features, num_bits] in SHAPES {
        let codebook = numbers(2 * num_bits * features, 1);
        let codebook = Codebook::new(&codebook, features);
        let (mut x, center) = (numbers(vectors * features, 2), numbers(features, 3));
        // The first vectors are not finite.
        let infinite = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        for (row, number) in x.chunks_mut(features).zip(infinite) {
            row[0] = number;
        }
        let x = Rows::new(&x, features);
        let normalization = Some(Normalization {
            factor: FACTOR,
            center: &center,
        });
        let mut packed = vec![0; vectors * row_bytes(num_bits)];
        // With noise the residuals are large.
        let noise = Noise::Logistic {
            seed: 5,
            scale: 0.5,
        };
        JointEncoder::new(codebook, normalization, 2).encode(x, noise, &mut packed);
        let quantized = Decoder::new(codebook).decoded(&packed);
        let excess = numbers(num_bits, 6);
        let excess = excess.iter().enumerate();
        let excess: Vec<f32> = excess
            .map(|(bit, &excess)| if bit % 3 == 1 { 0.0 } else { excess })
            .collect();
        let valid = valid(vectors);
        let balance = Balance {
            x,
            normalization,
            codebook,
            packed: &packed,
            quantized: &quantized,
            valid: Some(&valid),
            excess: &excess,
            weight: WEIGHT,
        };
        let (loss, gradient) = balance.loss_and_gradient();
        let wanted = plain(balance);
        // The root of the number of terms of a sum bounds their roundings, each relative to a size below 8.
        let bound = |terms: usize| 8.0 * f64::from(f32::EPSILON) * (4.0 + (terms as f64).sqrt());
        let of_loss = bound(vectors * num_bits * features) * (vectors * num_bits).max(1) as f64;
        assert!(
            (loss - wanted.loss).abs() <= of_loss,
            "a loss of {loss}, expected {}",
            wanted.loss
        );
        for (vector, row) in gradient.chunks(features).enumerate() {
            if wanted.edges[vector] {
                continue;
            }
            for (&found, wanted) in row.iter().zip(&wanted.gradient[vector * features..]) {
                assert!(
                    (f64::from(found) - wanted).abs() <= bound(num_bits),
                    "{found}, expected {wanted}"
                );
            }
        }
        let zeros = vec![0.0; num_bits];
        let balanced = Balance {
            excess: &zeros,
            ..balance
        };
        assert_eq!(
            balanced.loss_and_gradient(),
            (0.0, vec![0.0; vectors * features])
        );
        let edges = wanted.edges.iter().filter(|&&edge| edge).count();
        assert!(
            100 * edges <= vectors,
            "{edges} of {vectors} vectors are not compared"
        );
        if vectors > 500 {
            let moved = gradient.chunks(features);
            let moved = moved.filter(|row| row.iter().any(|&x| x != 0.0)).count();
            assert!(
                (vectors / 4..vectors).contains(&moved),
                "{moved} of {vectors}"
            );
        }
    }
}

struct Plain {
    loss: f64,
    gradient: Vec<f64>,
    /// Whether rounding decides if a vector gets the gradient of a bit.
    edges: Vec<bool>,
}

fn plain(balance: Balance<'_>) -> Plain {
    let features = balance.x.features();
    let num_bits = balance.codebook.num_bits();
    let center = balance.normalization.unwrap().center;
    let mut plain = Plain {
        loss: 0.0,
        gradient: vec![0.0; balance.x.len() * features],
        edges: vec![false; balance.x.len()],
    };
    let mut bits = vec![0; num_bits];
    for vector in (0..balance.x.len()).filter(|&vector| balance.valid.unwrap()[vector]) {
        let code = &balance.packed[vector * row_bytes(num_bits)..][..row_bytes(num_bits)];
        unpack_row(code, &mut bits).unwrap();
        let residual: Vec<f64> = (0..features)
            .map(|feature| {
                let x = f64::from(balance.x.row(vector)[feature]);
                let y = f64::from(balance.quantized[vector * features + feature]);
                f64::from(FACTOR) * x - f64::from(center[feature]) - y
            })
            .collect();
        for (bit, difference) in balance.codebook.differences().enumerate() {
            let half: Vec<f64> = difference.map(|delta| f64::from(delta) / 2.0).collect();
            let square: f64 = half.iter().map(|half| half * half).sum();
            let product: f64 = residual.iter().zip(&half).map(|(d, half)| d * half).sum();
            let logit = product / square + 2.0 * f64::from(bits[bit]) - 1.0;
            let excess = f64::from(WEIGHT) * f64::from(balance.excess[bit]);
            if !logit.is_finite() || excess == 0.0 {
                continue;
            }
            plain.loss += excess * square * logit.clamp(-1.0, 1.0);
            plain.edges[vector] |= (logit.abs() - 1.0).abs() < 1e-4;
            if logit.abs() < 1.0 {
                let gradient = &mut plain.gradient[vector * features..][..features];
                for (to, half) in gradient.iter_mut().zip(&half) {
                    *to += excess * half;
                }
            }
        }
    }
    plain
}
