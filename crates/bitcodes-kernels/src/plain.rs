//! Plain f64 loops that specify the logits of an [`Encoder`](crate::Encoder) and the vectors of a
//! [`Decoder`](crate::Decoder).
//!
//! Tests hold every level to them. Joint bits have a specification of their own,
//! [`joint::decide`](crate::joint::decide). Noise, slopes and gradients are defined by the formulas at
//! [`Encoder::encode_with_noise`](crate::Encoder::encode_with_noise) and
//! [`Backward`](crate::Backward), and tested against loops of their own.

use alloc::vec::Vec;

use crate::codebook::Codebook;
use crate::layout::{bit_of_row, row_bytes};
use crate::rows::Rows;

/// Computes the logit of each bit: the dot product of a vector and the difference of a pair.
///
/// # Shapes
///
/// - `x`: `[vectors, features]`
/// - output: `[vectors, num_bits]`
///
/// # Panics
///
/// Panics if `x` has other features than the codebook.
pub fn logits(codebook: Codebook<'_>, x: Rows<'_>) -> Vec<f64> {
    assert_eq!(
        x.features(),
        codebook.features(),
        "logits: features of the vectors (left), of the codebook (right)"
    );
    let logit = |x: &[f32], [zero, one]: [&[f32]; 2]| -> f64 {
        let terms = x.iter().zip(zero.iter().zip(one));
        terms
            .map(|(&x, (&zero, &one))| f64::from(x) * (f64::from(one) - f64::from(zero)))
            .sum()
    };
    x.iter()
        .flat_map(|x| codebook.pairs().map(move |pair| logit(x, pair)))
        .collect()
}

/// Decodes packed codes: a vector is the sum of the vectors that its code chooses.
///
/// # Shapes
///
/// - `packed`: `[vectors, row_bytes(num_bits)]`
/// - output: `[vectors, features]`
///
/// # Panics
///
/// Panics if `packed` is not whole rows.
pub fn decode(codebook: Codebook<'_>, packed: &[u8]) -> Vec<f64> {
    let bytes = row_bytes(codebook.num_bits());
    assert!(
        packed.len().is_multiple_of(bytes),
        "decode: {} bytes, expected rows of {bytes}",
        packed.len()
    );
    let element = |row: &[u8], feature: usize| -> f64 {
        let bits = (0..).map(|bit| usize::from(bit_of_row(row, bit)));
        let chosen = codebook.pairs().zip(bits).map(|(pair, bit)| pair[bit]);
        chosen.map(|vector| f64::from(vector[feature])).sum()
    };
    packed
        .chunks_exact(bytes)
        .flat_map(|row| (0..codebook.features()).map(move |feature| (row, feature)))
        .map(|(row, feature)| element(row, feature))
        .collect()
}
