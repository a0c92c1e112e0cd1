//! Tests the training forward pass against plain loops, at every level.

mod support;

use bitcodes_kernels::layout::{row_bytes, unpack_row};
use bitcodes_kernels::{Codebook, Encoder, Level, Noise, Rows, plain};
use support::numbers;

/// Unpacked bits with their slopes.
struct BitsAndSlopes {
    bits: Vec<u8>,
    slopes: Vec<f32>,
}

fn encode(encoder: &Encoder, x: Rows<'_>, noise: Noise<'_>, temperature: f32) -> BitsAndSlopes {
    let num_bits = encoder.num_bits();
    let encoded = encoder.encode_with_noise(x, noise, temperature);
    let mut bits = vec![0; x.len() * num_bits];
    let packed = encoded.packed.chunks(row_bytes(num_bits));
    for (packed, bits) in packed.zip(bits.chunks_mut(num_bits)) {
        unpack_row(packed, bits).expect("bits past the last are zero");
    }
    let slopes = encoded.slopes;
    BitsAndSlopes { bits, slopes }
}

#[test]
fn bits_and_slopes_follow_from_logit_plus_noise() {
    for (features, num_bits, vectors) in [(1, 1, 1), (7, 3, 13), (16, 33, 40), (64, 32, 1100)] {
        let codebook = numbers(2 * num_bits * features, 1);
        let codebook = Codebook::new(&codebook, features);
        let x = numbers(vectors * features, 2);
        let x = Rows::new(&x, features);
        let logits = plain::logits(codebook, x);
        let given: Vec<f32> = numbers(logits.len(), 3).iter().map(|n| 4.0 * n).collect();
        for level in Level::available() {
            let encoder = Encoder::at(level, codebook);
            for temperature in [0.25f32, 1.0, 10.0] {
                for noise in [None, Some(&given)] {
                    let kind = noise.map_or(Noise::None, |noise| Noise::Given(noise));
                    let found = encode(&encoder, x, kind, temperature);
                    for (at, &logit) in logits.iter().enumerate() {
                        let sum = logit + f64::from(noise.map_or(0.0, |noise| noise[at]));
                        let bound = 1e-6 * (features as f64 + 5.0);
                        if sum.abs() > bound {
                            assert_eq!(found.bits[at], u8::from(sum > 0.0), "{level:?}: {sum}");
                        }
                        let t = f64::from(temperature);
                        let soft = 1.0 / (1.0 + (-sum / t).exp());
                        let wanted = soft * (1.0 - soft) / t;
                        let slope = f64::from(found.slopes[at]);
                        assert!(
                            (slope - wanted).abs() < 1e-6 + bound / t / t,
                            "{level:?}: {slope}, expected {wanted}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_seed_gives_the_same_draws_at_every_level() {
    let (features, num_bits, vectors) = (5, 9, 3000);
    let codebook = numbers(2 * num_bits * features, 1);
    let codebook = Codebook::new(&codebook, features);
    let x = numbers(vectors * features, 2);
    let x = Rows::new(&x, features);
    let drawn = |encoder: &Encoder, seed| {
        let noise = Noise::Logistic { seed, scale: 1.0 };
        encode(encoder, x, noise, 1.0)
    };
    let encoder = Encoder::new(codebook);
    let all = drawn(&encoder, 7);
    for level in Level::available() {
        let again = drawn(&Encoder::at(level, codebook), 7);
        for (found, wanted) in again.slopes.iter().zip(&all.slopes) {
            assert!(
                (found - wanted).abs() < 1e-4,
                "{level:?}: slope {found}, expected {wanted}"
            );
        }
    }
    let other = drawn(&encoder, 8);
    let differ = all.bits.iter().zip(&other.bits).filter(|(a, b)| a != b);
    assert!(
        differ.count() > vectors,
        "another seed gives nearly the same bits"
    );
    // A part of the batch has 512 vectors and a random stream of its own.
    let first = &all.bits[..512 * num_bits];
    assert_ne!(
        first,
        &all.bits[512 * num_bits..][..512 * num_bits],
        "two parts have the same draws"
    );
}

/// The logits of zero vectors are zeros, so that bits and slopes show the noise alone.
#[test]
fn noise_is_logistic() {
    let (num_bits, vectors) = (32, 4096);
    let encoder = Encoder::new(Codebook::new(&vec![0.0; 2 * num_bits * 3], 3));
    let x = vec![0.0; 3 * vectors];
    // The temperature is the scale, so that the slopes have the same distribution at both scales.
    for scale in [1.0f32, 0.05] {
        let noise = Noise::Logistic { seed: 3, scale };
        let found = encode(&encoder, Rows::new(&x, 3), noise, scale);
        let count = found.bits.len() as f64;
        let ones = found.bits.iter().map(|&bit| f64::from(bit)).sum::<f64>() / count;
        assert!(
            (ones - 0.5).abs() < 4.0 * 0.5 / count.sqrt(),
            "{ones} of the bits are 1, expected half"
        );
        // For a uniform u, scale * slope is u (1 - u), which is below q with the probability
        // 1 - sqrt(1 - 4 q).
        let mut products: Vec<f64> = found.slopes.iter().map(|&s| f64::from(s * scale)).collect();
        products.sort_by(f64::total_cmp);
        let furthest = products.iter().enumerate().map(|(rank, &product)| {
            let wanted = 1.0 - (1.0 - 4.0 * product.min(0.25)).sqrt();
            (rank as f64 / count - wanted).abs()
        });
        let furthest = furthest.fold(0.0, f64::max);
        // By the Kolmogorov-Smirnov test, a distance above 1.95 / sqrt(n) has the probability
        // 1/1000.
        assert!(
            furthest < 1.95 / count.sqrt(),
            "the distribution is off by {furthest}"
        );
    }
}

#[test]
fn nan_in_a_vector_is_reported() {
    let encoder = Encoder::new(Codebook::new(&[0.5; 2 * 9 * 3], 3));
    let mut x = vec![1.0; 3 * 2000];
    let are_numbers = |x: &[f32]| {
        encoder
            .encode_with_noise(Rows::new(x, 3), Noise::None, 1.0)
            .are_numbers
    };
    assert!(are_numbers(&x));
    for place in [0, 3000, 5999] {
        x[place] = f32::NAN;
        assert!(!are_numbers(&x));
        x[place] = 1.0;
    }
}
