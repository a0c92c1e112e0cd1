//! Tests the training pass of joint bits and its gradients against plain loops, at every level.

mod support;

use bitcodes_kernels::gradients::{commitment_gradient, normalization_gradient, sum_of_vectors};
use bitcodes_kernels::joint::Normalization;
use bitcodes_kernels::layout::{row_bytes, unpack_row};
use bitcodes_kernels::{
    Codebook, Decoder, JointEncoder, JointPass, JointSums, Level, Noise, Quantizer, Rows,
};
use support::numbers;

const SHAPES: [[usize; 3]; 5] = [
    [1, 1, 1],
    [7, 3, 2],
    [40, 16, 33],
    [1100, 20, 9],
    [530, 130, 5],
];

/// A center that is as long as the vectors, and a factor.
fn normalization(center: &[f32]) -> Option<Normalization<'_>> {
    Some(Normalization {
        factor: 0.7,
        center,
    })
}

fn assert_near(found: &[f32], wanted: &[f64], terms: f64, what: &str) {
    assert_eq!(found.len(), wanted.len());
    for (at, (&found, wanted)) in found.iter().zip(wanted).enumerate() {
        // The terms are below 4 in size. If their signs vary, so do those of the roundings, and both add
        // up as the root of the number of terms: to 4 units of rounding a term, of which this is 8 times.
        let bound = 4.0 * f64::from(f32::EPSILON) * 4.0 * terms;
        assert!(
            (f64::from(found) - wanted).abs() <= bound,
            "{what}[{at}] is {found}, expected {wanted}"
        );
    }
}

#[test]
fn sums_are_those_of_plain_loops() {
    for [vectors, features, num_bits] in SHAPES {
        let codebook = numbers(2 * num_bits * features, 1);
        let codebook = Codebook::new(&codebook, features);
        let (wide, center) = (numbers(vectors * (features + 3), 2), numbers(features, 3));
        let x = Rows::strided(&wide, vectors, features, features + 3);
        let noise: Vec<f32> = numbers(vectors * num_bits, 4);
        let valid: Vec<bool> = (0..vectors).map(|vector| vector % 5 != 2).collect();
        for level in Level::available() {
            for (normalization, valid, noise) in [
                (None, None, Noise::None),
                (normalization(&center), None, Noise::Given(&noise)),
                (normalization(&center), Some(&valid[..]), Noise::None),
                (
                    None,
                    Some(&valid[..]),
                    Noise::Logistic {
                        seed: 9,
                        scale: 0.3,
                    },
                ),
            ] {
                let encoder = JointEncoder::at(level, codebook, normalization, 4);
                let decoder = Decoder::at(level, codebook);
                let pass = JointPass {
                    encoder: &encoder,
                    decoder: &decoder,
                    normalization,
                    x,
                    noise,
                    valid,
                };
                let found = pass.run();
                let mut packed = vec![0; vectors * row_bytes(num_bits)];
                encoder.encode(x, noise, &mut packed);
                assert_eq!(found.packed, packed);
                assert_eq!(found.quantized, decoder.decoded(&packed));
                check_sums(&found.sums, &pass, &packed, &found.quantized);
            }
        }
    }
}

fn check_sums(found: &JointSums, pass: &JointPass<'_>, packed: &[u8], quantized: &[f32]) {
    let (features, num_bits) = (pass.x.features(), pass.encoder.num_bits());
    let (factor, center) = match pass.normalization {
        Some(Normalization { factor, center }) => (f64::from(factor), center.to_vec()),
        None => (1.0, vec![0.0; features]),
    };
    let (mut count, mut ones) = (0, vec![0.0; num_bits]);
    let mut of_bits = vec![0.0; num_bits * features];
    let (mut residuals, mut normalized) = (vec![0.0; features], vec![0.0; features]);
    let (mut squared_residuals, mut squared_normalized) = (0.0, 0.0);
    let mut bits = vec![0; num_bits];
    for vector in (0..pass.x.len()).filter(|&at| pass.valid.is_none_or(|valid| valid[at])) {
        count += 1;
        unpack_row(
            &packed[vector * row_bytes(num_bits)..][..row_bytes(num_bits)],
            &mut bits,
        )
        .unwrap();
        for feature in 0..features {
            let z = factor * f64::from(pass.x.row(vector)[feature]) - f64::from(center[feature]);
            let d = z - f64::from(quantized[vector * features + feature]);
            residuals[feature] += d;
            normalized[feature] += z;
            squared_residuals += d * d;
            squared_normalized += z * z;
            for (bit, &set) in bits.iter().enumerate() {
                of_bits[bit * features + feature] += f64::from(set) * d;
            }
        }
        for (sum, &set) in ones.iter_mut().zip(&bits) {
            *sum += f64::from(set);
        }
    }
    let terms = count as f64;
    assert_eq!(found.vectors, count);
    assert_near(&found.bits, &ones, 0.0, "bits");
    assert_near(
        &found.residuals_of_bits,
        &of_bits,
        terms,
        "residuals of bits",
    );
    assert_near(&found.residuals, &residuals, terms, "residuals");
    assert_near(&found.normalized, &normalized, terms, "normalized");
    for (found, wanted) in [
        (found.squared_residuals, squared_residuals),
        (found.squared_normalized, squared_normalized),
    ] {
        assert!(
            (found - wanted).abs() <= 1e-5 * wanted,
            "{found}, expected {wanted}"
        );
    }
}

#[test]
fn gradients_are_those_of_plain_loops() {
    for [vectors, features, _] in SHAPES.into_iter().chain([[20_000, 5, 1]]) {
        let (x, y) = (
            numbers(vectors * features, 1),
            numbers(vectors * features, 2),
        );
        let center = numbers(features, 3);
        let valid: Vec<bool> = (0..vectors).map(|vector| vector % 5 != 2).collect();
        let (rows, quantized) = (Rows::new(&x, features), Rows::new(&y, features));
        for (normalization, valid) in [(None, None), (normalization(&center), Some(&valid[..]))] {
            let found = commitment_gradient(rows, quantized, normalization, valid, 0.25);
            let factor = normalization.map_or(1.0, |of| f64::from(of.factor));
            let wanted = (0..vectors * features).map(|at| {
                let center = normalization.map_or(0.0, |of| f64::from(of.center[at % features]));
                let d = factor * f64::from(x[at]) - center - f64::from(y[at]);
                match valid.is_none_or(|valid| valid[at / features]) {
                    true => 0.25 * d,
                    false => 0.0,
                }
            });
            assert_near(&found, &wanted.collect::<Vec<_>>(), 1.0, "commitment");
        }
        let mut sums = vec![0.0; features];
        for (at, &x) in x.iter().enumerate() {
            sums[at % features] += f64::from(x);
        }
        assert_near(&sum_of_vectors(rows), &sums, vectors as f64, "sum");
        let found = normalization_gradient(rows, &center, 0.7);
        let wanted = x
            .iter()
            .enumerate()
            .map(|(at, &x)| f64::from(0.7f32) * (f64::from(x) - f64::from(center[at % features])));
        assert_near(&found, &wanted.collect::<Vec<_>>(), 1.0, "normalization");
    }
}

/// Of no vectors all sums are 0.
#[test]
fn an_empty_batch_has_sums_of_0() {
    let codebook = numbers(2 * 3 * 4, 1);
    let codebook = Codebook::new(&codebook, 4);
    let pass = JointPass {
        encoder: &JointEncoder::new(codebook, None, 8),
        decoder: &Decoder::new(codebook),
        normalization: None,
        x: Rows::new(&[], 4),
        noise: Noise::None,
        valid: None,
    };
    let found = pass.run();
    assert!(found.packed.is_empty() && found.quantized.is_empty());
    assert_eq!(found.sums.residuals_of_bits, [0.0; 12]);
    assert_eq!(found.sums.vectors, 0);
}

#[test]
#[should_panic(expected = "and 2 entries of valid, expected 4 features, 3 bits and 5 entries")]
fn a_mask_of_another_length_is_refused() {
    let codebook = numbers(2 * 3 * 4, 1);
    let codebook = Codebook::new(&codebook, 4);
    let pass = JointPass {
        encoder: &JointEncoder::new(codebook, None, 8),
        decoder: &Decoder::new(codebook),
        normalization: None,
        x: Rows::new(&[0.0; 20], 4),
        noise: Noise::None,
        valid: Some(&[true; 2]),
    };
    pass.run();
}

/// A quantizer of slices has the codes of the encoders, in one call and in many.
#[test]
fn a_quantizer_encodes_and_reconstructs_as_its_parts_do() {
    for [vectors, features, num_bits] in SHAPES {
        let codebook = numbers(2 * num_bits * features, 1);
        let codebook = Codebook::new(&codebook, features);
        let (x, center) = (numbers(vectors * features, 2), numbers(features, 3));
        let bytes = row_bytes(num_bits);
        for normalization in [None, normalization(&center)] {
            let mut wanted = vec![0; vectors * bytes];
            let encoder = JointEncoder::new(codebook, normalization, 8);
            encoder.encode(Rows::new(&x, features), Noise::None, &mut wanted);
            let mut joint = Quantizer::joint(codebook, normalization, 8);
            let mut independent = Quantizer::independent(codebook, normalization);
            let mut found = vec![0xff; vectors * bytes];
            joint.encode(Rows::new(&x, features), &mut found);
            assert_eq!(found, wanted);
            for quantizer in [&mut joint, &mut independent] {
                let mut one_by_one = vec![0xff; vectors * bytes];
                let each = one_by_one.chunks_mut(bytes).zip(x.chunks(features));
                each.for_each(|(code, x)| quantizer.encode(Rows::new(x, features), code));
                quantizer.encode(Rows::new(&x, features), &mut found);
                assert_eq!(found, one_by_one);
                let (mut y, mut again) = (vec![0.0; x.len()], vec![0.0; x.len()]);
                quantizer.decode(&found, &mut y);
                quantizer.reconstruct(&found, &mut again);
                for (at, (y, again)) in y.iter().zip(&again).enumerate() {
                    let wanted = match normalization {
                        Some(of) => (y + of.center[at % features]) / of.factor,
                        None => *y,
                    };
                    assert!((again - wanted).abs() <= 1e-5 * (1.0 + wanted.abs()));
                }
            }
        }
    }
}
