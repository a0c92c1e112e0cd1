//! Tests of properties that hold for any shape, any number of bits and any values, including ties,
//! zeros, NaN and infinities.

use bitcodes_core::{
    Bitcodes, BitcodesConfig, Joint, PackedCodes, join_bits, join_rows, pack_words, split_bits,
    split_rows, unpack_words,
};
use bitcodes_workspace::on_every_backend;
use bitcodes_workspace::plain::{Plain, SLACK};
use burn::backend::Autodiff;
use burn::tensor::{Bool, Int, Tensor, TensorData, backend::Backend};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};

use crate::golden::floats;

on_every_backend!(
    quantize_is_decode_of_encode,
    packing_and_joining_can_be_reversed,
    masks_never_leak,
);

/// Number of times that a backend may compute a shape before it has settled on its kernels.
const REPEATS: usize = 6;

/// Runs a check on 32 cases, which a backend in software computes in seconds.
fn hold<S: Strategy>(cases: S, check: impl Fn(S::Value) -> TestCaseResult)
where
    S::Value: std::fmt::Debug,
{
    let config = Config {
        cases: 32,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&cases, check)
        .unwrap_or_else(|error| panic!("{error}"));
}

/// Vectors and a codebook for a check.
#[derive(Debug, Clone)]
struct Case {
    features: usize,
    num_bits: usize,
    /// Whether bits are joint and vectors normalized. If not, the quantizer is the reference's.
    joint: bool,
    codebook: Vec<f32>,
    x: Vec<f32>,
    valid: Vec<bool>,
}

fn any_value() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => -4.0f32..4.0,
        2 => prop::sample::select(vec![0.0, -0.0, 1.0, -1.0]),
        1 => prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, 1e-40]),
    ]
}

/// Returns values of a codebook, which are often equal, so that logits tie.
fn any_code() -> impl Strategy<Value = f32> {
    prop_oneof![-2.0f32..2.0, prop::sample::select(vec![0.0, 0.5, 1.0])]
}

fn any_case() -> impl Strategy<Value = Case> {
    let sizes = (1usize..=9, 1usize..=200, 0usize..=13);
    sizes.prop_flat_map(|(features, num_bits, vectors)| {
        let codebook = vec(any_code(), 2 * num_bits * features);
        let x = vec(any_value(), vectors * features);
        let valid = vec(any::<bool>(), vectors);
        let cases = (codebook, x, valid, any::<bool>());
        cases.prop_map(move |(codebook, x, valid, joint)| Case {
            features,
            num_bits,
            joint,
            codebook,
            x,
            valid,
        })
    })
}

impl Case {
    fn vectors(&self) -> usize {
        self.valid.len()
    }

    fn quantizer<B: Backend>(&self, config: &BitcodesConfig, device: &B::Device) -> Bitcodes<B> {
        let shape = [2 * self.num_bits, self.features];
        let codebook = TensorData::new(self.codebook.clone(), shape);
        config
            .try_init_from_codebook(Tensor::from_data(codebook, device))
            .unwrap()
    }

    fn config(&self) -> BitcodesConfig {
        let config = match self.joint {
            true => BitcodesConfig::new,
            false => BitcodesConfig::reference,
        };
        config(self.features, self.num_bits)
    }

    fn x<B: Backend>(&self, device: &B::Device) -> Tensor<B, 2> {
        let data = TensorData::new(self.x.clone(), [self.vectors(), self.features]);
        Tensor::from_data(data, device)
    }
}

fn quantize_is_decode_of_encode<B: Backend>(device: &B::Device) {
    hold(any_case(), |case| {
        let quantizer = case.quantizer::<B>(&case.config(), device);
        let x = case.x::<B>(device);
        let bits = quantizer.encode(x.clone());
        let decoded = quantizer.decode(bits.clone()).into_data();
        prop_assert_eq!(&decoded, &quantizer.quantize(x.clone()).into_data());
        let out = quantizer.forward(x);
        prop_assert_eq!(&decoded, &out.quantized.into_data());
        prop_assert_eq!(bits.to_data(), out.bits.into_data());

        let y: Vec<f32> = decoded.iter().collect();
        prop_assert!(y.iter().all(|y| y.is_finite()), "codes are finite");
        if case.joint {
            return Ok(());
        }
        let plain = Plain::new(&case.codebook, case.features, 1.0);
        let bits: Vec<u8> = bits.into_data().iter().collect();
        for (index, logit) in plain.logits(&case.x).iter().enumerate() {
            let finite = logit.value.abs() < f32::MAX.into() && logit.error.is_finite();
            if logit.value.is_nan() {
                prop_assert_eq!(bits[index], 0, "NaN is no 1");
            } else if finite && logit.value.abs() > SLACK * logit.error {
                prop_assert_eq!(bits[index], u8::from(logit.value > 0.0), "bit {}", index);
            }
        }
        Ok(())
    });
}

fn any_bits() -> impl Strategy<Value = (usize, usize, usize, Vec<i32>)> {
    (1usize..=200, 0usize..=5, 1usize..=4).prop_flat_map(|(num_bits, groups, rows)| {
        let bits = vec(0..=1, groups * rows * num_bits);
        (Just(num_bits), Just(groups), Just(rows), bits)
    })
}

fn packing_and_joining_can_be_reversed<B: Backend>(device: &B::Device) {
    hold(any_bits(), |(num_bits, groups, rows, values)| {
        let data = TensorData::new(values, [groups * rows, num_bits]);
        let bits = Tensor::<B, 2, Int>::from_data(data, device);
        let wanted = bits.to_data();

        let words = pack_words(bits.clone()).unwrap();
        let unpacked = unpack_words(words.clone(), num_bits).unwrap();
        prop_assert_eq!(unpacked.into_data(), wanted.clone());
        let codes = PackedCodes::from_bits(bits.clone()).unwrap();
        prop_assert_eq!(codes.to_words(), words.into_data().to_vec::<u32>().unwrap());
        let from_words = PackedCodes::from_words(codes.dims(), num_bits, &codes.to_words());
        prop_assert_eq!(&from_words.unwrap(), &codes);
        prop_assert_eq!(codes.unpack::<B, 2>(device).into_data(), wanted.clone());
        let again = PackedCodes::from_bytes(codes.dims(), num_bits, codes.as_bytes().to_vec());
        prop_assert_eq!(again.unwrap(), codes);

        let joined = join_rows(bits.clone(), rows).unwrap();
        prop_assert_eq!(joined.dims(), [groups, rows * num_bits]);
        prop_assert_eq!(
            split_rows(joined.clone(), rows).unwrap().into_data(),
            wanted
        );
        let tokens: Tensor<B, 3, Int> = split_bits(joined.clone(), rows).unwrap();
        prop_assert_eq!(tokens.dims(), [groups, rows, num_bits]);
        let back: Tensor<B, 2, Int> = join_bits(tokens);
        prop_assert_eq!(back.into_data(), joined.into_data());
        Ok(())
    });
}

/// The values of padding, NaN and infinities included, change no bit of the output, the losses and
/// the gradients.
///
/// WGPU chooses and fuses its kernels while it runs, so it may round the same numbers differently
/// when it has seen a shape only a few times. The test repeats a step until the results have
/// settled. A value that leaks would leak each time.
fn masks_never_leak<B: Backend>(device: &B::Device) {
    let cases = (any_case(), vec(any_value(), 13 * 9));
    hold(cases, |(mut case, others)| {
        // Valid vectors are finite, because NaN could not be compared.
        for value in &mut case.x {
            *value = if value.abs() < 8.0 { *value } else { 1.0 };
        }
        let mut other = case.clone();
        for (vector, x) in other.x.chunks_mut(case.features).enumerate() {
            if !case.valid[vector] {
                x.copy_from_slice(&others[vector * 9..][..case.features]);
            }
        }
        let steps = || (step::<B>(&case, device), step::<B>(&other, device));
        let mut tries = std::iter::repeat_with(steps).take(REPEATS);
        let equal = tries.find(|(one, two)| one == two);
        prop_assert!(equal.is_some(), "what does not count makes a difference");
        let (one, _) = equal.expect("it was looked at");

        let Step { y, of_x, bits, .. } = one;
        for vector in (0..case.vectors()).filter(|&vector| !case.valid[vector]) {
            let features = vector * case.features..(vector + 1) * case.features;
            prop_assert!(y[features.clone()].iter().all(|&y| y == 0.0));
            prop_assert!(of_x.is_empty() || of_x[features].iter().all(|&g| g == 0.0));
            prop_assert!(
                bits[vector * case.num_bits..][..case.num_bits]
                    .iter()
                    .all(|&b| b == 0)
            );
        }
        Ok(())
    });
}

#[derive(Debug, PartialEq)]
struct Step {
    y: Vec<f32>,
    bits: Vec<u8>,
    loss: Vec<f32>,
    of_x: Vec<f32>,
    of_codebook: Vec<f32>,
}

fn step<B: Backend>(case: &Case, device: &B::Device) -> Step {
    let mut config = case
        .config()
        .with_noise_scale(0.0)
        .with_commitment_weight(0.25)
        .with_entropy_weight(0.1);
    if case.joint {
        // Two steps would draw other vectors to leave unquantized.
        config = config.with_assignment(Joint::new().with_unquantized_below(0.0));
    }
    let quantizer = case.quantizer::<Autodiff<B>>(&config, device);
    let x = case.x::<Autodiff<B>>(device).require_grad();
    let valid = TensorData::new(case.valid.clone(), [case.vectors()]);
    let valid = Tensor::<Autodiff<B>, 1, Bool>::from_data(valid, device);
    let out = quantizer.forward_masked(x.clone(), valid);
    let loss = out.loss.expect("it has weights");
    let (mut of_x, mut of_codebook) = (Vec::new(), Vec::new());
    if case.vectors() > 0 {
        let total = out.quantized.clone().powi_scalar(2).sum() + loss.clone();
        let gradients = total.backward();
        of_x = floats(x.grad(&gradients).expect("a gradient of x"));
        let gradient = quantizer.codebook.val().grad(&gradients);
        of_codebook = floats(gradient.expect("a gradient of the codebook"));
    }
    Step {
        y: floats(out.quantized.inner()),
        bits: out.bits.into_data().iter().collect(),
        loss: floats(loss.inner()),
        of_x,
        of_codebook,
    }
}
