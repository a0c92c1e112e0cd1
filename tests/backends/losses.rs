//! Tests that compare the losses on every backend with plain loops over f64.

use bitcodes_core::{BitcodesConfig, CommitmentLoss, EntropyLoss};
use bitcodes_workspace::backends::skipped;
use bitcodes_workspace::losses::{commitment_loss, entropy_loss};
use bitcodes_workspace::on_every_backend;
use burn::backend::Autodiff;
use burn::tensor::{Bool, DType, Distribution, FloatDType, Tensor, TensorData, backend::Backend};

use crate::golden::{floats, integers};

on_every_backend!(
    the_entropy_loss_equals_plain_loops,
    the_commitment_loss_equals_plain_loops,
    certain_and_fair_bits_have_the_least_entropy_loss,
    large_logits_give_finite_losses_and_gradients,
    losses_are_off_unless_they_are_given_a_weight,
    a_pass_that_does_not_train_has_a_loss_only_if_noise_is_given,
    losses_without_valid_vectors_are_zero,
    masks_of_another_shape_panic_and_name_both_shapes,
);

fn rows(values: &[f32], length: usize) -> Vec<Vec<f64>> {
    let wide = |row: &[f32]| row.iter().map(|&v| f64::from(v)).collect();
    values.chunks(length).map(wide).collect()
}

fn normal<B: Backend, const D: usize>(shape: [usize; D], device: &B::Device) -> Tensor<B, D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

fn mask<B: Backend, const D: usize>(
    values: &[bool],
    shape: [usize; D],
    device: &B::Device,
) -> Tensor<B, D, Bool> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

/// Returns the tolerance for a mean of `n` terms of magnitude up to 1, summed in blocks in any
/// order.
///
/// Each term has an error of a few units in the last place; WGSL's `exp` and `log` have up to about
/// 10 here.
fn tolerance(n: usize) -> f64 {
    f64::from(f32::EPSILON) * (20.0 + (n as f64).sqrt())
}

fn the_entropy_loss_equals_plain_loops<B: Backend>(device: &B::Device) {
    // The shapes have more than one block, one bit, and one vector.
    for (vectors, num_bits) in [(700, 64), (300, 256), (50, 1), (1, 9)] {
        let logits = normal::<B, 2>([vectors, num_bits], device) * 3.0;
        let plain = rows(&floats(logits.clone()), num_bits);
        let valid: Vec<bool> = (0..vectors).map(|v| v % 3 != 1).collect();
        for diversity in [1.0, 0.0, 1.5] {
            let loss = EntropyLoss::new().with_diversity(diversity);
            let found = floats(loss.forward(logits.clone()))[0];
            let wanted = entropy_loss(&plain, &vec![true; vectors], diversity);
            assert!(
                (f64::from(found) - wanted).abs() < tolerance(vectors),
                "{found}, {wanted}"
            );

            let ranks = logits.clone().reshape([1, vectors, num_bits]);
            let valid_tensor = mask(&valid, [1, vectors], device);
            let found = floats(loss.forward_masked(ranks, valid_tensor))[0];
            let wanted = entropy_loss(&plain, &valid, diversity);
            assert!(
                (f64::from(found) - wanted).abs() < tolerance(vectors),
                "{found}, {wanted}"
            );
        }
    }
}

fn the_commitment_loss_equals_plain_loops<B: Backend>(device: &B::Device) {
    let [x, y] = [0, 1].map(|_| normal::<B, 3>([4, 5, 6], device));
    let valid: Vec<bool> = (0..20).map(|v| v % 4 != 2).collect();
    let (plain_x, plain_y) = (rows(&floats(x.clone()), 6), rows(&floats(y.clone()), 6));
    let found = floats(CommitmentLoss::new().forward(x.clone(), y.clone()))[0];
    let wanted = commitment_loss(&plain_x, &plain_y, &[true; 20]);
    assert!(
        (f64::from(found) / wanted - 1.0).abs() < tolerance(120),
        "{found}, {wanted}"
    );
    let valid_tensor = mask(&valid, [4, 5], device);
    let found = floats(CommitmentLoss::new().forward_masked(x, y, valid_tensor))[0];
    let wanted = commitment_loss(&plain_x, &plain_y, &valid);
    assert!(
        (f64::from(found) / wanted - 1.0).abs() < tolerance(120),
        "{found}, {wanted}"
    );
}

fn certain_and_fair_bits_have_the_least_entropy_loss<B: Backend>(device: &B::Device) {
    let loss = |logits: [[f32; 2]; 2]| {
        let logits = Tensor::<B, 2>::from_data(logits, device);
        floats(EntropyLoss::new().forward(logits))[0]
    };
    assert!((loss([[60.0, -60.0], [-60.0, 60.0]]) + 1.0).abs() < 1e-6);
    assert!(
        loss([[60.0, 60.0], [60.0, 60.0]]).abs() < 1e-5,
        "the bits are certain but always the same"
    );
    assert!(
        loss([[0.0, 0.0], [0.0, 0.0]]).abs() < 1e-6,
        "the bits are balanced but never certain"
    );
}

/// The test includes half precision if the backend has it.
fn large_logits_give_finite_losses_and_gradients<B: Backend>(device: &B::Device) {
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        if !B::supports_dtype(device, dtype) {
            skipped(format_args!("no {dtype:?} on {}", B::name(device)));
            continue;
        }
        // The values are the largest numbers of f16, and the largest whose sigmoid differs from 0
        // and 1.
        let values: Vec<f32> = vec![65504.0, -65504.0, 88.0, -88.0, 16.0, -16.0, 0.0, 1e-4];
        let data = TensorData::new(values, [4, 2]);
        let logits = Tensor::<Autodiff<B>, 2>::from_data(data, (device, DType::F32));
        let logits = logits.cast(FloatDType::from(dtype)).require_grad();
        let loss = EntropyLoss::new().forward(logits.clone());
        let gradient = logits.grad(&loss.clone().backward()).expect("a gradient");
        for number in floats(loss.inner()).into_iter().chain(floats(gradient)) {
            assert!(number.is_finite(), "{dtype:?}: {number}");
        }
    }
}

fn losses_are_off_unless_they_are_given_a_weight<B: Backend>(device: &B::Device) {
    let x = normal::<Autodiff<B>, 2>([8, 5], device);
    let config = BitcodesConfig::reference(5, 7).with_noise_scale(0.0);
    let plain = config.init::<Autodiff<B>>(device);
    assert!(plain.forward(x.clone()).loss.is_none());
    let none = Tensor::<_, 2>::zeros([0, 5], device);
    assert!(plain.forward(none.clone()).loss.is_none());

    let both = config
        .clone()
        .with_commitment_weight(0.25)
        .with_entropy_weight(0.1)
        .with_diversity(2.0)
        .init::<Autodiff<B>>(device);
    let out = both.forward(x.clone());
    let commitment = CommitmentLoss::new().forward(x.clone(), out.quantized.detach());
    let entropy = EntropyLoss::new().with_diversity(2.0);
    let entropy = entropy.forward(both.logits(x));
    let wanted = floats((commitment * 0.25 + entropy * 0.1).inner())[0];
    let found = floats(out.loss.expect("it has weights").inner())[0];
    assert!(
        (found - wanted).abs() <= 4.0 * f32::EPSILON * wanted.abs(),
        "{found}, {wanted}"
    );
    assert_eq!(floats(both.forward(none).loss.unwrap().inner()), [0.0]);
}

/// Evaluation should not pay for losses that nobody uses.
fn a_pass_that_does_not_train_has_a_loss_only_if_noise_is_given<B: Backend>(device: &B::Device) {
    let config = BitcodesConfig::new(5, 7).with_entropy_weight(0.1);
    // The normalization has a center and a scale at which each operation rounds.
    let x = normal::<B, 2>([4000, 5], device) * 1.7 + 3.0;
    let quantizer = config.try_init_from_sample(x.clone()).expect("finite");
    let out = quantizer.forward(x.clone());
    assert!(out.loss.is_none());
    let none = Tensor::<B, 2>::zeros([0, 5], device);
    assert!(quantizer.forward(none).loss.is_none());
    let noise = Tensor::zeros([4000, 7], device);
    let as_in_training = quantizer.forward_with_noise(x, noise);
    assert_eq!(integers(as_in_training.bits), integers(out.bits));
    let loss = floats(as_in_training.loss.expect("noise is given"))[0];
    assert!(loss > 0.0, "{loss}");
}

fn losses_without_valid_vectors_are_zero<B: Backend>(device: &B::Device) {
    let nothing = mask::<B, 1>(&[false; 4], [4], device);
    let x = normal::<B, 2>([4, 3], device);
    let loss = EntropyLoss::new().forward_masked(x.clone(), nothing.clone());
    assert_eq!(floats(loss), [0.0]);
    let loss = CommitmentLoss::new().forward_masked(x.clone(), x.clone() + 1.0, nothing.clone());
    assert_eq!(floats(loss), [0.0]);
    let config = BitcodesConfig::reference(3, 6).with_entropy_weight(1.0);
    let quantizer = config.init::<Autodiff<B>>(device);
    let out = quantizer.forward_masked(Tensor::from_inner(x), Tensor::from_inner(nothing));
    assert_eq!(floats(out.quantized.inner()), [0.0; 12]);
    assert_eq!(floats(out.loss.unwrap().inner()), [0.0]);

    let none = Tensor::<B, 2>::zeros([0, 3], device);
    assert_eq!(floats(EntropyLoss::new().forward(none.clone())), [0.0]);
    assert_eq!(
        floats(CommitmentLoss::new().forward(none.clone(), none)),
        [0.0]
    );
}

fn masks_of_another_shape_panic_and_name_both_shapes<B: Backend>(device: &B::Device) {
    let quantizer = BitcodesConfig::reference(3, 6).init::<B>(device);
    let x = normal::<B, 3>([2, 4, 3], device);
    let wrong = mask::<B, 2>(&[true; 8], [4, 2], device);
    let message = |call: &dyn Fn()| {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).unwrap_err();
        let message = panic.downcast_ref::<String>().expect("a formatted message");
        assert!(message.contains("valid has another shape"), "{message}");
        assert!(
            message.contains("[4, 2]") && message.contains("[2, 4]"),
            "{message}"
        );
    };
    message(&|| drop(quantizer.forward_masked(x.clone(), wrong.clone())));
    let map = x.clone().swap_dims(1, 2);
    message(&|| drop(quantizer.forward_channel_first_masked(map.clone(), wrong.clone())));
    message(&|| drop(EntropyLoss::new().forward_masked(x.clone(), wrong.clone())));
    message(&|| {
        let loss = CommitmentLoss::new();
        drop(loss.forward_masked(x.clone(), x.clone(), wrong.clone()));
    });
}
