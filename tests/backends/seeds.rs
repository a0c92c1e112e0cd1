//! Randomness is seeded.

use bitcodes_core::BitcodesConfig;
use bitcodes_workspace::on_every_backend_alone;
use burn::backend::Autodiff;
use burn::tensor::{Tensor, TensorData, backend::Backend};

on_every_backend_alone!(a_seed_repeats_and_two_calls_differ);

fn a_seed_repeats_and_two_calls_differ<B: Backend>(device: &B::Device) {
    let draw = |seed| -> [TensorData; 3] {
        Autodiff::<B>::seed(device, seed);
        let quantizer = BitcodesConfig::new(4, 16).init::<Autodiff<B>>(device);
        let x = Tensor::<_, 2>::ones([100, 4], device);
        [
            quantizer.codebook.val().into_data(),
            quantizer.forward(x.clone()).bits.into_data(),
            quantizer.forward(x).bits.into_data(),
        ]
    };
    let first = draw(1);
    assert_eq!(first, draw(1));
    assert_ne!(first[1], first[2], "two calls");
    let other = draw(2);
    assert_ne!(first[0], other[0], "two seeds, codebook");
    assert_ne!(first[1], other[1], "two seeds, bits");
}
