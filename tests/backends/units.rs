//! Tests that vectors come back in the units in which they were encoded, on every backend.

use bitcodes_core::{Bitcodes, BitcodesConfig};
use bitcodes_workspace::backends::any_seed;
use bitcodes_workspace::on_every_backend;
use burn::backend::{Flex, NdArray};
use burn::tensor::{DType, Distribution, FloatDType, Tensor, TensorData, backend::Backend};

use crate::golden::floats;

on_every_backend!(
    reconstructed_vectors_are_the_plain_inverse_of_normalized_ones,
    a_quantizer_without_normalization_reconstructs_what_it_decodes,
    no_vectors_are_reconstructed_from_no_codes,
);

/// Returns a quantizer for vectors around 30 with a standard deviation of 4, and such vectors.
fn quantizer<B: Backend>(
    features: usize,
    num_bits: usize,
    device: &B::Device,
) -> (Bitcodes<B>, Tensor<B, 3>) {
    let x = Tensor::<B, 3>::random([4, 25, features], Distribution::Normal(30.0, 4.0), device);
    let config = BitcodesConfig::new(features, num_bits);
    (config.try_init_from_sample(x.clone()).unwrap(), x)
}

/// Applies `(y + center) exp(log_scale) / DEVIATION` to vectors `[.., features]` in f64.
fn plain_inverse<B: Backend>(quantizer: &Bitcodes<B>, y: &[f32]) -> Vec<f64> {
    let normalization = quantizer.normalization.as_ref().expect("by default");
    let center = floats(normalization.center.val());
    let scale = f64::from(floats(normalization.log_scale.val())[0]).exp();
    let of = |(at, &y): (usize, &f32)| {
        (f64::from(y) + f64::from(center[at % center.len()])) * scale / 0.5
    };
    y.iter().enumerate().map(of).collect()
}

fn assert_near(found: &[f32], wanted: &[f64]) {
    assert_eq!(found.len(), wanted.len());
    for (&found, &wanted) in found.iter().zip(wanted) {
        // The sum, the exponential and the products are each off by a few units in the last place.
        let bound = 16.0 * f64::from(f32::EPSILON) * wanted.abs().max(30.0);
        assert!(
            (f64::from(found) - wanted).abs() <= bound,
            "{found}, wanted {wanted}"
        );
    }
}

fn reconstructed_vectors_are_the_plain_inverse_of_normalized_ones<B: Backend>(device: &B::Device) {
    for (features, num_bits) in [(1, 1), (3, 9), (5, 33)] {
        let (quantizer, x) = quantizer::<B>(features, num_bits, device);
        let bits = quantizer.encode(x.clone());
        let wanted = plain_inverse(&quantizer, &floats(quantizer.decode(bits.clone())));
        let again = quantizer.reconstruct(bits.clone());
        assert_eq!(again.dims(), x.dims());
        assert_near(&floats(again.clone()), &wanted);

        let codes = quantizer.encode_packed(x.clone()).unwrap();
        let packed: Tensor<B, 3> = quantizer.reconstruct_packed(&codes);
        assert_eq!(packed.dims(), x.dims());
        assert_near(&floats(packed), &wanted);

        // Channels come first in `[4, features, 5, 5]`.
        let map = x.clone().reshape([4, 5, 5, features]).permute([0, 3, 1, 2]);
        let of_map = quantizer.encode_channel_first(map.clone());
        let y = quantizer.decode_channel_first(of_map.clone());
        let rows = floats(y.permute([0, 2, 3, 1]));
        let map_again = quantizer.reconstruct_channel_first(of_map);
        assert_eq!(map_again.dims(), map.dims());
        let found = floats(map_again.permute([0, 2, 3, 1]));
        assert_near(&found, &plain_inverse(&quantizer, &rows));

        // A code of nine bits or more leaves little of three features.
        if num_bits >= 9 {
            let error = floats((again - x).powi_scalar(2).mean())[0];
            assert!(
                error < 0.25 * 16.0,
                "a mean squared error of {error}, the variance is 16"
            );
        }
    }
}

fn a_quantizer_without_normalization_reconstructs_what_it_decodes<B: Backend>(device: &B::Device) {
    let quantizer = BitcodesConfig::reference(3, 9).init::<B>(device);
    let x = Tensor::<B, 2>::random([7, 3], Distribution::Normal(0.0, 1.0), device);
    let bits = quantizer.encode(x.clone());
    let decoded = quantizer.decode(bits.clone()).into_data();
    assert_eq!(quantizer.reconstruct(bits).into_data(), decoded);
    let codes = quantizer.encode_packed(x).unwrap();
    let packed: Tensor<B, 2> = quantizer.reconstruct_packed(&codes);
    assert_eq!(
        packed.into_data(),
        quantizer.decode_packed::<2>(&codes).into_data()
    );
}

fn no_vectors_are_reconstructed_from_no_codes<B: Backend>(device: &B::Device) {
    let quantizer = BitcodesConfig::new(3, 9).init::<B>(device);
    let none = Tensor::<B, 2>::from_data(TensorData::new(Vec::<f32>::new(), [0, 3]), device);
    let codes = quantizer.encode_packed(none.clone()).unwrap();
    assert_eq!(codes.dims(), [0]);
    assert_eq!(quantizer.reconstruct_packed::<2>(&codes).dims(), [0, 3]);
    assert_eq!(quantizer.reconstruct(quantizer.encode(none)).dims(), [0, 3]);
    let map = Tensor::<B, 3>::zeros([2, 3, 0], device);
    let bits = quantizer.encode_channel_first(map);
    assert_eq!(quantizer.reconstruct_channel_first(bits).dims(), [2, 3, 0]);
}

/// Only the CPU backends compute in f64.
#[test]
fn a_quantizer_in_f64_reconstructs_in_f64() {
    let _seed = any_seed();
    reconstructs_in_f64::<Flex>(&Default::default());
    reconstructs_in_f64::<NdArray>(&Default::default());
}

fn reconstructs_in_f64<B: Backend>(device: &B::Device) {
    let x = Tensor::<B, 2>::random([40, 3], Distribution::Normal(30.0, 4.0), device);
    let x = x.cast(FloatDType::F64);
    let config = BitcodesConfig::new(3, 9);
    let quantizer: Bitcodes<B> = config.try_init_from_sample(x.clone()).unwrap();
    let bits = quantizer.encode(x);
    let again = quantizer.reconstruct(bits.clone());
    assert_eq!(again.dtype(), DType::F64);
    let doubles = |data: TensorData| -> Vec<f64> { data.iter().collect() };
    let normalization = quantizer.normalization.as_ref().expect("by default");
    let center = doubles(normalization.center.val().into_data());
    let scale = doubles(normalization.log_scale.val().into_data())[0].exp();
    let y = doubles(quantizer.decode(bits).into_data());
    let found = doubles(again.into_data());
    for (at, (found, y)) in found.iter().zip(&y).enumerate() {
        let wanted = (y + center[at % 3]) * scale / 0.5;
        assert!(
            (found - wanted).abs() < 1e-12 * wanted.abs(),
            "{found}, wanted {wanted}"
        );
    }
}
