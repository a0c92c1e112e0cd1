//! Tests of the vectors that training leaves unquantized, with kernels and with tensor operations.

use bitcodes_core::{Bitcodes, BitcodesConfig, BitcodesOutput, Joint};
use bitcodes_workspace::{backends::own_seed, on_every_backend_alone};
use burn::backend::{Autodiff, NdArray};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Bool, DType, Tensor, TensorData};

use crate::gradients::numbers;

const FEATURES: usize = 5;
const BATCH: usize = 4;
const POSITIONS: usize = 300;
const COMMITMENT: f64 = 0.4;

/// Where the vectors lie, and which of them count.
#[derive(Debug, Clone, Copy)]
struct Case {
    as_map: bool,
    masked: bool,
    /// Error from which on every vector is quantized.
    below: f64,
}

fn quantizer<B: AutodiffBackend>(x: &Tensor<B, 3>, below: f64) -> Bitcodes<B> {
    let joint = Joint::new()
        .with_unquantized_below(below)
        .with_balance_weight(0.0);
    let config = BitcodesConfig::new(FEATURES, 15)
        .with_noise_scale(0.0)
        .with_commitment_weight(COMMITMENT)
        .with_codebook_weight(0.0)
        .with_assignment(joint);
    config.try_init_from_sample(x.clone()).unwrap()
}

fn values<B: AutodiffBackend>(tensor: Tensor<B, 3>) -> Vec<Vec<f64>> {
    let [.., last] = tensor.dims();
    let all: Vec<f64> = tensor.into_data().iter().collect();
    all.chunks(last).map(<[f64]>::to_vec).collect()
}

fn square(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Checks a pass, and returns the share of its vectors that were left unquantized.
fn share_of<B: AutodiffBackend>(case: Case, device: &B::Device, dtype: DType) -> f64 {
    let elements = numbers(BATCH * POSITIONS * FEATURES, 1);
    let data = TensorData::new(elements, [BATCH, POSITIONS, FEATURES]);
    let x = Tensor::<B, 3>::from_data(data, (device, dtype));
    let quantizer = quantizer(&x, case.below);
    let x = x.require_grad();
    let counts = |at: usize| !case.masked || at % 7 != 3;
    let valid: Vec<bool> = (0..BATCH * POSITIONS).map(counts).collect();
    let valid = TensorData::new(valid, [BATCH, POSITIONS]);
    let valid = Tensor::<B, 2, Bool>::from_data(valid, device);
    let BitcodesOutput {
        quantized,
        bits,
        loss,
    } = match (case.as_map, case.masked) {
        (false, false) => quantizer.forward(x.clone()),
        (false, true) => quantizer.forward_masked(x.clone(), valid),
        (true, false) => quantizer.forward_channel_first(x.clone().swap_dims(1, 2)),
        (true, true) => quantizer.forward_channel_first_masked(x.clone().swap_dims(1, 2), valid),
    };
    let quantized = match case.as_map {
        true => quantized.swap_dims(1, 2),
        false => quantized,
    };

    let normalization = quantizer
        .normalization
        .as_ref()
        .expect("the default has one");
    let normalized = x.clone() * (-normalization.log_scale.val()).exp().unsqueeze() * 0.5
        - normalization.center.val().unsqueeze();
    let z = values(normalized.detach());
    let decoded = values(quantizer.decode(bits).detach());
    let output = values(quantized.clone().detach());
    let (mut unquantized, mut vectors, mut of_quantized, mut of_all) = (0, 0, 0.0, 0.0);
    for at in (0..z.len()).filter(|&at| counts(at)) {
        vectors += 1;
        let error = square(&z[at], &decoded[at]);
        of_all += error;
        match square(&output[at], &decoded[at]) < 1e-12 {
            true => of_quantized += error,
            false => {
                unquantized += 1;
                let difference = square(&output[at], &z[at]);
                assert!(difference < 1e-12, "{case:?}: {difference} at {at}");
            }
        }
    }
    let of_mean = |feature: usize| {
        let of_valid = (0..z.len()).filter(|&at| counts(at));
        of_valid.map(|at| z[at][feature]).sum::<f64>() / f64::from(vectors)
    };
    let mean: Vec<f64> = (0..FEATURES).map(of_mean).collect();
    let distances = (0..z.len()).filter(|&at| counts(at));
    let distances: f64 = distances.map(|at| square(&z[at], &mean)).sum();
    let share = (1.0 - of_all / distances / case.below).clamp(0.0, 0.5);
    let (wanted, deviation) = (
        share * f64::from(vectors),
        (share * (1.0 - share) * f64::from(vectors)).sqrt(),
    );
    let found = f64::from(unquantized);
    assert!(
        (found - wanted).abs() <= 4.0 * deviation,
        "{case:?}: {found} of {vectors} vectors, expected about {wanted}"
    );

    let own = loss.expect("the commitment loss has a weight");
    let found: f64 = own.into_data().iter::<f64>().sum();
    let wanted = COMMITMENT * of_quantized / f64::from(vectors) / FEATURES as f64;
    assert!(
        (found - wanted).abs() <= 1e-5 * wanted,
        "{case:?}: a loss of {found}, expected {wanted}"
    );
    // Of all gradients, only that of the mean is not passed through.
    let weights = numbers(BATCH * POSITIONS * FEATURES, 2);
    let data = TensorData::new(weights, [BATCH, POSITIONS, FEATURES]);
    let weights = Tensor::<B, 3>::from_data(data, (device, dtype));
    let gradients = (quantized * weights.clone()).sum().backward();
    let gradient = x.grad(&gradients).expect("x has a gradient");
    let factor = (-normalization.log_scale.val().inner()).exp().unsqueeze() * 0.5;
    let gradient: Tensor<B, 3> = Tensor::from_inner(gradient / factor);
    let apart = values(gradient - weights);
    for (at, here) in apart.iter().enumerate().filter(|(at, _)| counts(*at)) {
        let difference = square(here, &apart[0]);
        assert!(difference < 1e-9, "{case:?}: {difference} at {at}");
    }
    f64::from(unquantized) / f64::from(vectors)
}

fn check<B: AutodiffBackend>(device: &B::Device, dtype: DType) {
    B::seed(device, 3);
    for as_map in [false, true] {
        for masked in [false, true] {
            let share = |below| {
                let case = Case {
                    as_map,
                    masked,
                    below,
                };
                share_of::<B>(case, device, dtype)
            };
            let (some, most) = (share(0.1), share(0.2));
            assert!((0.1..0.4).contains(&some), "a share of {some}");
            assert!((0.4..0.6).contains(&most), "a share of {most}");
            assert_eq!(share(1e-3), 0.0, "the error is larger");
        }
    }
}

fn vectors_pass_unquantized_while_the_error_is_small<B: Backend>(device: &B::Device) {
    check::<Autodiff<B>>(device, DType::F32);
}

fn zero_and_given_noise_quantize_every_vector<B: Backend>(device: &B::Device) {
    let x = TensorData::new(numbers(200 * FEATURES, 1), [200, 1, FEATURES]);
    let x = Tensor::<Autodiff<B>, 3>::from_data(x, (device, DType::F32));
    for (below, noise) in [(0.0, false), (0.2, true)] {
        let quantizer = quantizer(&x, below);
        let out = match noise {
            true => quantizer.forward_with_noise(x.clone(), Tensor::zeros([200, 1, 15], device)),
            false => quantizer.forward(x.clone()),
        };
        let decoded = values(quantizer.decode(out.bits));
        for (output, decoded) in values(out.quantized).iter().zip(&decoded) {
            let difference = square(output, decoded);
            assert!(difference < 1e-12, "{below}, {noise}: {difference}");
        }
    }
}

/// Each vector whose draw is below the share is left unquantized, and no other.
fn given_draws_decide_which_vectors_are_quantized<B: Backend>(device: &B::Device) {
    let x = TensorData::new(numbers(400 * FEATURES, 1), [400, 1, FEATURES]);
    let x = Tensor::<Autodiff<B>, 3>::from_data(x, (device, DType::F32));
    let quantizer = quantizer(&x, 0.2);
    let noise = Tensor::zeros([400, 1, 15], device);
    let drawn: Vec<f32> = (0..400).map(|at| (at * 7 % 400) as f32 / 400.0).collect();
    let draws = Tensor::from_data(TensorData::new(drawn.clone(), [400, 1, 1]), device);
    let out = quantizer.forward_with_draws(x.clone(), noise.clone(), draws.clone());
    let decoded = values(quantizer.decode(out.bits));
    let output = values(out.quantized.clone());
    let is_quantized = |at: &usize| square(&output[*at], &decoded[*at]) < 1e-12;
    let highest = |of: &dyn Fn(&usize) -> bool| -> f32 {
        let draws = (0..400).filter(|at| of(at)).map(|at| drawn[at]);
        draws.fold(0.0, f32::max)
    };
    let share = highest(&|at| !is_quantized(at));
    let quantized = (0..400).filter(is_quantized).map(|at| drawn[at]);
    let least = quantized.fold(1.0, f32::min);
    assert!(
        0.2 < share && share < least && least < 0.99,
        "{share}, {least}"
    );
    let again = quantizer.forward_with_draws(x, noise, draws);
    assert_eq!(values(again.quantized), output);
}

on_every_backend_alone!(
    vectors_pass_unquantized_while_the_error_is_small,
    zero_and_given_noise_quantize_every_vector,
    given_draws_decide_which_vectors_are_quantized,
);

#[test]
fn vectors_pass_unquantized_in_f64_too() {
    let _seed = own_seed();
    check::<Autodiff<NdArray>>(&Default::default(), DType::F64);
}
