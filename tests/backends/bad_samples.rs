//! Tests of vectors that give a quantizer little to learn from, or too much: each trains to finite losses
//! and parameters.

use bitcodes_core::{Bitcodes, BitcodesConfig};
use bitcodes_workspace::backends::own_seed;
use burn::backend::{Autodiff, Flex, NdArray};
use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Tensor, TensorData};

use crate::gradients::numbers;

const FEATURES: usize = 6;
const BITS: usize = 12;
const VECTORS: usize = 200;

#[derive(Module, Debug)]
struct Model<B: Backend> {
    encoder: Linear<B>,
    quantizer: Bitcodes<B>,
    decoder: Linear<B>,
}

impl<B: Backend> Model<B> {
    /// Makes a model whose linear layers begin as the identity.
    fn new(sample: Tensor<B, 2>) -> Self {
        let (device, dtype) = (sample.device(), sample.dtype());
        let linear = || {
            let mut linear = LinearConfig::new(FEATURES, FEATURES).init::<B>(&device);
            let options = (&device, dtype);
            linear.weight = Param::from_tensor(Tensor::<B, 2>::eye(FEATURES, &device).cast(dtype));
            linear.bias = Some(Param::from_tensor(Tensor::zeros([FEATURES], options)));
            linear
        };
        Self {
            encoder: linear(),
            quantizer: BitcodesConfig::new(FEATURES, BITS)
                .try_init_from_sample(sample)
                .expect("the sample is finite"),
            decoder: linear(),
        }
    }

    /// Computes the mean squared error over the mean square of `x`, and the loss of the quantizer.
    fn losses(&self, x: Tensor<B, 2>) -> [Tensor<B, 1>; 2] {
        let out = self.quantizer.forward(self.encoder.forward(x.clone()));
        let size = x.clone().powi_scalar(2).mean() + 1.0;
        let y = self.decoder.forward(out.quantized) * size.clone().sqrt().unsqueeze();
        let error = (y - x).powi_scalar(2).mean() / size;
        [error, out.loss.expect("a loss in training, by default")]
    }
}

struct Numbers(Vec<f64>);

impl<B: Backend> ModuleVisitor<B> for Numbers {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.0.extend(param.val().into_data().iter::<f64>());
    }
}

/// Trains on vectors with a start from a sample of them, and checks every number on the way.
fn train<B: AutodiffBackend>(what: &str, sample: &[f64], x: &[f64], dtype: DType) {
    let device = Default::default();
    let _seed = own_seed();
    B::seed(&device, 0);
    let tensor = |values: &[f64]| {
        let data = TensorData::new(values.to_vec(), [values.len() / FEATURES, FEATURES]);
        Tensor::<B, 2>::from_data(data, (&device, dtype))
    };
    let x = tensor(x);
    let mut model = Model::new(tensor(sample));
    let mut optimizer = AdamConfig::new().init::<B, Model<B>>();
    let mut errors = Vec::new();
    for step in 0..80 {
        let losses = model.losses(x.clone());
        let [error, own] = losses.each_ref().map(|loss| -> f64 {
            let data = loss.clone().into_data();
            data.iter::<f64>().sum()
        });
        assert!(
            error.is_finite() && own.is_finite(),
            "{what}: an error of {error} and a loss of {own} at step {step}"
        );
        errors.push(error);
        let [error, own] = losses;
        let gradients = GradientsParams::from_grads((error + own).backward(), &model);
        model = optimizer.step(0.01, model, gradients);
        model.quantizer.advance();
    }
    let mut all = Numbers(Vec::new());
    model.visit(&mut all);
    assert!(
        all.0.iter().all(|number| number.is_finite()),
        "{what}: {all:?}",
        all = all.0
    );
    let mean = |errors: &[f64]| errors.iter().sum::<f64>() / errors.len() as f64;
    let (first, last) = (mean(&errors[..10]), mean(&errors[70..]));
    assert!(
        last <= first,
        "{what}: the error grows from {first} to {last}"
    );
}

/// Trains with kernels, and with tensor operations in f64.
fn train_both(what: &str, sample: &[f64], x: &[f64]) {
    train::<Autodiff<Flex>>(what, sample, x, DType::F32);
    train::<Autodiff<NdArray>>(what, sample, x, DType::F64);
}

fn vectors() -> Vec<f64> {
    numbers(VECTORS * FEATURES, 1)
}

#[test]
fn a_sample_of_fewer_vectors_than_bits_trains() {
    let x = vectors();
    for count in [2, BITS - 1] {
        train_both("few", &x[..count * FEATURES], &x);
    }
}

#[test]
fn constant_features_train() {
    for constant in [0.0, 3.0] {
        let mut x = vectors();
        for row in x.chunks_mut(FEATURES) {
            row[..FEATURES / 2].fill(constant);
        }
        train_both("constant features", &x, &x);
    }
}

#[test]
fn equal_vectors_train() {
    let x = vectors()[..FEATURES].repeat(VECTORS);
    train_both("equal vectors", &x, &x);
}

#[test]
fn one_direction_of_variance_trains() {
    let along = vectors();
    let x = along[..VECTORS].iter();
    let x: Vec<f64> = x
        .flat_map(|x| (0..FEATURES).map(move |f| x * (f as f64 - 1.5)))
        .collect();
    train_both("one direction", &x, &x);
}

#[test]
fn outliers_train() {
    for in_sample in [true, false] {
        let mut x = vectors();
        let sample = x.clone();
        x[7 * FEATURES] = 1e6;
        x[50 * FEATURES + 2] = -1e6;
        train_both("outliers", if in_sample { &x } else { &sample }, &x);
    }
}
