//! Tests that compare every gradient with finite differences, in f64.
//!
//! A straight-through gradient is not the gradient of the forward function, so the finite
//! differences are taken of another function. At the point of the gradient that function freezes
//! the hard bits, their outputs and the soft bits. Away from the point it adds the change of the
//! soft bits to the hard bits.

use bitcodes_core::{
    Bitcodes, BitcodesConfig, BitcodesOutput, CommitmentLoss, EntropyLoss, Independent,
};
use bitcodes_workspace::losses::{commitment_loss, entropy_loss};
use burn::backend::{Autodiff, NdArray};
use burn::tensor::{Bool, DType, Tensor, TensorData};

type Train = Autodiff<NdArray>;

const ROWS: usize = 6;
const FEATURES: usize = 4;
const TEMPERATURE: f64 = 0.7;
const BITS: usize = 5;

/// Returns pseudo-random numbers in [-1, 1].
pub fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
        .collect()
}

fn rows(values: &[f64], length: usize) -> Vec<Vec<f64>> {
    values.chunks(length).map(<[f64]>::to_vec).collect()
}

pub fn tensor<const D: usize>(values: &[f64], shape: [usize; D]) -> Tensor<Train, D> {
    let data = TensorData::new(values.to_vec(), shape);
    Tensor::from_data(data, (&Default::default(), DType::F64))
}

pub fn doubles<const D: usize>(tensor: Tensor<NdArray, D>) -> Vec<f64> {
    tensor.into_data().to_vec().expect("f64")
}

/// The formulas of the quantizer in plain loops, with a mean squared error to a target as the loss.
struct Plain {
    config: BitcodesConfig,
    noise: Vec<Vec<f64>>,
    valid: [bool; ROWS],
    target: Vec<Vec<f64>>,
}

/// The values that stay as they are when the point moves.
struct Frozen {
    hard_less_soft: Vec<Vec<f64>>,
    quantized: Vec<Vec<f64>>,
}

impl Plain {
    fn new(config: &BitcodesConfig) -> Self {
        Self {
            config: config.clone(),
            noise: rows(&[0.0; ROWS * BITS], BITS),
            valid: [true; ROWS],
            target: rows(&numbers(ROWS * FEATURES, 3), FEATURES),
        }
    }

    fn logits(x: &[f64], codebook: &[f64]) -> Vec<Vec<f64>> {
        let pairs = rows(codebook, 2 * FEATURES);
        let logit = |x: &[f64], pair: &[f64]| {
            let terms = (0..FEATURES).map(|f| x[f] * (pair[FEATURES + f] - pair[f]));
            terms.sum::<f64>()
        };
        let of_row = |x: &[f64]| pairs.iter().map(|pair| logit(x, pair)).collect();
        x.chunks(FEATURES).map(of_row).collect()
    }

    fn soft(&self, logits: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let temperature = TEMPERATURE;
        let soft = |(l, g): (&f64, &f64)| 1.0 / (1.0 + (-(l + g) / temperature).exp());
        let of_row = |(l, g): (&Vec<f64>, &Vec<f64>)| l.iter().zip(g).map(soft).collect();
        logits.iter().zip(&self.noise).map(of_row).collect()
    }

    fn decode(&self, bits: &[Vec<f64>], codebook: &[f64]) -> Vec<Vec<f64>> {
        let pairs = rows(codebook, 2 * FEATURES);
        let feature = |bits: &[f64], f: usize| {
            let terms = pairs.iter().zip(bits);
            terms
                .map(|(pair, bit)| pair[f] + bit * (pair[FEATURES + f] - pair[f]))
                .sum::<f64>()
        };
        let of_row = |(bits, &valid): (&Vec<f64>, &bool)| {
            let of = |f| if valid { feature(bits, f) } else { 0.0 };
            (0..FEATURES).map(of).collect()
        };
        bits.iter().zip(&self.valid).map(of_row).collect()
    }

    fn freeze(&self, x: &[f64], codebook: &[f64]) -> Frozen {
        let soft = self.soft(&Self::logits(x, codebook));
        let hard = |soft: &f64| f64::from(u8::from(*soft > 0.5));
        let hard_bits: Vec<Vec<f64>> = soft
            .iter()
            .map(|row| row.iter().map(hard).collect())
            .collect();
        Frozen {
            quantized: self.decode(&hard_bits, codebook),
            hard_less_soft: soft
                .iter()
                .map(|row| row.iter().map(|soft| hard(soft) - soft).collect())
                .collect(),
        }
    }

    fn loss(&self, x: &[f64], codebook: &[f64], frozen: &Frozen) -> f64 {
        let logits = Self::logits(x, codebook);
        let soft = self.soft(&logits);
        let add = |(a, b): (&f64, &f64)| a + b;
        let bits: Vec<Vec<f64>> = soft
            .iter()
            .zip(&frozen.hard_less_soft)
            .map(|(a, b)| a.iter().zip(b).map(add).collect())
            .collect();
        let y = self.decode(&bits, codebook);
        let config = &self.config;
        commitment_loss(&y, &self.target, &[true; ROWS])
            + config.commitment_weight
                * commitment_loss(&rows(x, FEATURES), &frozen.quantized, &self.valid)
            + config.entropy_weight * entropy_loss(&logits, &self.valid, config.diversity)
    }
}

/// Compares gradients with central differences.
///
/// The error of central differences is near `STEP^2` by the third derivative and
/// `f64::EPSILON / STEP` by rounding, which is a thousandth of the tolerance.
pub fn assert_gradient(what: &str, found: &[f64], point: &[f64], f: impl Fn(&[f64]) -> f64) {
    const STEP: f64 = 1e-5;
    assert_eq!(found.len(), point.len());
    for (index, &found) in found.iter().enumerate() {
        let at = |step: f64| {
            let mut point = point.to_vec();
            point[index] += step;
            f(&point)
        };
        let wanted = (at(STEP) - at(-STEP)) / (2.0 * STEP);
        assert!(
            (found - wanted).abs() < 1e-7 * (1.0 + wanted.abs()),
            "{what}[{index}] is {found}, expected {wanted}"
        );
    }
}

/// Runs a forward pass on `x [ROWS, FEATURES]` and compares its loss and gradients with the plain
/// loops.
fn check(
    plain: &Plain,
    forward: impl Fn(&Bitcodes<Train>, Tensor<Train, 2>) -> (Tensor<Train, 2>, Option<Tensor<Train, 1>>),
) {
    let x = numbers(ROWS * FEATURES, 1);
    let codebook = numbers(2 * BITS * FEATURES, 2);
    let parameter = tensor(&codebook, [2 * BITS, FEATURES]);
    let quantizer = plain.config.try_init_from_codebook(parameter).unwrap();
    let leaf = tensor(&x, [ROWS, FEATURES]).require_grad();
    let (y, extra) = forward(&quantizer, leaf.clone());
    let target = tensor(&plain.target.concat(), [ROWS, FEATURES]);
    let mut loss = (y - target).powi_scalar(2).mean();
    let has_weights = plain.config.commitment_weight + plain.config.entropy_weight > 0.0;
    assert_eq!(extra.is_some(), has_weights);
    if let Some(extra) = extra {
        loss = loss + extra;
    }

    let frozen = plain.freeze(&x, &codebook);
    let found = doubles(loss.clone().inner())[0];
    let wanted = plain.loss(&x, &codebook, &frozen);
    assert!(
        (found - wanted).abs() < 1e-12,
        "loss {found}, expected {wanted}"
    );

    let gradients = loss.backward();
    let of_x = doubles(leaf.grad(&gradients).unwrap());
    assert_gradient("x", &of_x, &x, |x| plain.loss(x, &codebook, &frozen));
    let of_codebook = doubles(quantizer.codebook.val().grad(&gradients).unwrap());
    assert_gradient("codebook", &of_codebook, &codebook, |codebook| {
        plain.loss(&x, codebook, &frozen)
    });
}

fn parts<const D: usize>(
    output: BitcodesOutput<Train, D>,
) -> (Tensor<Train, D>, Option<Tensor<Train, 1>>) {
    (output.quantized, output.loss)
}

/// Returns configurations without losses, with each of the two losses, and with both.
fn configs() -> [BitcodesConfig; 4] {
    let config = BitcodesConfig::reference(FEATURES, BITS)
        .with_assignment(Independent::new().with_temperature(TEMPERATURE))
        .with_noise_scale(0.0);
    [
        config.clone(),
        config.clone().with_commitment_weight(0.25),
        config.clone().with_entropy_weight(0.3).with_diversity(1.5),
        config.with_commitment_weight(0.4).with_entropy_weight(0.1),
    ]
}

#[test]
fn gradients_with_given_noise_equal_finite_differences() {
    for config in configs() {
        let mut plain = Plain::new(&config);
        let noise: Vec<f64> = numbers(ROWS * BITS, 4).iter().map(|n| 2.0 * n).collect();
        plain.noise = rows(&noise, BITS);
        check(&plain, |quantizer, x| {
            parts(quantizer.forward_with_noise(x, tensor(&noise, [ROWS, BITS])))
        });
    }
}

#[test]
fn gradients_without_noise_equal_finite_differences() {
    for config in configs() {
        check(&Plain::new(&config), |quantizer, x| {
            parts(quantizer.forward(x))
        });
    }
}

const VALID: [bool; ROWS] = [true, false, true, true, false, true];

fn valid<const D: usize>(shape: [usize; D]) -> Tensor<Train, D, Bool> {
    Tensor::from_data(TensorData::new(VALID.to_vec(), shape), &Default::default())
}

#[test]
fn gradients_with_a_mask_equal_finite_differences() {
    for config in configs() {
        let mut plain = Plain::new(&config);
        plain.valid = VALID;
        check(&plain, |quantizer, x| {
            parts(quantizer.forward_masked(x, valid([ROWS])))
        });
    }
}

/// Returns the vectors `[ROWS, FEATURES]` as a map of one image with 2 x 3 positions.
fn map(x: Tensor<Train, 2>) -> Tensor<Train, 4> {
    x.swap_dims(0, 1).reshape([1, FEATURES, 2, 3])
}

fn rows_of_map(y: Tensor<Train, 4>) -> Tensor<Train, 2> {
    y.reshape([FEATURES, ROWS]).swap_dims(0, 1)
}

#[test]
fn gradients_of_maps_equal_finite_differences() {
    for config in configs() {
        check(&Plain::new(&config), |quantizer, x| {
            let (y, loss) = parts(quantizer.forward_channel_first(map(x)));
            (rows_of_map(y), loss)
        });
        let mut plain = Plain::new(&config);
        let noise: Vec<f64> = numbers(ROWS * BITS, 4).iter().map(|n| 2.0 * n).collect();
        plain.noise = rows(&noise, BITS);
        check(&plain, |quantizer, x| {
            let noise = tensor(&noise, [1, 2, 3, BITS]);
            let output = quantizer.forward_channel_first_with_noise(map(x), noise);
            let (y, loss) = parts(output);
            (rows_of_map(y), loss)
        });
        let mut plain = Plain::new(&config);
        plain.valid = VALID;
        check(&plain, |quantizer, x| {
            let output = quantizer.forward_channel_first_masked(map(x), valid([1, 2, 3]));
            let (y, loss) = parts(output);
            (rows_of_map(y), loss)
        });
    }
}

#[test]
fn gradients_of_each_loss_alone_equal_finite_differences() {
    let values = numbers(ROWS * BITS, 5);
    let logits: Vec<f64> = values.iter().map(|v| 6.0 * v).collect();
    let leaf = tensor(&logits, [ROWS, BITS]).require_grad();
    for (diversity, masked) in [(1.0, false), (0.0, false), (2.0, true)] {
        let loss = EntropyLoss::new().with_diversity(diversity);
        let (loss, counts) = match masked {
            true => (loss.forward_masked(leaf.clone(), valid([ROWS])), VALID),
            false => (loss.forward(leaf.clone()), [true; ROWS]),
        };
        let plain = |logits: &[f64]| entropy_loss(&rows(logits, BITS), &counts, diversity);
        assert!((doubles(loss.clone().inner())[0] - plain(&logits)).abs() < 1e-12);
        let gradient = doubles(leaf.grad(&loss.backward()).unwrap());
        assert_gradient("logits", &gradient, &logits, plain);
    }

    let target = numbers(ROWS * BITS, 6);
    let fixed = tensor(&target, [ROWS, BITS]).require_grad();
    for masked in [false, true] {
        let loss = CommitmentLoss::new();
        let (loss, counts) = match masked {
            true => {
                let loss = loss.forward_masked(leaf.clone(), fixed.clone(), valid([ROWS]));
                (loss, VALID)
            }
            false => (loss.forward(leaf.clone(), fixed.clone()), [true; ROWS]),
        };
        let plain = |x: &[f64]| commitment_loss(&rows(x, BITS), &rows(&target, BITS), &counts);
        assert!((doubles(loss.clone().inner())[0] - plain(&logits)).abs() < 1e-12);
        let gradients = loss.backward();
        let gradient = doubles(leaf.grad(&gradients).unwrap());
        assert_gradient("x", &gradient, &logits, plain);
        assert!(
            fixed.grad(&gradients).is_none(),
            "the commitment loss has a gradient only for x"
        );
    }
}
