//! Tests that compare joint bits, and the normalization before them, with plain loops on every
//! backend.

use bitcodes_core::{Bitcodes, BitcodesConfig, Joint, PackedCodes};
use bitcodes_workspace::joint::{Decided, PlainJoint};
use bitcodes_workspace::on_every_backend;
use burn::tensor::{Bool, Distribution, Tensor, TensorData, backend::Backend};

use crate::golden::{floats, integers};

on_every_backend!(
    every_form_decides_as_plain_loops_do,
    given_noise_is_added_to_the_logits,
    equal_pairs_and_nan_give_finite_outputs,
);

fn random<B: Backend, const D: usize>(shape: [usize; D], device: &B::Device) -> Tensor<B, D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// Returns a quantizer made from a sample around 3 with a deviation of 2, and that sample.
fn quantizer<B: Backend>(
    config: &BitcodesConfig,
    device: &B::Device,
) -> (Bitcodes<B>, Tensor<B, 2>) {
    let x = random::<B, 2>([60, config.features], device) * 2.0 + 3.0;
    let mut quantizer = config.try_init_from_sample(x.clone()).unwrap();
    // The noise gives pairs a mean and makes differences not orthogonal.
    quantizer.codebook = quantizer
        .codebook
        .map(|codebook| codebook.clone() + random(codebook.dims(), &codebook.device()) * 0.1);
    (quantizer, x)
}

/// Normalizes vectors by the documented formula.
fn normalized<B: Backend>(quantizer: &Bitcodes<B>, x: &Tensor<B, 2>) -> Vec<f64> {
    let x = wide(&floats(x.clone()));
    let Some(normalization) = &quantizer.normalization else {
        return x;
    };
    let center = wide(&floats(normalization.center.val()));
    let scale = f64::from(floats(normalization.log_scale.val())[0]).exp();
    let of = |(at, x): (usize, f64)| 0.5 * x / scale - center[at % center.len()];
    x.into_iter().enumerate().map(of).collect()
}

fn configs() -> impl Iterator<Item = (BitcodesConfig, usize)> {
    let sizes = [(1, 1), (3, 2), (5, 7), (4, 33)];
    sizes.into_iter().flat_map(|(features, num_bits)| {
        [(1, true), (2, false), (8, true)].map(|(beam, normalize)| {
            let config = BitcodesConfig::new(features, num_bits)
                .with_assignment(Joint::new().with_beam(beam))
                .with_normalize(normalize);
            (config, beam)
        })
    })
}

/// Whether rounding in f32 may change the bits: a logit is near 0, which would also change later
/// logits, or two candidates have almost the same cost.
///
/// Logits are of the order of 1 and are sums of at most a few hundred terms of that order. Costs
/// are sums of at most a few tens of such terms.
fn is_undecided(wanted: &Decided) -> bool {
    wanted.narrowest < UNDECIDED || wanted.closest < UNDECIDED / 10.0
}

const UNDECIDED: f64 = 1e-3;

fn every_form_decides_as_plain_loops_do<B: Backend>(device: &B::Device) {
    let (mut compared, mut left_out) = (0, 0);
    for (config, beam) in configs() {
        let (quantizer, x) = quantizer::<B>(&config, device);
        let BitcodesConfig {
            features, num_bits, ..
        } = config;
        let codebook = floats(quantizer.codebook.val());
        let plain = PlainJoint::new(&codebook, features, beam);
        let rows = normalized(&quantizer, &x);

        let out = quantizer.forward(x.clone());
        let logits = wide(&floats(quantizer.logits(x.clone())));
        let bits = integers(out.bits.clone());
        let y = wide(&floats(out.quantized.clone()));
        let mut decided = Vec::new();
        for (row, vector) in rows.chunks(features).enumerate() {
            let wanted = plain.decide(vector, &vec![0.0; num_bits]);
            decided.push(!is_undecided(&wanted));
            if is_undecided(&wanted) {
                left_out += 1;
                continue;
            }
            compared += 1;
            for (p, &wanted) in wanted.logits.iter().enumerate() {
                let found = logits[row * num_bits + p];
                assert!((found - wanted).abs() < UNDECIDED, "{found}, {wanted}");
                assert_eq!(bits[row * num_bits + p], i64::from(wanted > 0.0));
            }
            let y = &y[row * features..][..features];
            for (y, wanted) in y.iter().zip(&wanted.quantized) {
                assert!((y - wanted).abs() < 1e-4, "{y}, expected {wanted}");
            }
        }

        let bits = out.bits.into_data();
        let y = out.quantized.into_data();
        assert_eq!(quantizer.encode(x.clone()).into_data(), bits);
        assert_eq!(quantizer.quantize(x.clone()).into_data(), y);
        let packed = PackedCodes::from_logits(quantizer.logits(x.clone())).unwrap();
        assert_eq!(packed.unpack::<B, 2>(device).into_data(), bits);

        // Encode the same vectors as positions of two maps.
        let map = x.reshape([2, 5, 6, features]).permute([0, 3, 1, 2]);
        let of_map = quantizer.encode_channel_first(map.clone()).into_data();
        let both = of_map.iter::<i64>().zip(bits.iter::<i64>());
        let apart = both.enumerate().filter(|(_, (map, row))| map != row);
        for (at, _) in apart {
            assert!(!decided[at / num_bits], "bit {at} of the map");
        }
        let again = quantizer.forward_channel_first(map.clone());
        assert_eq!(again.bits.into_data(), of_map);
        let y = quantizer.quantize_channel_first(map).into_data();
        assert_eq!(again.quantized.into_data(), y);
    }
    assert!(
        left_out * 5 < compared,
        "{left_out} left out, {compared} compared"
    );
}

/// `forward_with_noise` decides as in training, also on a backend without gradients.
fn given_noise_is_added_to_the_logits<B: Backend>(device: &B::Device) {
    let mut compared = 0;
    for (config, beam) in configs() {
        let (quantizer, x) = quantizer::<B>(&config, device);
        let noise = random::<B, 2>([60, config.num_bits], device) * 0.3;
        let codebook = floats(quantizer.codebook.val());
        let plain = PlainJoint::new(&codebook, config.features, beam);
        let rows = normalized(&quantizer, &x);
        let given = wide(&floats(noise.clone()));
        let out = quantizer.forward_with_noise(x, noise);
        let bits = integers(out.bits);
        let (y, features) = (wide(&floats(out.quantized)), config.features);
        for (row, vector) in rows.chunks(features).enumerate() {
            let at = row * config.num_bits;
            let wanted = plain.decide(vector, &given[at..][..config.num_bits]);
            if is_undecided(&wanted) {
                continue;
            }
            compared += 1;
            for (bit, logit) in bits[at..].iter().zip(&wanted.logits) {
                assert_eq!(*bit, i64::from(*logit > 0.0));
            }
            for (y, wanted) in y[row * features..].iter().zip(&wanted.quantized) {
                assert!((y - wanted).abs() < 1e-4, "{y}, expected {wanted}");
            }
        }
    }
    assert!(compared > 500, "{compared} vectors compared");
}

fn equal_pairs_and_nan_give_finite_outputs<B: Backend>(device: &B::Device) {
    let codebook =
        Tensor::<B, 2>::from_data([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0], [1.0, -1.0]], device);
    let config = BitcodesConfig::new(2, 2).with_normalize(false);
    let quantizer = config.try_init_from_codebook(codebook).unwrap();
    let x = [
        [1.5, 1.5],
        [f32::NAN, 0.0],
        [f32::INFINITY, 0.0],
        [f32::MAX, f32::MIN],
        [1e-40, 0.0],
    ];
    let out = quantizer.forward(Tensor::<B, 2>::from_data(x, device));
    let wanted = [0, 0, 0, 0, 0, 1, 0, 1, 0, 0];
    assert_eq!(
        integers(out.bits),
        wanted,
        "bits of ties, NaN and sums that overflow"
    );
    assert!(floats(out.quantized).iter().all(|y| y.is_finite()));
    let none = Tensor::<B, 3>::zeros([2, 0, 2], device);
    assert_eq!(quantizer.logits(none.clone()).dims(), [2, 0, 2]);
    let valid =
        Tensor::<B, 2, Bool>::from_data(TensorData::new(Vec::<bool>::new(), [2, 0]), device);
    assert_eq!(
        quantizer.forward_masked(none, valid).bits.dims(),
        [2, 0, quantizer.num_bits()]
    );
}
