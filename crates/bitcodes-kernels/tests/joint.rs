//! Tests joint encoding against plain loops in double precision, at every level.

#[path = "support/plain_joint.rs"]
mod plain_joint;
mod support;

use bitcodes_kernels::joint::{Normalization, decide};
use bitcodes_kernels::layout::row_bytes;
use bitcodes_kernels::{Codebook, JointEncoder, Level, Noise, Rows};
use plain_joint::{Halves, Plain};
use support::numbers;

fn bit_of_row(row: &[u8], bit: usize) -> bool {
    row[bit / 8] >> (bit % 8) & 1 == 1
}

/// Encodes vectors and returns the bits of each.
fn encode(encoder: &JointEncoder, x: Rows<'_>, noise: Noise<'_>) -> Vec<Vec<bool>> {
    let (num_bits, bytes) = (encoder.num_bits(), row_bytes(encoder.num_bits()));
    let mut packed = vec![0xff; x.len() * bytes];
    let mut logits = vec![f32::NAN; x.len() * num_bits];
    encoder.encode_with_logits(x, noise, &mut packed, &mut logits);
    let mut alone = vec![0xff; packed.len()];
    encoder.encode(x, noise, &mut alone);
    assert_eq!(alone, packed, "with and without logits");
    let rows = packed
        .chunks_exact(bytes)
        .zip(logits.chunks_exact(num_bits));
    rows.map(|(row, logits)| {
        let bits = (0..num_bits).map(|bit| bit_of_row(row, bit));
        let bits: Vec<bool> = bits.collect();
        assert!(
            bits.iter()
                .zip(logits)
                .all(|(&bit, &logit)| bit == (logit > 0.0))
        );
        let tail = (num_bits..8 * bytes).any(|bit| bit_of_row(row, bit));
        assert!(!tail, "a bit past the last is set");
        bits
    })
    .collect()
}

#[test]
fn bits_are_those_of_the_plain_loop_wherever_rounding_cannot_turn_them() {
    // Sizes around those of words, groups of bits and lanes.
    for (features, num_bits, beams) in [
        (1, 1, &[1, 8][..]),
        (3, 2, &[1, 2, 8]),
        (8, 4, &[1, 2, 4, 8, 16]),
        (7, 5, &[3, 8, 32]),
        (16, 9, &[8]),
        (64, 31, &[8]),
        (64, 32, &[1, 4, 8, 16, 32, 6]),
        (64, 33, &[2, 8, 32]),
        (20, 57, &[8]),
        (65, 80, &[4, 8, 16]),
        (128, 128, &[8]),
    ] {
        let codebook = numbers(2 * num_bits * features, 1);
        let codebook = Codebook::new(&codebook, features);
        for &beam in beams {
            // The plain loop compares all ways that are kept with all that are left out.
            let vectors = (12_000_000 / (num_bits.pow(3) * beam * beam / 16 + 1)).clamp(3, 211);
            let x = numbers(vectors * features, 2);
            let x = Rows::new(&x, features);
            let plain = Plain::new(codebook, beam);
            let wanted: Vec<(Vec<bool>, bool)> = x.iter().map(|x| plain.decide(x)).collect();
            let sure = wanted.iter().filter(|(_, is_sure)| *is_sure).count();
            let share = sure as f64 / vectors as f64;
            for level in Level::available() {
                let at = format!("{features} x {num_bits}, beam {beam}, {level:?}");
                let encoder = JointEncoder::at(level, codebook, None, beam);
                let found = encode(&encoder, x, Noise::None);
                let (mut error, mut plain_error) = (0.0, 0.0);
                for ((x, found), (wanted, is_sure)) in x.iter().zip(&found).zip(&wanted) {
                    error += plain.error(x, found);
                    plain_error += plain.error(x, wanted);
                    assert!(
                        !is_sure || wanted == found,
                        "{at}: {found:?}, expected {wanted:?}"
                    );
                }
                let ratio = error / plain_error;
                println!(
                    "{at}: {:.1} % sure, error {ratio:.7} times the plain loop's",
                    100.0 * share
                );
                assert!((ratio - 1.0).abs() < 1e-4, "{at}: {ratio} times the error");
            }
            if (features, num_bits, beam) == (64, 32, 8) {
                assert!(share >= 0.9, "only {share} of the vectors are compared");
            }
        }
    }
}

#[test]
fn the_code_of_a_vector_does_not_depend_on_its_company() {
    for (features, num_bits) in [(5, 3), (8, 4), (17, 40), (64, 32)] {
        let codebook = numbers(2 * num_bits * features, 3);
        let codebook = Codebook::new(&codebook, features);
        let data = numbers(1501 * (features + 3), 4);
        let x = Rows::strided(&data, 1501, features, features + 3);
        for level in Level::available() {
            let encoder = JointEncoder::at(level, codebook, None, 8);
            let all = encode(&encoder, x, Noise::None);
            for count in [1, 31, 513] {
                let mut rest = x;
                let mut parts = Vec::new();
                while !rest.is_empty() && parts.len() < 70 * count.min(20) {
                    let (here, after) = rest.split_at(count.min(rest.len()));
                    parts.extend(encode(&encoder, here, Noise::None));
                    rest = after;
                }
                assert_eq!(
                    parts[..],
                    all[..parts.len()],
                    "{level:?}, {count} at a time"
                );
            }
        }
    }
}

#[test]
fn vectors_are_normalized_before_they_are_encoded() {
    let (features, num_bits) = (13, 21);
    let codebook = numbers(2 * num_bits * features, 5);
    let codebook = Codebook::new(&codebook, features);
    let (x, center) = (numbers(300 * features, 6), numbers(features, 7));
    let factor = 0.25;
    let around: Vec<f32> = x
        .chunks_exact(features)
        .flat_map(|x| {
            x.iter()
                .zip(&center)
                .map(|(x, center)| (x + center) / factor)
        })
        .collect();
    let mut differ = 0;
    for level in Level::available() {
        let encoder = JointEncoder::at(level, codebook, None, 8);
        let wanted = encode(&encoder, Rows::new(&x, features), Noise::None);
        let normalization = Normalization {
            factor,
            center: &center,
        };
        let encoder = JointEncoder::at(level, codebook, Some(normalization), 8);
        let found = encode(&encoder, Rows::new(&around, features), Noise::None);
        differ += found.iter().zip(&wanted).filter(|(a, b)| a != b).count();
    }
    assert!(differ <= 3, "{differ} codes differ");
}

/// Decides one vector in plain loops, with the products in single precision.
fn plain_bits(halves: &Halves, x: &[f32], noise: Option<&[f32]>, beam: usize) -> Vec<bool> {
    let mut products = halves.products(x);
    let noise: Option<Vec<f64>> = noise.map(|noise| noise.iter().map(|&n| n.into()).collect());
    let gram = halves.gram();
    decide(&mut products, noise.as_deref(), &gram, halves.len(), beam);
    products.iter().map(|&logit| logit > 0.0).collect()
}

#[test]
fn given_noise_is_added_to_the_logits() {
    for (features, num_bits) in [(4, 3), (9, 12), (24, 45)] {
        let codebook = numbers(2 * num_bits * features, 8);
        let codebook = Codebook::new(&codebook, features);
        let (x, noise) = (numbers(700 * features, 9), numbers(700 * num_bits, 10));
        let halves = Halves::new(codebook);
        for level in Level::available() {
            let encoder = JointEncoder::at(level, codebook, None, 8);
            let found = encode(&encoder, Rows::new(&x, features), Noise::Given(&noise));
            let quiet = encode(&encoder, Rows::new(&x, features), Noise::None);
            let each = x.chunks(features).zip(noise.chunks(num_bits)).zip(&found);
            let wrong = each
                .filter(|((x, noise), found)| plain_bits(&halves, x, Some(noise), 8) != **found)
                .count();
            assert!(
                wrong <= 2,
                "{level:?}, {num_bits} bits: {wrong} codes differ"
            );
            let turned = found.iter().zip(&quiet).filter(|(a, b)| a != b).count();
            assert!(turned > 200, "noise turned only {turned} codes");
        }
    }
}

#[test]
fn all_levels_draw_the_same_logistic_noise() {
    // The logits of pairs of equal vectors are their noise.
    let (features, num_bits, vectors) = (3, 7, 1101);
    let codebook = vec![0.5; 2 * num_bits * features];
    let codebook = Codebook::new(&codebook, features);
    let x = numbers(vectors * features, 11);
    let noise = Noise::Logistic {
        seed: 5,
        scale: 0.1,
    };
    let mut first: Option<Vec<f32>> = None;
    for level in Level::available() {
        let encoder = JointEncoder::at(level, codebook, None, 8);
        let mut packed = vec![0; vectors * row_bytes(num_bits)];
        let mut logits = vec![0.0; vectors * num_bits];
        let x = Rows::new(&x, features);
        encoder.encode_with_logits(x, noise, &mut packed, &mut logits);
        let mean = logits.iter().sum::<f32>() / logits.len() as f32;
        let squares = logits.iter().map(|noise| noise * noise).sum::<f32>();
        let deviation = (squares / logits.len() as f32).sqrt();
        // That of the logistic distribution is pi / sqrt(3).
        assert!(
            mean.abs() < 0.01 && (deviation - 0.1814).abs() < 0.01,
            "{mean}, {deviation}"
        );
        let first = first.get_or_insert_with(|| logits.clone());
        let apart = first.iter().zip(&logits).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f32::max) < 1e-6, "{level:?}");
    }
}

fn packed_and_logits(encoder: &JointEncoder, x: Rows<'_>, noise: Noise<'_>) -> (Vec<u8>, Vec<f32>) {
    let mut packed = vec![0; x.len() * row_bytes(encoder.num_bits())];
    let mut logits = vec![0.0; x.len() * encoder.num_bits()];
    encoder.encode_with_logits(x, noise, &mut packed, &mut logits);
    (packed, logits)
}

#[test]
fn drawn_noise_has_the_effect_of_the_same_noise_given() {
    let (features, num_bits, vectors) = (6, 11, 1101);
    let x = numbers(vectors * features, 18);
    let x = Rows::new(&x, features);
    let drawn = Noise::Logistic {
        seed: 7,
        scale: 0.3,
    };
    // The logits of pairs of equal vectors are their noise.
    let equal = vec![0.5; 2 * num_bits * features];
    let mut codebook = numbers(2 * num_bits * features, 19);
    codebook[4 * features..6 * features].fill(0.25);
    for level in Level::available() {
        let at =
            |codebook, beam| JointEncoder::at(level, Codebook::new(codebook, features), None, beam);
        let (_, noise) = packed_and_logits(&at(&equal, 8), x, drawn);
        for beam in [1, 2, 4, 5, 8, 16, 32] {
            let encoder = at(&codebook, beam);
            let given = packed_and_logits(&encoder, x, Noise::Given(&noise));
            let found = packed_and_logits(&encoder, x, drawn);
            assert!(found == given, "{level:?}, beam {beam}");
            let quiet = packed_and_logits(&encoder, x, Noise::None);
            assert!(quiet.0 != given.0, "{level:?}, beam {beam}: no bit turned");
        }
    }
}

#[test]
fn many_bits_are_decided_as_the_plain_loop_does() {
    // The last is decided in plain loops, as are wider codes.
    for (num_bits, vectors) in [(200, 6), (1024, 3), (1025, 3)] {
        let features = 40;
        let codebook = numbers(2 * num_bits * features, 20);
        let codebook = Codebook::new(&codebook, features);
        let x: Vec<f32> = numbers(vectors * features, 21);
        let x: Vec<f32> = x.into_iter().map(|element| 4.0 * element).collect();
        let halves = Halves::new(codebook);
        for level in Level::available() {
            let encoder = JointEncoder::at(level, codebook, None, 8);
            let found = encode(&encoder, Rows::new(&x, features), Noise::None);
            let (mut error, mut plain_error) = (0.0, 0.0);
            for (x, found) in x.chunks(features).zip(&found) {
                error += halves.error(x, found);
                plain_error += halves.error(x, &plain_bits(&halves, x, None, 8));
            }
            // So many bits leave little, and rounding turns some of them.
            let ratio = error / plain_error;
            assert!(
                (0.8..1.25).contains(&ratio),
                "{level:?}, {num_bits} bits: {ratio}"
            );
        }
    }
}

#[test]
fn numbers_that_cannot_be_computed_with_leave_their_neighbors_alone() {
    let (features, num_bits) = (6, 10);
    let codebook = numbers(2 * num_bits * features, 12);
    let codebook = Codebook::new(&codebook, features);
    let mut x = numbers(100 * features, 13);
    for level in Level::available() {
        let encoder = JointEncoder::at(level, codebook, None, 8);
        let before = encode(&encoder, Rows::new(&x, features), Noise::None);
        let wrong = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e38, -1e38];
        let places = [3, 20, 21, 64, 99];
        let good = x.clone();
        for (place, wrong) in places.into_iter().zip(wrong) {
            x[place * features + 2] = wrong;
        }
        let after = encode(&encoder, Rows::new(&x, features), Noise::None);
        for (index, (before, after)) in before.iter().zip(&after).enumerate() {
            match places.iter().position(|&place| place == index) {
                None => assert_eq!(before, after, "{level:?}: vector {index}"),
                // All products are NaN.
                Some(0) => assert!(!after.iter().any(|&bit| bit), "{after:?}"),
                Some(_) => {
                    let alone = Rows::new(&x[index * features..][..features], features);
                    assert_eq!(after, &encode(&encoder, alone, Noise::None)[0], "{level:?}");
                }
            }
        }
        x = good;
    }
}

#[test]
fn pairs_that_are_equal_tiny_or_enormous_are_decided_as_the_plain_loop_does() {
    let (features, num_bits) = (4, 9);
    let mut codebook = numbers(2 * num_bits * features, 14);
    let mut scale = |bit: usize, factor: f32| {
        let pair = &mut codebook[2 * bit * features..][..2 * features];
        pair.iter_mut().for_each(|element| *element *= factor);
    };
    scale(1, 0.0);
    scale(4, 1e-6);
    scale(5, 1e4);
    scale(8, 0.0);
    let codebook = Codebook::new(&codebook, features);
    let halves = Halves::new(codebook);
    let x = numbers(500 * features, 15);
    for beam in [1, 3, 8] {
        for level in Level::available() {
            let encoder = JointEncoder::at(level, codebook, None, beam);
            let found = encode(&encoder, Rows::new(&x, features), Noise::None);
            assert!(
                found.iter().all(|bits| !bits[1] && !bits[8]),
                "an equal pair"
            );
            // Beside the enormous pair the others are lost in rounding.
            for (x, found) in x.chunks(features).zip(&found) {
                let wanted = plain_bits(&halves, x, None, beam);
                assert_eq!(found[5], wanted[5], "{level:?}");
            }
        }
    }
    let equal = vec![1.0; 2 * num_bits * features];
    let encoder = JointEncoder::new(Codebook::new(&equal, features), None, 8);
    let found = encode(&encoder, Rows::new(&x, features), Noise::None);
    assert!(!found.iter().flatten().any(|&bit| bit));
}

#[test]
fn ties_are_broken_as_the_plain_loop_breaks_them() {
    // All sums of these numbers are exact, and many are equal.
    let (features, num_bits) = (3, 12);
    let whole = |count, seed| -> Vec<f32> {
        let numbers = numbers(count, seed).into_iter();
        numbers.map(|number| (2.0 * number).round()).collect()
    };
    let codebook = whole(2 * num_bits * features, 16);
    let codebook = Codebook::new(&codebook, features);
    let halves = Halves::new(codebook);
    let x = whole(400 * features, 17);
    for beam in [1, 2, 5, 8, 16] {
        for level in Level::available() {
            let encoder = JointEncoder::at(level, codebook, None, beam);
            let found = encode(&encoder, Rows::new(&x, features), Noise::None);
            for (index, (x, found)) in x.chunks(features).zip(&found).enumerate() {
                let wanted = plain_bits(&halves, x, None, beam);
                assert_eq!(found, &wanted, "{level:?}, beam {beam}, vector {index}");
            }
        }
    }
}

#[test]
#[should_panic(
    expected = "JointEncoder: 2 vectors of 3 and 2 numbers of noise, expected vectors of 4 and 2 numbers"
)]
fn vectors_of_other_features_are_refused() {
    let encoder = JointEncoder::new(Codebook::new(&[0.0; 8], 4), None, 8);
    encoder.encode(Rows::new(&[0.0; 6], 3), Noise::None, &mut [0; 4]);
}

#[test]
#[should_panic(
    expected = "JointEncoder: a beam of 0 and a center of 4 elements, expected at least 1 and 4"
)]
fn a_beam_of_0_is_refused() {
    JointEncoder::new(Codebook::new(&[0.0; 8], 4), None, 0);
}
