//! Tests of the kernels on host memory: which backends take them, and that tensors which the
//! kernels do not take give the same results.

use bitcodes_core::backend::{Path, path};
use bitcodes_core::{Bitcodes, BitcodesConfig, Independent, PackedCodes};
use bitcodes_workspace::on_every_backend;
use burn::backend::{Autodiff, Flex, NdArray, Wgpu};
use burn::module::Module;
use burn::tensor::{Bool, Distribution, Int, Tensor, TensorData, backend::Backend};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::golden::floats;

on_every_backend!(
    vectors_in_any_order_of_memory_have_the_same_bits,
    decode_extrapolates_values_other_than_0_and_1,
    packed_codes_equal_packed_bits,
    packed_codes_are_rounded_as_bits_are,
    training_without_a_mask_equals_training_with_all_valid,
    a_frozen_codebook_has_no_gradient_but_the_vectors_have,
    vectors_that_are_not_contiguous_train_the_codebook,
    a_nan_vector_makes_only_its_own_output_nan_in_training,
);

#[test]
fn each_backend_takes_its_path() {
    assert_eq!(path::<Flex>(), Path::Kernels);
    assert_eq!(path::<NdArray>(), Path::Kernels);
    assert_eq!(path::<NdArray<f64>>(), Path::Kernels);
    assert_eq!(path::<Wgpu>(), Path::Tensors);
    assert_eq!(path::<Autodiff<Flex>>(), Path::Kernels);
    assert_eq!(path::<Autodiff<NdArray>>(), Path::Kernels);
    assert_eq!(path::<Autodiff<Wgpu>>(), Path::Tensors);
}

fn quantizer<B: Backend>(device: &B::Device) -> Bitcodes<B> {
    BitcodesConfig::reference(5, 19).init(device)
}

/// Returns the same pseudo-random tensor in every run, so that no logit comes too near to 0 by
/// chance.
fn numbers<B: Backend, const D: usize>(
    seed: u64,
    shape: [usize; D],
    device: &B::Device,
) -> Tensor<B, D> {
    let mut random = StdRng::seed_from_u64(seed);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| random.random_range(-1.0..1.0)).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn with_numbers<B: Backend>(config: &BitcodesConfig, device: &B::Device) -> Bitcodes<B> {
    let codebook = numbers(9, [2 * config.num_bits, config.features], device);
    config.try_init_from_codebook(codebook).expect("it fits")
}

fn vectors_in_any_order_of_memory_have_the_same_bits<B: Backend>(device: &B::Device) {
    let quantizer = with_numbers::<B>(&BitcodesConfig::reference(5, 19), device);
    let all = numbers::<B, 2>(1, [40, 12], device);
    let views = [
        all.clone().narrow(1, 3, 5),
        all.clone().slice([7..31, 2..7]),
        all.clone().flip([0]).narrow(1, 0, 5),
        all.clone().flip([1]).narrow(1, 0, 5),
        all.clone().transpose().narrow(1, 1, 5),
        all.clone().narrow(0, 3, 1).narrow(1, 3, 5).expand([9, 5]),
    ];
    for (index, view) in views.into_iter().enumerate() {
        let plain = Tensor::<B, 2>::from_data(view.to_data(), device);
        let [of_view, of_plain] = [view, plain].map(|x| quantizer.forward(x));
        let bits = [of_view.bits, of_plain.bits].map(|bits| bits.into_data());
        assert_eq!(bits[0], bits[1], "view {index}");
        let [of_view, of_plain] = [of_view.quantized, of_plain.quantized].map(floats);
        for (of_view, of_plain) in of_view.iter().zip(&of_plain) {
            assert!((of_view - of_plain).abs() < 1e-5, "view {index}");
        }
    }
}

fn decode_extrapolates_values_other_than_0_and_1<B: Backend>(device: &B::Device) {
    let quantizer = quantizer::<B>(device);
    let row = |value| Tensor::<B, 2, Int>::full([1, 19], value, device);
    let [zeros, ones, twos] = [0, 1, 2].map(|value| floats(quantizer.decode(row(value))));
    for ((zero, one), two) in zeros.iter().zip(&ones).zip(&twos) {
        assert!((zero + 2.0 * (one - zero) - two).abs() < 1e-4);
    }
}

fn packed_codes_equal_packed_bits<B: Backend>(device: &B::Device) {
    let normal = Distribution::Normal(0.0, 1.0);
    for config in [BitcodesConfig::reference(5, 19), BitcodesConfig::new(5, 19)] {
        let quantizer = config.init::<B>(device);
        for shape in [[3, 7, 5], [1, 1, 5], [2, 0, 5]] {
            let x = Tensor::<B, 3>::random(shape, normal, device);
            let packed = quantizer
                .encode_packed(x.clone())
                .expect("the device works");
            let bits = quantizer.encode(x);
            assert_eq!(packed, PackedCodes::from_bits(bits.clone()).expect("bits"));
            let decoded: Tensor<B, 3> = quantizer.decode_packed(&packed);
            assert_eq!(decoded.into_data(), quantizer.decode(bits).into_data());
        }
    }
}

/// The vectors are almost orthogonal to the difference of the bit's pair, so that rounding alone
/// decides the bit. The test thus sees any other order of summation.
fn packed_codes_are_rounded_as_bits_are<B: Backend>(device: &B::Device) {
    const FEATURES: usize = 200;
    if path::<B>() != Path::Kernels {
        // On other backends the same operation may be rounded differently the second time.
        return;
    }
    let direction = numbers::<B, 2>(1, [1, FEATURES], device);
    let x = numbers::<B, 2>(2, [1000, FEATURES], device);
    let along = x.clone().matmul(direction.clone().transpose());
    let length = direction.clone().square().sum();
    let x = x - along / length.unsqueeze() * direction.clone();
    // The elements of a vector are not contiguous, so no kernel takes the tensor as it is.
    let x = Tensor::<B, 2>::from_data(x.transpose().into_data(), device).transpose();
    for normalize in [false, true] {
        let config = BitcodesConfig::reference(FEATURES, 1).with_normalize(normalize);
        let pair = Tensor::cat(vec![direction.zeros_like(), direction.clone()], 0);
        let quantizer = config.try_init_from_codebook(pair).expect("it fits");
        let packed = quantizer
            .encode_packed(x.clone())
            .expect("the device works");
        let bits = quantizer.encode(x.clone());
        assert_eq!(packed, PackedCodes::from_bits(bits).expect("bits"));
    }
}

/// A mask takes the path of tensor operations, so this test compares the kernels with that path.
fn training_without_a_mask_equals_training_with_all_valid<B: Backend>(device: &B::Device) {
    for (features, num_bits, vectors) in [(5, 19, 33), (64, 32, 700), (130, 3, 90)] {
        let config = BitcodesConfig::reference(features, num_bits)
            .with_noise_scale(0.0)
            .with_assignment(Independent::new().with_temperature(2.0));
        let quantizer = with_numbers::<Autodiff<B>>(&config, device);
        let x = numbers::<B, 3>(2, [1, vectors, features], device);
        let target = numbers::<B, 3>(3, [1, vectors, features], device);
        let target = Tensor::<Autodiff<B>, 3>::from_inner(target);
        let pass = |masked: bool| {
            let x = Tensor::<Autodiff<B>, 3>::from_inner(x.clone()).require_grad();
            let valid = Tensor::<_, 2, Bool>::full([1, vectors], true, device);
            let out = match masked {
                true => quantizer.forward_masked(x.clone(), valid),
                false => quantizer.forward(x.clone()),
            };
            let loss = (out.quantized.clone() - target.clone())
                .powi_scalar(2)
                .mean();
            let gradients = loss.backward();
            let codebook = quantizer.codebook.val().grad(&gradients).expect("codebook");
            let of_x = x.grad(&gradients).expect("x");
            let values = [
                floats(out.quantized.inner()),
                floats(of_x),
                floats(codebook),
            ];
            (out.bits.into_data(), values)
        };
        let ((bits, values), (masked_bits, masked_values)) = (pass(false), pass(true));
        assert_eq!(bits, masked_bits);
        for (found, wanted) in values.iter().zip(&masked_values) {
            let largest = wanted
                .iter()
                .fold(0.0, |max: f32, value| max.max(value.abs()));
            assert!(largest > 0.0);
            for (found, wanted) in found.iter().zip(wanted) {
                assert!((found - wanted).abs() < 1e-4 * largest, "{found}, {wanted}");
            }
        }
    }
}

fn a_frozen_codebook_has_no_gradient_but_the_vectors_have<B: Backend>(device: &B::Device) {
    let quantizer = quantizer::<Autodiff<B>>(device).no_grad();
    let normal = Distribution::Normal(0.0, 1.0);
    let x = Tensor::<Autodiff<B>, 2>::random([9, 5], normal, device).require_grad();
    let gradients = quantizer.forward(x.clone()).quantized.sum().backward();
    assert!(quantizer.codebook.val().grad(&gradients).is_none());
    let of_x = floats(x.grad(&gradients).expect("x"));
    assert!(of_x.iter().any(|&gradient| gradient != 0.0));
}

fn vectors_that_are_not_contiguous_train_the_codebook<B: Backend>(device: &B::Device) {
    let config = BitcodesConfig::reference(5, 19).with_noise_scale(0.0);
    let quantizer = with_numbers::<Autodiff<B>>(&config, device);
    let all = numbers::<Autodiff<B>, 2>(4, [12, 40], device);
    let gradient = |x: Tensor<Autodiff<B>, 2>| {
        let loss = quantizer.forward(x).quantized.powi_scalar(2).sum();
        let gradients = loss.backward();
        floats(quantizer.codebook.val().grad(&gradients).expect("codebook"))
    };
    let views = [
        all.clone().narrow(1, 3, 5),
        all.clone().transpose().narrow(1, 2, 5),
        all.narrow(0, 3, 1).narrow(1, 3, 5).expand([9, 5]),
    ];
    for (index, view) in views.into_iter().enumerate() {
        let plain = Tensor::from_data(view.to_data(), device);
        let (of_view, of_plain) = (gradient(view), gradient(plain));
        for (of_view, of_plain) in of_view.iter().zip(&of_plain) {
            let bound = 1e-4 * of_plain.abs().max(1.0);
            assert!((of_view - of_plain).abs() < bound, "view {index}");
        }
    }
}

fn a_nan_vector_makes_only_its_own_output_nan_in_training<B: Backend>(device: &B::Device) {
    let quantizer = quantizer::<Autodiff<B>>(device);
    let mut x = vec![0.5; 3 * 5];
    x[7] = f32::NAN;
    let x = Tensor::<Autodiff<B>, 2>::from_data(TensorData::new(x, [3, 5]), device);
    let quantized = floats(quantizer.forward(x).quantized.inner());
    let rows: Vec<bool> = quantized.chunks(5).map(|row| row[0].is_nan()).collect();
    assert_eq!(rows, [false, true, false]);
}
