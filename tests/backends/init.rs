//! Tests of the statistics of new codebooks. Each test is seeded and allows four standard errors.

use bitcodes_core::{
    Assignment, BitStatistics, BitcodesConfig, ConfigError, Independent, Initializer, Joint,
    PackedCodes,
};
use bitcodes_workspace::backends::skipped;
use bitcodes_workspace::on_every_backend_alone;
use burn::tensor::{DType, Distribution, FloatDType, Tensor, TensorData, backend::Backend};

use crate::golden::{floats, integers};

on_every_backend_alone!(
    the_output_keeps_its_scale_for_any_number_of_bits,
    a_sample_gives_its_mean_and_covariance_and_balanced_bits,
    few_features_around_the_origin_keep_all_directions,
    a_sample_in_half_precision_gives_a_finite_codebook,
    invalid_samples_are_errors,
    moving_and_scaling_the_sample_changes_no_bit,
    a_grid_along_principal_directions_is_near_the_sample,
    an_orthogonal_start_has_the_variance_of_vectors_and_halving_lengths,
    codebooks_for_normalized_vectors_lie_around_the_origin,
);

fn codebooks_for_normalized_vectors_lie_around_the_origin<B: Backend>(device: &B::Device) {
    let of = |initializer| Independent::new().with_initializer(initializer);
    for assignment in [
        Assignment::from(of(Initializer::Normal)),
        of(Initializer::UnitOutput).into(),
        Joint::new().into(),
    ] {
        let config = BitcodesConfig::new(6, 9).with_assignment(assignment);
        let codebook = config.init::<B>(device).codebook.val();
        for sum in floats(codebook.sum_dim(0)) {
            assert!(sum.abs() < 1e-5, "{assignment:?}: {sum}");
        }
    }
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let square = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
    (mean, (square / count).sqrt())
}

fn wide(values: Vec<f32>) -> Vec<f64> {
    values.into_iter().map(f64::from).collect()
}

fn the_output_keeps_its_scale_for_any_number_of_bits<B: Backend>(device: &B::Device) {
    B::seed(device, 1);
    for num_bits in [1, 8, 200] {
        for (initializer, wanted) in [
            (Initializer::Normal, (num_bits as f64).sqrt()),
            (Initializer::UnitOutput, 1.0),
        ] {
            let independent = Independent::new().with_initializer(initializer);
            let config = BitcodesConfig::reference(4000, num_bits).with_assignment(independent);
            let quantizer = config.init::<B>(device);
            let x = Tensor::<B, 2>::random([1, 4000], Distribution::Default, device);
            let (_, deviation) = mean_and_deviation(&wide(floats(quantizer.quantize(x))));
            // The features are independent, so the standard error of the deviation is 1 in 90.
            let error = 1.0 / (2.0f64 * 4000.0).sqrt();
            let ratio = deviation / wanted;
            assert!(
                (ratio - 1.0).abs() < 4.0 * error,
                "{num_bits} bits, {initializer:?}: {ratio}"
            );
        }
    }
}

/// The vectors lie far from the origin, with a different spread along each axis.
fn a_sample_gives_its_mean_and_covariance_and_balanced_bits<B: Backend>(device: &B::Device) {
    const VECTORS: usize = 2000;
    const BITS: usize = 400;
    B::seed(device, 2);
    let normal = Distribution::Normal(0.0, 1.0);
    let spread = Tensor::<B, 2>::from_data([[0.5, 1.0, 2.0, 0.1]], device);
    let mean = Tensor::<B, 2>::from_data([[0.0, 0.0, 0.0, 5.0]], device);
    let sample = Tensor::<B, 2>::random([VECTORS, 4], normal, device) * spread + mean;
    let config = BitcodesConfig::reference(4, BITS);
    let quantizer = config
        .try_init_from_sample(sample.clone().reshape([2, VECTORS / 2, 4]))
        .unwrap();

    // Decode random codes, in which each bit is 0 or 1 with equal probability.
    let coins = Tensor::<B, 2>::random([4000, BITS], Distribution::Default, device);
    let y = floats(quantizer.decode(coins.greater_elem(0.5).int()));
    let feature = |f: usize| {
        let values = y.iter().skip(f).step_by(4);
        mean_and_deviation(&values.map(|&v| f64::from(v)).collect::<Vec<_>>())
    };
    // The spread along the mean is damped, so that the logits are centered.
    for (f, wanted) in [(0, 0.5), (1, 1.0), (2, 2.0)] {
        let (mean, deviation) = feature(f);
        assert!(
            mean.abs() < 4.0 * wanted / 4000f64.sqrt() + 4.0 * wanted / (VECTORS as f64).sqrt()
        );
        // The error is that of 400 random directions plus that of the sample itself.
        let error = 1.0 / (2.0 * BITS as f64).sqrt() + 1.0 / (2.0 * VECTORS as f64).sqrt();
        assert!(
            (deviation / wanted - 1.0).abs() < 4.0 * error,
            "{f}: {deviation}"
        );
    }
    assert!((feature(3).0 - 5.0).abs() < 0.1, "{:?}", feature(3));

    let bits = wide(floats(quantizer.encode(sample).float().mean_dim(0)));
    // A bit is the sign of a logit over 2000 vectors. The logit is centered except for the damped
    // part of the mean, which is 5 times 1/2500 of at most a tenth of the spread. Of 400 bits one
    // is beyond four standard errors in one run of a hundred, and this run is seeded.
    let error = 0.5 / (VECTORS as f64).sqrt();
    for mean in bits {
        assert!((mean - 0.5).abs() < 4.0 * error, "{mean}");
    }
}

/// 32 lines through the origin cut a plane into 64 sectors, each with a code of its own.
///
/// If the direction of the mean were left out, which is random here, there would be only two codes.
fn few_features_around_the_origin_keep_all_directions<B: Backend>(device: &B::Device) {
    B::seed(device, 3);
    let sample = Tensor::<B, 2>::random([5000, 2], Distribution::Normal(0.0, 1.0), device);
    let quantizer = BitcodesConfig::reference(2, 32)
        .try_init_from_sample(sample.clone())
        .unwrap();
    let codes = PackedCodes::from_bits(quantizer.encode(sample)).unwrap();
    let mut statistics = BitStatistics::new(32);
    statistics.update(&codes).unwrap();
    let used = statistics.codes_used().value;
    // The narrowest of 64 random sectors hold less than one of 5000 vectors.
    assert!((48.0..=64.0).contains(&used), "{used}");
}

/// The squares of the sample's means are so small that f16 rounds them to 0.
fn a_sample_in_half_precision_gives_a_finite_codebook<B: Backend>(device: &B::Device) {
    B::seed(device, 4);
    if !B::supports_dtype(device, DType::F16) {
        skipped(format_args!("no F16 on {}", B::name(device)));
        return;
    }
    let sample = Tensor::<B, 2>::random([64, 4], Distribution::Normal(1e-4, 1e-4), device);
    let sample = sample.cast(FloatDType::F16);
    let quantizer = BitcodesConfig::reference(4, 8)
        .try_init_from_sample(sample)
        .unwrap();
    let codebook = floats(quantizer.codebook.val());
    assert!(codebook.iter().all(|c| c.is_finite()));
    assert!(codebook.iter().any(|c| c.abs() > 1e-6));
}

fn invalid_samples_are_errors<B: Backend>(device: &B::Device) {
    let config = BitcodesConfig::reference(3, 4);
    let error = |shape: [usize; 2], value: f32| {
        let data = TensorData::new(vec![value; shape[0] * shape[1]], shape);
        let sample = Tensor::<B, 2>::from_data(data, device);
        config.try_init_from_sample(sample).unwrap_err()
    };
    let (found, wanted) = (4, 3);
    assert_eq!(
        error([5, 4], 1.0),
        ConfigError::SampleFeatures { found, wanted }
    );
    assert_eq!(error([1, 3], 1.0), ConfigError::SampleSize(1));
    assert_eq!(error([0, 3], 1.0), ConfigError::SampleSize(0));
    for value in [f32::NAN, f32::INFINITY] {
        assert!(matches!(
            error([5, 3], value),
            ConfigError::SampleNotFinite(_)
        ));
    }
    // Vectors that are all the same are reconstructed without an error.
    let same = Tensor::<B, 2>::ones([5, 3], device);
    let quantizer = config.try_init_from_sample(same.clone()).unwrap();
    let y = floats(quantizer.quantize(same));
    assert!(y.iter().all(|y| (y - 1.0).abs() < 1e-5), "{y:?}");
    // After normalization the same vectors lie at the origin, and the pairs start apart from it.
    let same = Tensor::<B, 2>::ones([5, 3], device);
    let quantizer = BitcodesConfig::new(3, 4)
        .try_init_from_sample(same)
        .unwrap();
    let codebook = floats(quantizer.codebook.val());
    for pair in codebook.chunks(6) {
        assert!(
            (0..3).any(|f| (pair[f] - pair[3 + f]).abs() > 0.05),
            "{pair:?}"
        );
    }
    // With a single feature the direction of the mean cannot be left out.
    let one = Tensor::<B, 2>::random([50, 1], Distribution::Normal(0.0, 1.0), device);
    let quantizer = BitcodesConfig::reference(1, 4)
        .try_init_from_sample(one.clone())
        .unwrap();
    let logits = floats(quantizer.logits(one));
    assert!(logits.iter().any(|l| l.abs() > 0.01));
}

/// A sample that is moved and scaled gives the same codebook and the same codes.
fn moving_and_scaling_the_sample_changes_no_bit<B: Backend>(device: &B::Device) {
    B::seed(device, 5);
    let normal = Distribution::Normal(0.0, 1.0);
    let x = Tensor::<B, 2>::random([200, 6], normal, device);
    let shift = Tensor::<B, 2>::random([1, 6], normal, device);
    let config = BitcodesConfig::new(6, 9);
    let start = |x: Tensor<B, 2>| {
        B::seed(device, 6);
        let quantizer = config.try_init_from_sample(x.clone()).unwrap();
        let y = floats(quantizer.quantize(x.clone()));
        (integers(quantizer.encode(x)), y)
    };
    let (bits, y) = start(x.clone());
    for (scale, moved) in [(1e-3, 1.0), (50.0, 0.0), (7.0, 20.0)] {
        let (other_bits, other_y) = start(x.clone() * scale + shift.clone() * moved);
        let apart = bits.iter().zip(&other_bits).filter(|(a, b)| a != b).count();
        // Vectors that are shifted by a thousand deviations lose three digits.
        assert!(apart <= 20, "{apart} of 1800 bits differ by rounding");
        let near = y
            .iter()
            .zip(&other_y)
            .filter(|(a, b)| (*a - *b).abs() < 0.01);
        assert!(near.count() >= y.len() - 40);
    }
    let square = y.iter().map(|y| f64::from(y * y)).sum::<f64>() / y.len() as f64;
    // Only three of six directions have a grid, so the outputs are smaller than the vectors.
    assert!(
        (0.05..0.25).contains(&square),
        "{square}, of vectors with 1/4"
    );
}

/// The vectors lie in a plane of a space with eight dimensions. The grid lies in the plane too, and
/// 3 bits per direction leave the error of a uniform grid.
fn a_grid_along_principal_directions_is_near_the_sample<B: Backend>(device: &B::Device) {
    B::seed(device, 7);
    let normal = Distribution::Normal(0.0, 1.0);
    let plane = Tensor::<B, 2>::random([2, 8], normal, device);
    let x = Tensor::<B, 2>::random([2000, 2], normal, device).matmul(plane) + 5.0;
    let quantizer = BitcodesConfig::new(8, 6)
        .try_init_from_sample(x.clone())
        .unwrap();
    let normalized = |x: Tensor<B, 2>| {
        let normalization = quantizer.normalization.clone().expect("by default");
        let scale = normalization.log_scale.val().exp().unsqueeze();
        x / scale * 0.5 - normalization.center.val().unsqueeze()
    };
    let error = (quantizer.quantize(x.clone()) - normalized(x.clone())).powi_scalar(2);
    let error = wide(floats(error.mean()))[0] / 0.25;
    // There are three bits per direction. One direction is longer than the grid is made for, the
    // other is shorter.
    assert!((0.05..0.4).contains(&error), "{error} of the variance");
    let mut statistics = BitStatistics::new(6);
    let codes = PackedCodes::from_bits(quantizer.encode(x)).unwrap();
    statistics.update(&codes).unwrap();
    assert!(
        statistics.mean_entropy() > 0.8,
        "{}",
        statistics.mean_entropy()
    );
}

fn an_orthogonal_start_has_the_variance_of_vectors_and_halving_lengths<B: Backend>(
    device: &B::Device,
) {
    B::seed(device, 8);
    for (features, num_bits, directions) in [(6, 1, 1), (6, 7, 3), (3, 14, 3)] {
        let config = BitcodesConfig::new(features, num_bits).with_normalize(false);
        let codebook = wide(floats(config.init::<B>(device).codebook.val()));
        let rows: Vec<&[f64]> = codebook.chunks(features).collect();
        let half = |p: usize| -> Vec<f64> {
            let pair = rows[2 * p].iter().zip(rows[2 * p + 1]);
            pair.map(|(zero, one)| (one - zero) / 2.0).collect()
        };
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let length = 0.49 * features as f64 / directions as f64;
        for p in 0..num_bits {
            for q in 0..num_bits {
                let halved = 2f64.powi(-((p / directions + q / directions) as i32));
                let wanted = match p % directions == q % directions {
                    true => length * halved,
                    false => 0.0,
                };
                let found = dot(&half(p), &half(q));
                assert!((found - wanted).abs() < 1e-5 * length, "{p}, {q}: {found}");
            }
        }
    }
}
