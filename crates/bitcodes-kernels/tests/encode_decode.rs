//! Tests encoding and decoding against the plain loops, at every level.

mod support;

use bitcodes_kernels::layout::row_bytes;
use bitcodes_kernels::{Codebook, Decoder, Encoder, Level, Rows, plain};
use support::numbers;

// These sizes are around those that each level handles at once: vectors of a tile and of a part,
// lanes of features and of bits.
const VECTORS: [usize; 11] = [0, 1, 2, 5, 6, 12, 13, 25, 129, 511, 1101];
const FEATURES: [usize; 9] = [1, 2, 3, 7, 16, 31, 64, 65, 100];
const BITS: [usize; 12] = [1, 3, 4, 7, 8, 9, 16, 17, 31, 32, 33, 70];

#[test]
fn bits_are_the_signs_of_the_plain_logits() {
    for features in FEATURES {
        for num_bits in BITS {
            let codebook = numbers(2 * num_bits * features, 1);
            let codebook = Codebook::new(&codebook, features);
            for vectors in VECTORS {
                let x = numbers(vectors * features, 2);
                check_encoding(codebook, Rows::new(&x, features));
            }
        }
    }
}

#[test]
fn vectors_with_a_stride_are_encoded() {
    for (features, stride, num_bits) in [
        (3, 3, 19),
        (3, 5, 19),
        (16, 40, 19),
        (33, 64, 19),
        (9, 11, 3),
        (9, 11, 8),
    ] {
        let codebook = numbers(2 * num_bits * features, 1);
        let codebook = Codebook::new(&codebook, features);
        for vectors in [0usize, 1, 7, 600] {
            // The data ends with the last vector, before a whole stride.
            let elements = vectors.saturating_sub(1) * stride + features;
            let x = numbers(elements, 3);
            check_encoding(codebook, Rows::strided(&x, vectors, features, stride));
        }
    }
}

fn check_encoding(codebook: Codebook<'_>, x: Rows<'_>) {
    let (features, num_bits) = (codebook.features(), codebook.num_bits());
    let bytes = row_bytes(num_bits);
    let logits = plain::logits(codebook, x);
    for level in Level::available() {
        let encoder = Encoder::at(level, codebook);
        let mut packed = vec![0xff; x.len() * bytes];
        encoder.encode(x, &mut packed);
        for (row, (packed, logits)) in packed
            .chunks(bytes)
            .zip(logits.chunks(num_bits))
            .enumerate()
        {
            for bit in 0..8 * bytes {
                let found = packed[bit / 8] >> (bit % 8) & 1 == 1;
                let at = || format!("{level:?}: bit {bit} of vector {row}, {features} features");
                match logits.get(bit) {
                    None => assert!(!found, "{} is past the last bit", at()),
                    // Each term in f32 is below 2, and each term and each sum is off by at most
                    // half a unit in the last place.
                    Some(logit) if logit.abs() < (features * features) as f64 * 3e-7 => {}
                    Some(&logit) => assert_eq!(found, logit > 0.0, "{}: logit {logit}", at()),
                }
            }
        }
    }
}

#[test]
fn ties_and_nan_give_the_bit_0() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    for (x, wanted) in [
        ([0.0, 0.0], 0b000),
        ([-0.0, 1.0], 0b000),
        ([1e-45, 0.0], 0b010),
        ([-1e-45, 0.0], 0b100),
        ([nan, 0.0], 0b000),
        ([0.0, nan], 0b000),
        ([0.0, inf], 0b000),
        ([inf, 0.0], 0b010),
        ([-inf, 0.0], 0b100),
    ] {
        for (features, num_bits) in [(2, 3), (4, 3), (5, 8), (9, 8), (4, 19)] {
            // The first feature of the first three differences is 0, 1 and -1.
            let mut codebook = vec![0.0; 2 * num_bits * features];
            (codebook[3 * features], codebook[4 * features]) = (1.0, 1.0);
            let codebook = Codebook::new(&codebook, features);
            for level in Level::available() {
                let encoder = Encoder::at(level, codebook);
                // 16 short vectors are encoded in the lanes of a register, one is not.
                for vectors in [1, 16] {
                    let mut row = vec![0.0; features];
                    row[..2].copy_from_slice(&x);
                    let mut packed = vec![0; vectors * row_bytes(num_bits)];
                    encoder.encode(Rows::new(&row.repeat(vectors), features), &mut packed);
                    for packed in packed.chunks(row_bytes(num_bits)) {
                        let (first, others) = packed.split_first().expect("a byte");
                        let at = format!("{level:?}, {features} features, {num_bits} bits: {x:?}");
                        assert_eq!(*first, wanted, "{at}");
                        assert!(others.iter().all(|&byte| byte == 0), "{at}");
                    }
                }
            }
        }
    }
}

#[test]
fn decoded_vectors_are_the_plain_sums() {
    for features in FEATURES {
        for num_bits in BITS {
            check_decoding(features, num_bits, &VECTORS);
        }
    }
}

/// These shapes have panels of each width, tables above the size of a cache, and vectors above the
/// length of a tile's.
#[test]
fn decoded_vectors_of_many_features_and_bits_are_the_plain_sums() {
    for (features, num_bits) in [
        (20, 33),
        (20, 129),
        (40, 65),
        (300, 33),
        (300, 129),
        (300, 260),
        (1000, 70),
        (1100, 33),
        (40_000, 3),
    ] {
        check_decoding(features, num_bits, &[1, 3, 131, 263]);
    }
}

fn check_decoding(features: usize, num_bits: usize, vectors: &[usize]) {
    let codebook = numbers(2 * num_bits * features, 1);
    let codebook = Codebook::new(&codebook, features);
    for &codes in vectors {
        let mut packed: Vec<u8> = (0..codes * row_bytes(num_bits))
            .map(|index| (index * index * 7 + 3 * index) as u8)
            .collect();
        if !num_bits.is_multiple_of(8) {
            for row in packed.chunks_mut(row_bytes(num_bits)) {
                row[num_bits / 8] &= (1 << (num_bits % 8)) - 1;
            }
        }
        let wanted = plain::decode(codebook, &packed);
        for level in Level::available() {
            let decoder = Decoder::at(level, codebook);
            let mut found = vec![f32::NAN; codes * features];
            decoder.decode(&packed, &mut found);
            for (found, wanted) in found.iter().zip(&wanted) {
                let off = (f64::from(*found) - wanted).abs();
                // Each of num_bits sums is at most num_bits and off by at most half a unit in its
                // last place.
                let bound = (num_bits * num_bits) as f64 * 6e-8;
                assert!(off <= bound, "{level:?}: {found}, expected {wanted}");
            }
        }
    }
}

#[test]
fn a_vector_gives_the_same_code_alone_and_in_a_batch() {
    for (features, num_bits) in [(37, 21), (9, 3), (13, 8)] {
        check_alone(features, num_bits);
    }
}

fn check_alone(features: usize, num_bits: usize) {
    let bytes = row_bytes(num_bits);
    let codebook = numbers(2 * num_bits * features, 5);
    let codebook = Codebook::new(&codebook, features);
    let mut x = numbers(1000 * features, 6);
    // The vectors are made orthogonal to the first difference, up to rounding. Rounding alone then
    // decides the first bit, so that another order of summing would change it.
    let direction: Vec<f32> = codebook.differences().next().expect("a pair").collect();
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    for x in x.chunks_mut(features) {
        let along = dot(x, &direction) / dot(&direction, &direction);
        let each = x.iter_mut().zip(&direction);
        each.for_each(|(x, direction)| *x -= along * direction);
    }
    for level in Level::available() {
        let encoder = Encoder::at(level, codebook);
        let decoder = Decoder::at(level, codebook);
        let mut packed = vec![0; 1000 * bytes];
        encoder.encode(Rows::new(&x, features), &mut packed);
        let mut y = vec![0.0; 1000 * features];
        decoder.decode(&packed, &mut y);
        let rows = x.chunks(features).zip(packed.chunks(bytes));
        for ((x, packed), y) in rows.zip(y.chunks(features)) {
            let mut alone = vec![0; bytes];
            encoder.encode(Rows::new(x, features), &mut alone);
            assert_eq!(alone, packed, "{level:?}");
            let mut vector = vec![0.0; features];
            decoder.decode(&alone, &mut vector);
            assert_eq!(vector, y, "{level:?}");
        }
    }
}
