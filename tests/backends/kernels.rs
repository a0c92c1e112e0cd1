//! The kernels on the host's memory: which backends take them, and that a tensor which they cannot
//! take gives the same.

use bitcodes_core::backend::{Path, path};
use bitcodes_core::{Bitcodes, BitcodesConfig};
use bitcodes_workspace::on_every_backend;
use burn::backend::{Autodiff, Flex, NdArray, Wgpu};
use burn::tensor::{Distribution, Int, Tensor, backend::Backend};

use crate::golden::floats;

on_every_backend!(
    vectors_in_any_order_of_memory_have_the_same_bits,
    bits_that_are_none_are_extrapolated,
);

#[test]
fn each_backend_takes_its_path() {
    assert_eq!(path::<Flex>(), Path::Kernels);
    assert_eq!(path::<NdArray>(), Path::Kernels);
    assert_eq!(path::<NdArray<f64>>(), Path::Kernels);
    assert_eq!(path::<Wgpu>(), Path::Tensors);
    assert_eq!(path::<Autodiff<Flex>>(), Path::Tensors);
    assert_eq!(path::<Autodiff<NdArray>>(), Path::Tensors);
}

fn quantizer<B: Backend>(device: &B::Device) -> Bitcodes<B> {
    BitcodesConfig::reference(5, 19).init(device)
}

fn vectors_in_any_order_of_memory_have_the_same_bits<B: Backend>(device: &B::Device) {
    let quantizer = quantizer::<B>(device);
    let normal = Distribution::Normal(0.0, 1.0);
    let all = Tensor::<B, 2>::random([40, 12], normal, device);
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

fn bits_that_are_none_are_extrapolated<B: Backend>(device: &B::Device) {
    let quantizer = quantizer::<B>(device);
    let row = |value| Tensor::<B, 2, Int>::full([1, 19], value, device);
    let [zeros, ones, twos] = [0, 1, 2].map(|value| floats(quantizer.decode(row(value))));
    for ((zero, one), two) in zeros.iter().zip(&ones).zip(&twos) {
        assert!((zero + 2.0 * (one - zero) - two).abs() < 1e-4);
    }
}
