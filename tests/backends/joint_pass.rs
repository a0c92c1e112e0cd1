//! Tests of the training pass that kernels compute for joint bits: it has the output, the loss and
//! the gradients of the tensor operations in f64, which `joint_training` compares with finite
//! differences.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bitcodes_core::{Bitcodes, BitcodesConfig, Joint, Normalization};
use burn::backend::{Autodiff, Flex, NdArray};
use burn::module::{Module, Param};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Bool, DType, Distribution, Tensor, TensorData};

use crate::gradients::numbers;

const FEATURES: usize = 17;
const BITS: usize = 9;
/// More than two parts of the kernels.
const BATCH: usize = 3;
const POSITIONS: usize = 400;

/// What is computed, and how.
#[derive(Debug, Clone, Copy)]
struct Case {
    normalize: bool,
    /// Of the commitment, the codebook's and the balance loss.
    weights: [f64; 3],
    as_map: bool,
    masked: bool,
    noise: bool,
}

/// The output, its loss and all gradients, in this order.
struct Results {
    bits: Vec<i64>,
    numbers: Vec<(&'static str, Vec<f64>)>,
}

fn quantizer<B: Backend>(case: Case, dtype: DType) -> Bitcodes<B> {
    let options = (&Default::default(), dtype);
    let values = |count, seed| numbers(count, seed);
    let mut codebook = values(2 * BITS * FEATURES, 2);
    // All vectors choose the same row of the last pair.
    let last = codebook.len() - FEATURES;
    codebook[last..]
        .iter_mut()
        .for_each(|element| *element += 40.0);
    let data = TensorData::new(codebook, [2 * BITS, FEATURES]);
    let [commitment, of_codebook, balance] = case.weights;
    let joint = Joint::new()
        .with_unquantized_below(0.0)
        .with_balance_weight(balance);
    let mut quantizer: Bitcodes<B> = BitcodesConfig::new(FEATURES, BITS)
        .with_normalize(case.normalize)
        .with_noise_scale(0.0)
        .with_commitment_weight(commitment)
        .with_codebook_weight(of_codebook)
        .with_assignment(joint)
        .try_init_from_codebook(Tensor::from_data(data, options))
        .unwrap();
    if let Some(Normalization { center, log_scale }) = &mut quantizer.normalization {
        let data = TensorData::new(values(FEATURES, 3), [FEATURES]);
        *center = Param::from_tensor(Tensor::from_data(data, options));
        *log_scale = Param::from_tensor(Tensor::from_data([0.3], options));
    }
    quantizer
}

fn results<B: AutodiffBackend>(case: Case, dtype: DType) -> Results {
    let (device, quantizer) = (Default::default(), quantizer::<B>(case, dtype));
    let rows = |last: usize, seed: u64| -> Tensor<B, 3> {
        let values = numbers(BATCH * POSITIONS * last, seed).into_iter();
        let values: Vec<f64> = values.map(|value| 2.0 * value + 1.0).collect();
        let data = TensorData::new(values, [BATCH, POSITIONS, last]);
        Tensor::from_data(data, (&device, dtype))
    };
    let vectors = |seed: u64| match case.as_map {
        true => rows(FEATURES, seed).swap_dims(1, 2),
        false => rows(FEATURES, seed),
    };
    let (x, target) = (vectors(1).require_grad(), vectors(4));
    let noise = (rows(BITS, 5) - 1.0) * 0.3;
    let valid: Vec<bool> = (0..BATCH * POSITIONS).map(|at| at % 7 != 3).collect();
    let valid = TensorData::new(valid, [BATCH, POSITIONS]);
    let valid = Tensor::<B, 2, Bool>::from_data(valid, &device);
    let given = x.clone();
    let out = match (case.as_map, case.masked, case.noise) {
        (true, true, _) => quantizer.forward_channel_first_masked(given, valid),
        (true, _, true) => quantizer.forward_channel_first_with_noise(given, noise),
        (true, ..) => quantizer.forward_channel_first(given),
        (false, true, _) => quantizer.forward_masked(given, valid),
        (false, _, true) => quantizer.forward_with_noise(given, noise),
        (false, ..) => quantizer.forward(given),
    };
    let doubles = |data: TensorData| -> Vec<f64> { data.iter().collect() };
    let mut numbers = vec![("output", doubles(out.quantized.to_data()))];
    let mut loss = (out.quantized - target).powi_scalar(2).mean();
    if let Some(own) = out.loss {
        numbers.push(("loss", doubles(own.to_data())));
        // A factor shows whether the derivatives are multiplied by what comes from above.
        loss = loss + own * 3.0;
    }
    let gradients = loss.backward();
    let mut add = |name, gradient: Option<TensorData>| {
        let gradient = gradient.unwrap_or_else(|| panic!("{name} has no gradient"));
        numbers.push((name, doubles(gradient)));
    };
    add("x", x.grad(&gradients).map(Tensor::into_data));
    if case.weights[1] > 0.0 {
        let of_codebook = quantizer.codebook.val().grad(&gradients);
        add("codebook", of_codebook.map(Tensor::into_data));
    }
    if let Some(Normalization { center, log_scale }) = &quantizer.normalization {
        let of = |tensor: Tensor<B, 1>| tensor.grad(&gradients).map(Tensor::into_data);
        add("center", of(center.val()));
        add("log_scale", of(log_scale.val()));
    }
    let bits = out.bits.into_data().iter().collect();
    Results { bits, numbers }
}

fn check<B: AutodiffBackend>() {
    let mut cases = Vec::new();
    for normalize in [false, true] {
        for weights in [
            [0.4, 0.7, 0.5],
            [0.4, 0.0, 0.0],
            [0.0, 0.7, 0.0],
            [0.0, 0.0, 0.5],
            [0.0, 0.0, 0.0],
        ] {
            for as_map in [false, true] {
                for (masked, noise) in [(false, false), (true, false), (false, true)] {
                    cases.push(Case {
                        normalize,
                        weights,
                        as_map,
                        masked,
                        noise,
                    });
                }
            }
        }
    }
    for case in cases {
        let found = results::<B>(case, DType::F32);
        let wanted = results::<B>(case, DType::F64);
        assert_eq!(found.bits, wanted.bits, "{case:?}");
        let constant = found.bits.iter().filter(|&&bit| bit == 1).count();
        assert!((1..found.bits.len()).contains(&constant));
        let names = |of: &Results| of.numbers.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        assert_eq!(names(&found), names(&wanted), "{case:?}");
        // Each of the vectors adds a term that is rounded by at most 2^-24 of the largest sum.
        let rounding = (BATCH * POSITIONS) as f64 / f64::from(1 << 24);
        for ((name, found), (_, wanted)) in found.numbers.iter().zip(&wanted.numbers) {
            let largest = wanted.iter().fold(0.0, |max: f64, g| max.max(g.abs()));
            let is_loss_without_weights = *name == "loss" && case.weights == [0.0; 3];
            assert!(largest > 0.0 || is_loss_without_weights, "{case:?}: {name}");
            for (at, (found, wanted)) in found.iter().zip(wanted).enumerate() {
                assert!(
                    (found - wanted).abs() <= rounding * largest,
                    "{case:?}: {name}[{at}] is {found}, expected {wanted}"
                );
            }
        }
    }
}

#[test]
fn kernels_have_the_gradients_of_tensor_operations_on_flex() {
    check::<Autodiff<Flex>>();
}

#[test]
fn kernels_have_the_gradients_of_tensor_operations_on_ndarray() {
    check::<Autodiff<NdArray>>();
}

/// A vector that is not finite shows in the output of its own row, and spreads as in f64.
#[test]
fn vectors_that_are_not_finite_show_as_those_of_tensor_operations() {
    type B = Autodiff<Flex>;

    for (normalize, weights) in [
        (true, [0.3, 1.0, 0.5]),
        (false, [0.0, 1.0, 0.0]),
        (false, [0.0, 0.0, 0.5]),
        (false, [0.0, 0.0, 0.0]),
    ] {
        let case = Case {
            normalize,
            weights,
            as_map: false,
            masked: false,
            noise: false,
        };
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let are_not_finite = |dtype: DType| -> Vec<bool> {
                let device = Default::default();
                let mut x = numbers(40 * FEATURES, 1);
                x[5 * FEATURES + 2] = number;
                let x = TensorData::new(x, [40, FEATURES]);
                let x = Tensor::<B, 2>::from_data(x, (&device, dtype)).require_grad();
                let quantizer = quantizer::<B>(case, dtype);
                let out = quantizer.forward(x.clone());
                let mut all: Vec<f64> = out.quantized.to_data().iter().collect();
                let mut loss = out.quantized.sum();
                if let Some(own) = out.loss {
                    all.extend(own.to_data().iter::<f64>());
                    loss = loss + own;
                }
                let gradients = loss.backward();
                all.extend(x.grad(&gradients).unwrap().into_data().iter::<f64>());
                if let Some(of_codebook) = quantizer.codebook.val().grad(&gradients) {
                    all.extend(of_codebook.into_data().iter::<f64>());
                }
                all.iter().map(|number| !number.is_finite()).collect()
            };
            let (found, wanted) = (are_not_finite(DType::F32), are_not_finite(DType::F64));
            assert!(
                found[5 * FEATURES + 2] && !found[4 * FEATURES],
                "{case:?}, {number}"
            );
            let apart = (0..found.len()).filter(|&at| found[at] != wanted[at]);
            assert_eq!(apart.collect::<Vec<_>>(), [0; 0], "{case:?}, {number}");
        }
    }
}

/// What needs no gradient gets none, and the rest has the same as before; also with a codebook in half
/// precision.
#[test]
fn frozen_parameters_and_vectors_have_no_gradient() {
    type B = Autodiff<Flex>;

    let case = Case {
        normalize: true,
        weights: [0.3, 1.0, 0.5],
        as_map: false,
        masked: false,
        noise: false,
    };
    let device = Default::default();
    let x = TensorData::new(numbers(600 * FEATURES, 1), [600, FEATURES]);
    let x = Tensor::<B, 2>::from_data(x, (&device, DType::F32));
    let all = quantizer::<B>(case, DType::F32);
    let of = |quantizer: &Bitcodes<B>, x: &Tensor<B, 2>| {
        let out = quantizer.forward(x.clone());
        let gradients = (out.quantized.square().mean() + out.loss.unwrap()).backward();
        let data = |gradient: Option<Tensor<Flex, 2>>| gradient.map(Tensor::into_data);
        let of_codebook = quantizer.codebook.val().grad(&gradients);
        (data(x.grad(&gradients)), data(of_codebook))
    };
    let tracked = x.clone().require_grad();
    let (of_x, of_codebook) = of(&all, &tracked);
    assert!(of_x.is_some() && of_codebook.is_some());
    assert_eq!(of(&all, &x), (None, of_codebook.clone()));
    let frozen = all.clone().no_grad();
    assert_eq!(of(&frozen, &tracked), (of_x, None));

    let codebook = all.codebook.val().detach().cast(DType::F16);
    let half = all
        .config()
        .try_init_from_codebook(codebook.clone())
        .unwrap();
    let single = all
        .config()
        .try_init_from_codebook(codebook.cast(DType::F32))
        .unwrap();
    let ((of_x, of_half), (of_x_too, of_single)) = (of(&half, &tracked), of(&single, &tracked));
    assert_eq!(of_x, of_x_too);
    let numbers = |data: Option<TensorData>| -> Vec<f32> { data.unwrap().iter().collect() };
    for (half, single) in numbers(of_half).into_iter().zip(numbers(of_single)) {
        assert!(
            (half - single).abs() <= 1e-3 * single.abs() + 1e-6,
            "{half}, {single}"
        );
    }
}

/// Trains many quantizers on the threads of a pool.
///
/// A backward pass holds the lock of its graph. If a kernel waited there for a part of its work, its
/// thread would take up the pass of another quantizer meanwhile, which waits for that lock when it
/// cleans up.
fn train_on_threads_of_rayon<B: AutodiffBackend>(config: BitcodesConfig) {
    let (done, finished) = mpsc::channel();
    thread::spawn(move || {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4);
        let pool = pool.build().unwrap();
        let device = Default::default();
        let vectors =
            Tensor::<B::InnerBackend, 2>::random([8192, 64], Distribution::Default, &device);
        let step = || {
            // Quantizers with parameters of their own: Burn 0.21 itself can hang if threads train the same
            // parameters.
            let quantizer = config.init::<B>(&device);
            let x = Tensor::<B, 2>::from_inner(vectors.clone()).require_grad();
            let out = quantizer.forward(x.clone());
            let mut loss = out.quantized.mean();
            if let Some(own) = out.loss {
                loss = loss + own;
            }
            assert!(x.grad(&loss.backward()).is_some());
        };
        pool.scope(|scope| (0..150).for_each(|_| scope.spawn(|_| step())));
        done.send(()).unwrap();
    });
    let finished = finished.recv_timeout(Duration::from_secs(120));
    finished.expect("the backward passes wait for one another");
}

#[test]
fn many_graphs_train_at_once_on_threads_of_rayon() {
    train_on_threads_of_rayon::<Autodiff<Flex>>(BitcodesConfig::new(64, 2));
    train_on_threads_of_rayon::<Autodiff<Flex>>(BitcodesConfig::reference(64, 2));
}
