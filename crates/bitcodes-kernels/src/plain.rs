//! The specification: what [`Encoder`](crate::Encoder) and [`Decoder`](crate::Decoder) compute, in
//! loops over f64.

use crate::layout::row_bytes;
use crate::rows::Rows;

/// The logit of each bit, `[vectors, num_bits]`: the product of a vector with the difference of the
/// bit's pair.
///
/// # Panics
///
/// Where the codebook, `[2 * num_bits, features]`, is not whole pairs of the rows' features.
pub fn logits(codebook: &[f32], x: Rows<'_>) -> alloc::vec::Vec<f64> {
    let pairs = pairs(codebook, x.features());
    let of_pair = |x: &[f32], [zero, one]: [&[f32]; 2]| -> f64 {
        let terms = x.iter().zip(zero.iter().zip(one));
        terms
            .map(|(&x, (&zero, &one))| f64::from(x) * (f64::from(one) - f64::from(zero)))
            .sum()
    };
    x.iter()
        .flat_map(|x| pairs.clone().map(move |pair| of_pair(x, pair)))
        .collect()
}

/// The sum of each code's vectors, `[codes, features]`, of packed rows.
///
/// # Panics
///
/// Where the codebook, `[2 * num_bits, features]`, is not whole pairs, or the rows are not whole.
pub fn decode(codebook: &[f32], features: usize, packed: &[u8]) -> alloc::vec::Vec<f64> {
    let pairs = pairs(codebook, features);
    let bytes = row_bytes(pairs.len());
    assert!(
        packed.len().is_multiple_of(bytes),
        "decode: rows of {bytes}"
    );
    let element = |row: &[u8], feature: usize| -> f64 {
        let bits = (0..).map(|bit| usize::from(row[bit / 8] >> (bit % 8) & 1));
        let chosen = pairs.clone().zip(bits).map(|(pair, bit)| pair[bit]);
        chosen.map(|vector| f64::from(vector[feature])).sum()
    };
    packed
        .chunks_exact(bytes)
        .flat_map(|row| (0..features).map(move |feature| (row, feature)))
        .map(|(row, feature)| element(row, feature))
        .collect()
}

/// The vectors of each bit, for 0 and for 1.
fn pairs(codebook: &[f32], features: usize) -> impl ExactSizeIterator<Item = [&[f32]; 2]> + Clone {
    assert!(
        features > 0 && !codebook.is_empty() && codebook.len().is_multiple_of(2 * features),
        "a codebook of {} elements, expected pairs of vectors of {features}",
        codebook.len()
    );
    codebook
        .chunks_exact(2 * features)
        .map(move |pair| [&pair[..features], &pair[features..]])
}
