//! Tests of the balance loss against plain loops, with kernels and with tensor operations.

use bitcodes_core::{BitcodesConfig, Joint};
use bitcodes_workspace::on_every_backend;
use burn::backend::{Autodiff, NdArray};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, DType, Tensor, TensorData};

use crate::gradients::numbers;

const FEATURES: usize = 4;
const BITS: usize = 7;
const WEIGHT: f64 = 0.5;

on_every_backend!(
    the_balance_loss_and_its_gradient_are_those_of_the_formula,
    few_vectors_have_no_balance_loss,
);

/// Vectors of which the first feature is skewed, so that some bits are unbalanced.
fn vectors(count: usize) -> Vec<f64> {
    let skewed = |(at, x): (usize, f64)| match at % FEATURES {
        0 => (x + 1.0).powi(4) / 4.0,
        _ => x,
    };
    let each = numbers(count * FEATURES, 1).into_iter().enumerate();
    each.map(skewed).collect()
}

/// The loss and its gradient by the vectors.
struct Balance {
    loss: f64,
    gradient: Vec<f64>,
}

/// Computes both by the quantizer, with every third vector masked if `masked`, and by the formula. Vectors
/// for which rounding decides if they have a gradient get NaN in the second result.
fn balance<B: Backend>(options: (&B::Device, DType), x: &[f64], masked: bool) -> [Balance; 2] {
    let device = options.0;
    let count = x.len() / FEATURES;
    let joint = Joint::new()
        .with_unquantized_below(0.0)
        .with_balance_weight(WEIGHT);
    let codebook: Vec<f64> = numbers(2 * BITS * FEATURES, 2);
    let rows = TensorData::new(codebook.clone(), [2 * BITS, FEATURES]);
    let quantizer = BitcodesConfig::new(FEATURES, BITS)
        .with_normalize(false)
        .with_noise_scale(0.0)
        .with_commitment_weight(0.0)
        .with_codebook_weight(0.0)
        .with_assignment(joint)
        .try_init_from_codebook::<Autodiff<B>>(Tensor::from_data(rows, options))
        .unwrap();
    let data = TensorData::new(x.to_vec(), [count, FEATURES]);
    let given = Tensor::<Autodiff<B>, 2>::from_data(data, options).require_grad();
    let valid: Vec<bool> = (0..count).map(|at| !masked || at % 3 != 1).collect();
    let out = match masked {
        true => {
            let valid = Tensor::<Autodiff<B>, 1, Bool>::from_data(valid.as_slice(), device);
            quantizer.forward_masked(given.clone(), valid)
        }
        false => quantizer.forward(given.clone()),
    };
    let loss = out.loss.expect("the balance loss has a weight");
    let gradients = loss.backward();
    assert!(quantizer.codebook.val().grad(&gradients).is_none());
    let gradient = given.grad(&gradients).expect("x has a gradient");
    let found = Balance {
        loss: loss.into_data().iter::<f64>().sum(),
        gradient: gradient.into_data().iter().collect(),
    };
    let bits: Vec<f64> = out.bits.into_data().iter().collect();
    [found, formula(x, &codebook, &bits, &valid)]
}

fn formula(x: &[f64], codebook: &[f64], bits: &[f64], valid: &[bool]) -> Balance {
    let pair = |p: usize, f: usize| [0, 1].map(|b| codebook[(2 * p + b) * FEATURES + f]);
    let half = |p: usize, f: usize| (pair(p, f)[1] - pair(p, f)[0]) / 2.0;
    let sign = |at: usize, p: usize| 2.0 * bits[at * BITS + p] - 1.0;
    let counting: Vec<usize> = (0..valid.len()).filter(|&at| valid[at]).collect();
    let mut balance = Balance {
        loss: 0.0,
        gradient: vec![0.0; x.len()],
    };
    for p in 0..BITS {
        let mean = counting.iter().map(|&at| sign(at, p)).sum::<f64>() / counting.len() as f64;
        let excess = mean.signum() * (mean.abs() - 0.25).max(0.0);
        let square: f64 = (0..FEATURES).map(|f| half(p, f).powi(2)).sum();
        let by = WEIGHT * excess / (counting.len() * FEATURES) as f64;
        for &at in &counting {
            let output = |f: usize| -> f64 {
                let terms = (0..BITS).map(|q| pair(q, f)[bits[at * BITS + q] as usize]);
                terms.sum()
            };
            let residual = |f: usize| x[at * FEATURES + f] - output(f);
            let product: f64 = (0..FEATURES).map(|f| residual(f) * half(p, f)).sum();
            let logit = product / square + sign(at, p);
            balance.loss += by * square * logit.clamp(-1.0, 1.0);
            for f in 0..FEATURES {
                let to = &mut balance.gradient[at * FEATURES + f];
                if excess != 0.0 && (logit.abs() - 1.0).abs() < 1e-4 {
                    *to = f64::NAN;
                } else if logit.abs() < 1.0 {
                    *to += by * half(p, f);
                }
            }
        }
    }
    balance
}

fn the_balance_loss_and_its_gradient_are_those_of_the_formula<B: Backend>(device: &B::Device) {
    compare::<B>((device, DType::F32));
}

#[test]
fn the_balance_loss_in_f64_is_that_of_the_formula() {
    compare::<NdArray>((&Default::default(), DType::F64));
}

fn compare<B: Backend>(options: (&B::Device, DType)) {
    let x = vectors(600);
    for masked in [false, true] {
        let [found, wanted] = balance::<B>(options, &x, masked);
        assert!(wanted.loss.abs() > 0.01, "the bits are balanced");
        assert!(
            (found.loss - wanted.loss).abs() <= 1e-5 * wanted.loss.abs(),
            "a loss of {}, expected {}",
            found.loss,
            wanted.loss
        );
        let largest = wanted
            .gradient
            .iter()
            .fold(0.0, |max: f64, g| max.max(g.abs()));
        let mut compared = 0;
        for (found, wanted) in found.gradient.iter().zip(&wanted.gradient) {
            let apart = (found - wanted).abs();
            assert!(
                wanted.is_nan() || apart <= 1e-5 * largest,
                "{found}, expected {wanted}"
            );
            compared += usize::from(!wanted.is_nan());
        }
        assert!(100 * compared > 98 * x.len(), "{compared} of {}", x.len());
    }
}

fn few_vectors_have_no_balance_loss<B: Backend>(device: &B::Device) {
    // All vectors are equal, so that each bit has one value.
    let x = vectors(1).repeat(31);
    let [found, _] = balance::<B>((device, DType::F32), &x, false);
    assert_eq!(found.loss, 0.0);
    assert!(found.gradient.iter().all(|&gradient| gradient == 0.0));
    // A mask leaves 40 of 60 vectors, and 30 of 45.
    let x = vectors(1).repeat(32);
    let [found, wanted] = balance::<B>((device, DType::F32), &x, false);
    assert!(found.loss.abs() > 0.01 && (found.loss - wanted.loss).abs() <= 1e-5);
    let x = vectors(1).repeat(60);
    let [found, wanted] = balance::<B>((device, DType::F32), &x, true);
    assert!((found.loss - wanted.loss).abs() <= 1e-5 * wanted.loss.abs());
    assert!(wanted.loss.abs() > 0.01, "the bits are balanced");
    let [found, _] = balance::<B>((device, DType::F32), &vectors(1).repeat(45), true);
    assert_eq!(found.loss, 0.0);
}
