//! Tests of training with joint bits: losses and gradients are compared with finite differences in
//! f64, and the result of a short training is checked.

use bitcodes_core::{
    Bitcodes, BitcodesConfig, BitcodesOutput, EntropyLoss, Independent, Normalization,
};
use bitcodes_workspace::on_every_backend;
use burn::backend::{Autodiff, NdArray};
use burn::module::{AutodiffModule, Module, Param};
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use burn::tensor::{Bool, DType, Distribution, Tensor, TensorData, backend::Backend};

use crate::golden::floats;
use crate::gradients::{assert_gradient, doubles, numbers, tensor};

on_every_backend!(
    training_learns_the_normalization_and_the_codebook,
    a_map_has_the_gradients_of_its_vectors,
    a_nan_or_infinite_vector_does_not_change_the_others,
);

const ROWS: usize = 6;
const FEATURES: usize = 4;
const BITS: usize = 5;

type Train = Autodiff<NdArray>;

/// The point at which gradients are computed.
#[derive(Clone)]
struct Point {
    x: Vec<f64>,
    codebook: Vec<f64>,
    center: Vec<f64>,
    log_scale: Vec<f64>,
}

impl Point {
    fn new() -> Self {
        let x = numbers(ROWS * FEATURES, 1).into_iter();
        Self {
            x: x.map(|x| 2.0 * x + 1.0).collect(),
            codebook: numbers(2 * BITS * FEATURES, 2),
            center: numbers(FEATURES, 3),
            log_scale: vec![0.3],
        }
    }

    fn normalized(&self) -> Vec<f64> {
        let of =
            |(at, x): (usize, &f64)| 0.5 * x / self.log_scale[0].exp() - self.center[at % FEATURES];
        self.x.iter().enumerate().map(of).collect()
    }

    /// Replaces the codebook, after all its rows are moved by the same vector so that the sum of
    /// the rows stays as it was.
    fn with_differences_of(&self, codebook: &[f64]) -> Self {
        let sum = |rows: &[f64], f: usize| -> f64 { rows.iter().skip(f).step_by(FEATURES).sum() };
        let more = |f| (sum(&self.codebook, f) - sum(codebook, f)) / (2 * BITS) as f64;
        let moved = codebook.iter().enumerate();
        Self {
            codebook: moved.map(|(at, row)| row + more(at % FEATURES)).collect(),
            ..self.clone()
        }
    }

    fn decode(&self, bits: &[f64]) -> Vec<f64> {
        let feature = |row: usize, f: usize| {
            let of = |p: usize| {
                let [zero, one] = [0, 1].map(|b| self.codebook[(2 * p + b) * FEATURES + f]);
                zero + bits[row * BITS + p] * (one - zero)
            };
            (0..BITS).map(of).sum()
        };
        let at = |at| feature(at / FEATURES, at % FEATURES);
        (0..ROWS * FEATURES).map(at).collect()
    }

    /// Returns the logit of each bit given all other bits, as a function of the point.
    fn logits(&self, normalized: &[f64], bits: &[f64]) -> Vec<f64> {
        let y = self.decode(bits);
        let logit = |at: usize| {
            let (row, p) = (at / BITS, at % BITS);
            let sign = 2.0 * bits[at] - 1.0;
            let (mut product, mut square) = (0.0, 0.0);
            for f in 0..FEATURES {
                let [zero, one] = [0, 1].map(|b| self.codebook[(2 * p + b) * FEATURES + f]);
                let half = (one - zero) / 2.0;
                let left = normalized[row * FEATURES + f] - y[row * FEATURES + f] + sign * half;
                product += left * half;
                square += half * half;
            }
            product / square
        };
        (0..ROWS * BITS).map(logit).collect()
    }
}

fn mean_square(a: &[f64], b: &[f64], counts: &[bool]) -> f64 {
    let rows = a.chunks(FEATURES).zip(b.chunks(FEATURES)).zip(counts);
    let square = |(a, b): (&f64, &f64)| (a - b).powi(2);
    let sum: f64 = rows
        .filter(|(_, counts)| **counts)
        .flat_map(|((a, b), _)| a.iter().zip(b).map(square))
        .sum();
    let count = counts.iter().filter(|&&counts| counts).count();
    sum / (count * FEATURES) as f64
}

fn check(normalize: bool, noise: Option<&[f64]>, valid: [bool; ROWS]) {
    let config = BitcodesConfig::new(FEATURES, BITS)
        .with_normalize(normalize)
        .with_noise_scale(0.0)
        .with_commitment_weight(0.4)
        .with_codebook_weight(0.7)
        .with_entropy_weight(0.1);
    let point = Point::new();
    let codebook = tensor(&point.codebook, [2 * BITS, FEATURES]);
    let mut quantizer = config.try_init_from_codebook::<Train>(codebook).unwrap();
    if let Some(Normalization { center, log_scale }) = &mut quantizer.normalization {
        *center = Param::from_tensor(tensor(&point.center, [FEATURES]));
        *log_scale = Param::from_tensor(tensor(&point.log_scale, [1]));
    }
    let leaf = tensor(&point.x, [ROWS, FEATURES]).require_grad();
    let all = valid.iter().all(|&valid| valid);
    let out = match noise {
        Some(noise) => {
            assert!(all, "this noise cannot be masked");
            quantizer.forward_with_noise(leaf.clone(), tensor(noise, [ROWS, BITS]))
        }
        None => {
            let data = TensorData::new(valid.to_vec(), [ROWS]);
            let mask = Tensor::<Train, 1, Bool>::from_data(data, &Default::default());
            quantizer.forward_masked(leaf.clone(), mask)
        }
    };
    let bits: Vec<f64> = out.bits.into_data().iter().collect();
    // The bits of padding are zeros in the output and are not used.
    let normalized = |point: &Point| match normalize {
        true => point.normalized(),
        false => point.x.clone(),
    };
    let (fixed, fixed_y) = (normalized(&point), point.decode(&bits));
    let target = numbers(ROWS * FEATURES, 4);
    let y = out.quantized;
    for (at, &y) in doubles(y.clone().inner()).iter().enumerate() {
        let wanted = if valid[at / FEATURES] {
            fixed_y[at]
        } else {
            0.0
        };
        assert!(
            (y - wanted).abs() < 1e-12,
            "y[{at}] is {y}, expected {wanted}"
        );
    }

    // The functions below give the loss as the point moves while the bits stay as they are. Vectors
    // change the output, as if there were no quantizer, and the commitment loss. The codebook
    // changes its own loss; for normalized vectors only its differences do.
    let of_rows =
        |values: &[f64]| -> Vec<Vec<f64>> { values.chunks(BITS).map(<[f64]>::to_vec).collect() };
    let entropy = |point: &Point, x: &[f64]| {
        let logits = of_rows(&point.logits(x, &bits));
        0.1 * bitcodes_workspace::losses::entropy_loss(&logits, &valid, 1.0)
    };
    // The gradient of the mean of normalized vectors is reduced.
    let moved_by = |x: &[f64]| -> Vec<f64> {
        let moved = normalized(&Point {
            x: x.to_vec(),
            ..point.clone()
        });
        if !normalize {
            return moved;
        }
        let count = valid.iter().filter(|&&valid| valid).count() as f64;
        let left_out = |f: usize| {
            let rows = (0..ROWS).filter(|&row| valid[row]);
            let by = |row| moved[row * FEATURES + f] - fixed[row * FEATURES + f];
            rows.map(by).sum::<f64>() / (count + 32.0)
        };
        let all = moved.iter().enumerate();
        all.map(|(at, moved)| moved - left_out(at % FEATURES))
            .collect()
    };
    let by_x = |x: &[f64]| {
        let moved = moved_by(x);
        let y: Vec<f64> = (0..moved.len())
            .map(|at| match valid[at / FEATURES] {
                true => fixed_y[at] + moved[at] - fixed[at],
                false => 0.0,
            })
            .collect();
        mean_square(&y, &target, &[true; ROWS])
            + 0.4 * mean_square(&moved, &fixed_y, &valid)
            + entropy(&point, &moved)
    };
    let by_codebook = |codebook: &[f64]| {
        let moved = match normalize {
            true => point.with_differences_of(codebook),
            false => Point {
                codebook: codebook.to_vec(),
                ..point.clone()
            },
        };
        0.7 * mean_square(&moved.decode(&bits), &fixed, &valid) + entropy(&moved, &fixed)
    };
    // Returns the mean negative log-likelihood.
    let likelihood = |center: &[f64], log_scale: f64| {
        let square = |at: usize| {
            let scaled = point.x[at] / point.log_scale[0].exp();
            let shrink = (point.log_scale[0] - log_scale).exp();
            ((scaled - 2.0 * center[at % FEATURES]) * shrink).powi(2)
        };
        let rows = (0..ROWS).filter(|&row| valid[row]);
        let sum: f64 = rows
            .flat_map(|row| (0..FEATURES).map(move |f| row * FEATURES + f))
            .map(square)
            .sum();
        let count = valid.iter().filter(|&&valid| valid).count() * FEATURES;
        sum / count as f64 / 2.0 + log_scale
    };

    let extra = out.loss.expect("it has weights");
    let found = doubles(extra.clone().inner())[0];
    let wanted = 1.1 * mean_square(&fixed, &fixed_y, &valid) + entropy(&point, &fixed);
    assert!((found - wanted).abs() < 1e-12, "{found}, expected {wanted}");

    let loss = (y - tensor(&target, [ROWS, FEATURES]))
        .powi_scalar(2)
        .mean()
        + extra;
    let gradients = loss.backward();
    let of_x = doubles(leaf.grad(&gradients).unwrap());
    assert_gradient("x", &of_x, &point.x, by_x);
    let of_codebook = doubles(quantizer.codebook.val().grad(&gradients).unwrap());
    assert_gradient("codebook", &of_codebook, &point.codebook, by_codebook);
    if let Some(Normalization { center, log_scale }) = &quantizer.normalization {
        let of_center = doubles(center.val().grad(&gradients).unwrap());
        assert_gradient("center", &of_center, &point.center, |center| {
            likelihood(center, point.log_scale[0])
        });
        let of_scale = doubles(log_scale.val().grad(&gradients).unwrap());
        assert_gradient("log_scale", &of_scale, &point.log_scale, |log_scale| {
            likelihood(&point.center, log_scale[0])
        });
    }
}

#[test]
fn gradients_equal_finite_differences() {
    let noise: Vec<f64> = numbers(ROWS * BITS, 5).iter().map(|n| 0.3 * n).collect();
    for normalize in [false, true] {
        check(normalize, None, [true; ROWS]);
        check(normalize, None, [true, false, true, true, false, true]);
        check(normalize, Some(&noise), [true; ROWS]);
    }
}

#[test]
fn without_valid_vectors_all_gradients_are_zero() {
    let quantizer = BitcodesConfig::new(FEATURES, BITS).init::<Train>(&Default::default());
    // There are so many vectors that an unused bit would have a loss if they were valid.
    let x = tensor(&numbers(40 * FEATURES, 1), [40, FEATURES]).require_grad();
    let none = Tensor::<Train, 1, Bool>::full([40], false, &Default::default());
    let loss = quantizer
        .forward_masked(x.clone(), none)
        .loss
        .expect("by default");
    let gradients = loss.backward();
    let Normalization { center, log_scale } = quantizer.normalization.expect("by default");
    for gradient in [
        x.grad(&gradients).map(Tensor::into_data),
        center.val().grad(&gradients).map(Tensor::into_data),
        log_scale.val().grad(&gradients).map(Tensor::into_data),
        quantizer
            .codebook
            .val()
            .grad(&gradients)
            .map(Tensor::into_data),
    ] {
        let values = gradient
            .into_iter()
            .flat_map(|data| data.iter::<f64>().collect::<Vec<_>>());
        assert!(values.into_iter().all(|value| value == 0.0));
    }
}

/// The training starts from a codebook that does not depend on the vectors.
fn training_learns_the_normalization_and_the_codebook<B: Backend>(device: &B::Device) {
    let normal = Distribution::Normal(0.0, 1.0);
    let shift = Tensor::<Autodiff<B>, 2>::from_data([[2.0, -1.0, 0.5]], device);
    let draw = || Tensor::<Autodiff<B>, 2>::random([128, 3], normal, device) * 3.0 + shift.clone();
    let mut quantizer = BitcodesConfig::new(3, 6).init::<Autodiff<B>>(device);
    let mut optimizer = AdamConfig::new().init::<Autodiff<B>, Bitcodes<_>>();
    for step in 0..150 {
        let loss = quantizer.forward(draw()).loss.expect("by default");
        let gradients = GradientsParams::from_grads(loss.backward(), &quantizer);
        let rate = 0.05 * (1.0 - f64::from(step) / 150.0);
        quantizer = optimizer.step(rate, quantizer, gradients);
    }
    let (quantizer, x) = (quantizer.valid(), draw().inner());
    let normalization = quantizer.normalization.clone().expect("by default");
    let log_scale = floats(normalization.log_scale.val())[0];
    assert!((log_scale - 3.0f32.ln()).abs() < 0.1, "{log_scale}");
    let center = floats(normalization.center.val());
    for (found, mean) in center.into_iter().zip([2.0, -1.0, 0.5]) {
        assert!((found - mean / 6.0).abs() < 0.06, "{found}, {mean}");
    }
    let of_x = (x.clone() - shift.inner()) / 6.0;
    let error = (quantizer.quantize(x) - of_x).powi_scalar(2).mean();
    // There are 2 bits for each of 3 independent features, whose variance is 1/4. Of a normal
    // distribution no code leaves less than 1/16 of it on average; one bit leaves at best 0.36.
    let error = floats(error)[0] / 0.25;
    assert!((0.05..0.33).contains(&error), "{error} of the variance");
}

/// The test has 3 maps of 4 by 5 positions, some of which are padding.
fn a_map_has_the_gradients_of_its_vectors<B: Backend>(device: &B::Device) {
    let quantizer = BitcodesConfig::new(6, 9).with_noise_scale(0.0);
    let quantizer = quantizer.init::<Autodiff<B>>(device);
    let normal = Distribution::Normal(1.0, 2.0);
    let x = Tensor::<B, 4>::random([3, 6, 4, 5], normal, device);
    let target = Tensor::<B, 4>::random([3, 6, 4, 5], normal, device);
    let valid: Vec<bool> = (0..60).map(|at| at % 7 != 3).collect();
    let valid = Tensor::<B, 3, Bool>::from_data(TensorData::new(valid, [3, 4, 5]), device);
    for masked in [false, true] {
        let last = |map: Tensor<Autodiff<B>, 4>| map.permute([0, 2, 3, 1]);
        let gradients = |as_map: bool| {
            let x = Tensor::<Autodiff<B>, 4>::from_inner(x.clone()).require_grad();
            let target = Tensor::<Autodiff<B>, 4>::from_inner(target.clone());
            let valid = Tensor::<Autodiff<B>, 3, Bool>::from_inner(valid.clone());
            let (quantized, loss) = match (as_map, masked) {
                (true, false) => parts(quantizer.forward_channel_first(x.clone())),
                (true, true) => parts(quantizer.forward_channel_first_masked(x.clone(), valid)),
                (false, false) => parts(quantizer.forward(last(x.clone()))),
                (false, true) => parts(quantizer.forward_masked(last(x.clone()), valid)),
            };
            let target = if as_map { target } else { last(target) };
            let loss = (quantized - target).powi_scalar(2).mean() + loss;
            let gradients = loss.backward();
            let normalization = quantizer.normalization.as_ref().expect("by default");
            [
                floats(x.grad(&gradients).expect("x")),
                floats(quantizer.codebook.val().grad(&gradients).expect("codebook")),
                floats(normalization.center.val().grad(&gradients).expect("center")),
                floats(
                    normalization
                        .log_scale
                        .val()
                        .grad(&gradients)
                        .expect("scale"),
                ),
            ]
        };
        for (of_map, of_rows) in gradients(true).iter().zip(&gradients(false)) {
            let largest = of_rows.iter().fold(0.0, |max: f32, g| max.max(g.abs()));
            assert!(largest > 1e-4);
            for (of_map, of_rows) in of_map.iter().zip(of_rows) {
                assert!(
                    (of_map - of_rows).abs() < 1e-4 * largest,
                    "{of_map}, {of_rows}"
                );
            }
        }
    }
}

fn a_nan_or_infinite_vector_does_not_change_the_others<B: Backend>(device: &B::Device) {
    let quantizer = BitcodesConfig::new(3, 7).with_noise_scale(0.0);
    let quantizer = quantizer.init::<Autodiff<B>>(device);
    let quantized = |second: f32| {
        let x = [[0.3, -0.2, 0.9], [second; 3], [-1.0, 0.4, 0.1]];
        let x = Tensor::<Autodiff<B>, 2>::from_data(x, device);
        floats(quantizer.forward(x).quantized.inner())
    };
    let fine = quantized(0.5);
    for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let found = quantized(number);
        assert_eq!([&found[..3], &found[6..]], [&fine[..3], &fine[6..]]);
    }
}

fn parts<B: Backend, const D: usize>(output: BitcodesOutput<B, D>) -> (Tensor<B, D>, Tensor<B, 1>) {
    (output.quantized, output.loss.expect("by default"))
}

#[test]
fn independent_bits_have_the_entropy_loss_of_their_logits() {
    let config = BitcodesConfig::reference(FEATURES, BITS).with_entropy_weight(1.0);
    let codebook = tensor(&numbers(2 * BITS * FEATURES, 2), [2 * BITS, FEATURES]);
    let quantizer = config.try_init_from_codebook::<Train>(codebook).unwrap();
    assert_eq!(quantizer.assignment(), Independent::new().into());
    let x = tensor(&numbers(ROWS * FEATURES, 1), [ROWS, FEATURES]);
    let loss = quantizer.forward(x.clone()).loss.expect("it has a weight");
    let wanted = EntropyLoss::new().forward(quantizer.logits(x));
    assert_eq!(doubles(loss.inner()), doubles(wanted.inner()));
    assert_eq!(quantizer.codebook.val().dtype(), DType::F64);
    assert_eq!(quantizer.num_params(), 2 * BITS * FEATURES);
}
