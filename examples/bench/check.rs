//! The answers that are timed, against plain loops over f64.

use bitcodes_core::{Assignment, Bitcodes};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Vectors that are checked: so few that the loops take no time to speak of.
const CHECKED: usize = 512;

/// Checks what `forward` and `decode` make of `x [1, vectors, features]`, with a quantizer that has
/// not been trained.
///
/// Independent bits have to be the signs of their logits, but where these are too near zero to tell; those decided together have to leave less than their opposites do.
///
/// # Errors
///
/// The first value that is wrong, and the one wanted.
pub fn against_plain_loops<B: Backend>(
    bitcodes: &Bitcodes<B>,
    x: Tensor<B, 3>,
    tolerance: f64,
) -> Result<(), String> {
    let [_, vectors, features] = x.dims();
    let num_bits = bitcodes.num_bits();
    let out = bitcodes.forward(x.clone());
    let decoded = bitcodes.decode(out.bits.clone());
    // From the end too, where a part that does not divide would be.
    let half = CHECKED / 2;
    let ends = |all: Tensor<B, 3>| -> Vec<f64> {
        let end = all.clone().slice([0..1, vectors - half..vectors]);
        let both = Tensor::cat(vec![all.slice([0..1, 0..half]), end], 1);
        both.into_data().iter::<f64>().collect()
    };
    let x = ends(match bitcodes.normalization {
        // As it starts: no center, and a scale of 1.
        Some(_) => x * bitcodes_core::Normalization::<B>::DEVIATION,
        None => x,
    });
    let (quantized, decoded) = (ends(out.quantized), ends(decoded));
    let bits = ends(out.bits.float());

    let codebook: Vec<f64> = bitcodes.codebook.val().into_data().iter::<f64>().collect();
    let pairs: Vec<(&[f64], &[f64])> = codebook
        .chunks(2 * features)
        .map(|pair| pair.split_at(features))
        .collect();
    let (mut left, mut left_of_opposite) = (0.0, 0.0);
    for vector in 0..CHECKED {
        let x = &x[vector * features..][..features];
        let bits = &bits[vector * num_bits..][..num_bits];
        for (p, ((zero, one), &bit)) in pairs.iter().zip(bits).enumerate() {
            let products = || {
                x.iter()
                    .zip(zero.iter().zip(*one))
                    .map(|(x, (z, o))| x * (o - z))
            };
            let (logit, size): (f64, f64) = (products().sum(), products().map(f64::abs).sum());
            let told = logit.abs() > tolerance * size;
            if bit != 0.0 && bit != 1.0 {
                return Err(format!(
                    "bit {p} of vector {vector} is {bit}, expected 0 or 1"
                ));
            }
            if bitcodes.assignment() == Assignment::Independent
                && told
                && (bit == 1.0) != (logit > 0.0)
            {
                return Err(format!(
                    "bit {p} of vector {vector} is {bit}, its logit {logit}"
                ));
            }
        }
        for f in 0..features {
            let (mut wanted, mut opposite, mut size) = (0.0, 0.0, 0.0);
            for ((zero, one), &bit) in pairs.iter().zip(bits) {
                let (chosen, other) = if bit == 1.0 { (one, zero) } else { (zero, one) };
                wanted += chosen[f];
                opposite += other[f];
                size += chosen[f].abs();
            }
            for (name, found) in [("quantized", &quantized), ("decoded", &decoded)] {
                let found = found[vector * features + f];
                if (found - wanted).abs() > tolerance * size {
                    return Err(format!(
                        "element {f} of vector {vector} is {name} to {found}, expected {wanted}"
                    ));
                }
            }
            left += (x[f] - wanted).powi(2);
            left_of_opposite += (x[f] - opposite).powi(2);
        }
    }
    match bitcodes.assignment() {
        Assignment::Residual { .. } if left > left_of_opposite => Err(format!(
            "codes leave {left} of squared error, their opposites {left_of_opposite}"
        )),
        _ => Ok(()),
    }
}
