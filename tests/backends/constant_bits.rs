//! Tests of the loss of unused bits, which are the same for all vectors, and of vectors that are all
//! equal.

use bitcodes_core::{Bitcodes, BitcodesConfig, Joint};
use bitcodes_workspace::on_every_backend;
use burn::backend::{Autodiff, Flex};
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Bool, Distribution, Tensor, TensorData};

use crate::golden::floats;

on_every_backend!(
    a_pair_with_an_unused_vector_has_a_loss,
    a_map_has_the_loss_of_its_vectors,
    training_makes_an_unused_bit_used,
);

/// Makes a quantizer in which bit 0 depends on the first feature and bit 1 chooses one of `pair`.
fn quantizer<B: Backend>(pair: [[f64; 2]; 2], device: &B::Device) -> Bitcodes<B> {
    let config = BitcodesConfig::new(2, 2)
        .with_assignment(Joint::new().with_balance_weight(0.0))
        .with_normalize(false)
        .with_noise_scale(0.0)
        .with_commitment_weight(0.0)
        .with_codebook_weight(0.5);
    let codebook = Tensor::from_data([[-1.0, 0.0], [1.0, 0.0], pair[0], pair[1]], device);
    config.try_init_from_codebook(codebook).expect("it fits")
}

fn a_pair_with_an_unused_vector_has_a_loss<B: Backend>(device: &B::Device) {
    let (near, far) = ([0.0, 8.0], [0.0, 0.0]);
    for (pair, sign) in [([near, far], 1.0), ([far, near], -1.0)] {
        let quantizer = quantizer::<Autodiff<B>>(pair, device);
        for (vectors, padding) in [(32, 0), (32, 9), (31, 0), (31, 9)] {
            // Padding is zeros, for which the far vector would be chosen.
            let x = |at: usize| [if at.is_multiple_of(2) { -1.0 } else { 1.0 }, 8.0];
            let all = vectors + padding;
            let x: Vec<f32> = (0..all).flat_map(x).collect();
            let x = Tensor::<Autodiff<B>, 2>::from_data(TensorData::new(x, [all, 2]), device);
            let valid: Vec<bool> = (0..all).map(|at| at < vectors).collect();
            let valid = TensorData::new(valid, [all]);
            let valid = Tensor::<Autodiff<B>, 1, Bool>::from_data(valid, device);
            let mut losses = vec![quantizer.forward_masked(x.clone(), valid).loss];
            if padding == 0 {
                losses.push(quantizer.forward(x).loss);
            }
            let enough = if vectors < 32 { 0.0 } else { 1.0 };
            for loss in losses {
                let loss = loss.expect("it has a weight");
                // The loss is 0.5 times 0.1 times the mean of 0 and 64.
                let found = floats(loss.clone().inner())[0];
                assert!((found - 1.6 * enough).abs() < 1e-5, "{found}");
                let gradients = loss.backward();
                let gradient = floats(quantizer.codebook.val().grad(&gradients).expect("it has"));
                let wanted = [0.0, 0.0, 0.0, 0.0, 0.0, 0.4, 0.0, -0.4];
                for (found, wanted) in gradient.iter().zip(wanted) {
                    let wanted = wanted * sign * enough;
                    assert!((found - wanted).abs() < 1e-5, "{found}, expected {wanted}");
                }
            }
        }
    }
}

/// The test includes a quantizer of one bit, whose axis has one element.
fn a_map_has_the_loss_of_its_vectors<B: Backend>(device: &B::Device) {
    let two = quantizer::<Autodiff<B>>([[0.0, 8.0], [0.0, 0.0]], device);
    let config = BitcodesConfig {
        num_bits: 1,
        ..two.config()
    };
    let pair = Tensor::from_data([[0.0, 8.0], [0.0, 0.0]], device);
    let one = config.try_init_from_codebook(pair).expect("it fits");
    for (quantizer, first) in [(&two, 1.0), (&one, 0.0)] {
        let vector = Tensor::<Autodiff<B>, 1>::from_data([first, 8.0], device);
        for (batch, positions) in [(32, 1), (8, 4), (1, 32), (31, 1), (1, 31)] {
            let map = vector
                .clone()
                .reshape([1, 2, 1])
                .expand([batch, 2, positions]);
            let valid = Tensor::<_, 2, Bool>::full([batch, positions], true, device);
            let losses = [
                quantizer.forward_channel_first(map.clone()).loss,
                quantizer.forward_channel_first_masked(map, valid).loss,
            ];
            // The loss of bit 1 is 0.5 times 0.1 times the mean of 0 and 64, that of bit 0 has the
            // mean of 4 and 0.
            let all = if first == 0.0 { 1.6 } else { 1.6 + 0.1 };
            let wanted = if batch * positions < 32 { 0.0 } else { all };
            for loss in losses {
                let found = floats(loss.expect("it has a weight").inner())[0];
                assert!((found - wanted).abs() < 1e-5, "{found}, expected {wanted}");
            }
        }
    }
}

/// Returns for each bit the fraction of vectors that have a 1.
fn used<B: AutodiffBackend>(quantizer: &Bitcodes<B>, x: Tensor<B, 2>) -> Vec<f32> {
    floats(quantizer.encode(x).float().mean_dim(0).inner())
}

fn training_makes_an_unused_bit_used<B: Backend>(device: &B::Device) {
    let mut quantizer = quantizer::<Autodiff<B>>([[0.0, 0.0], [0.0, 6.0]], device);
    let half = Distribution::Normal(0.0, 0.5);
    let draw = || Tensor::<Autodiff<B>, 2>::random([64, 2], half, device);
    assert_eq!(used(&quantizer, draw())[1], 0.0);
    let mut optimizer = AdamConfig::new().init::<Autodiff<B>, Bitcodes<_>>();
    for _ in 0..160 {
        let loss = quantizer.forward(draw()).loss;
        let gradients = loss.expect("it has a weight").backward();
        let gradients = GradientsParams::from_grads(gradients, &quantizer);
        quantizer = optimizer.step(0.05, quantizer, gradients);
    }
    let used = used(&quantizer, draw())[1];
    assert!((0.2..0.8).contains(&used), "{used}");
}

/// The deviation of equal vectors is 0, and its logarithm has no end.
#[test]
fn training_on_equal_vectors_stays_finite() {
    let device = Default::default();
    let mut quantizer = BitcodesConfig::new(3, 6).init::<Autodiff<Flex>>(&device);
    let mut optimizer = AdamConfig::new().init::<Autodiff<Flex>, Bitcodes<_>>();
    let zeros = Tensor::<Autodiff<Flex>, 2>::zeros([40, 3], &device);
    for _ in 0..900 {
        let loss = quantizer.forward(zeros.clone()).loss.expect("by default");
        let gradients = GradientsParams::from_grads(loss.backward(), &quantizer);
        quantizer = optimizer.step(0.05, quantizer, gradients);
    }
    let normalization = quantizer.normalization.as_ref().expect("by default");
    let log_scale = floats(normalization.log_scale.val().inner())[0];
    assert!((-32.0..-29.0).contains(&log_scale), "{log_scale}");
    let codebook = floats(quantizer.codebook.val().inner());
    assert!(codebook.iter().all(|element| element.is_finite()));
}
