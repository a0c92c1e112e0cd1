//! Tests of the noise of training: its seed and its distribution.

use bitcodes_core::{Bitcodes, BitcodesConfig};
use bitcodes_workspace::on_every_backend_alone;
use burn::backend::Autodiff;
use burn::tensor::{Tensor, TensorData, backend::Backend};

on_every_backend_alone!(
    a_seed_repeats_and_two_calls_differ,
    training_draws_each_bit_by_its_logit,
);

fn a_seed_repeats_and_two_calls_differ<B: Backend>(device: &B::Device) {
    let draw = |seed| -> [TensorData; 3] {
        Autodiff::<B>::seed(device, seed);
        let quantizer = BitcodesConfig::reference(4, 16).init::<Autodiff<B>>(device);
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

/// Makes a quantizer of one feature whose logits are `x * slopes`, one per bit.
pub fn with_logits<B: Backend>(slopes: &[f32], device: &B::Device) -> Bitcodes<B> {
    let mut quantizer = BitcodesConfig::reference(1, slopes.len()).init::<B>(device);
    let rows: Vec<f32> = slopes.iter().flat_map(|&slope| [0.0, slope]).collect();
    let data = TensorData::new(rows, [2 * slopes.len(), 1]);
    quantizer.codebook = quantizer.codebook.map(|_| Tensor::from_data(data, device));
    quantizer
}

/// Over 10^5 draws the frequency of a 1 lies within four standard deviations of the sigmoid of the
/// logit, and no two bits are correlated.
///
/// The test is seeded, because otherwise one run in 200 would fail.
fn training_draws_each_bit_by_its_logit<B: Backend>(device: &B::Device) {
    const DRAWS: usize = 100_000;
    let logits = [-6.0, -2.0, -0.5, 0.0, 0.1, 1.0, 4.0];
    let quantizer = with_logits::<Autodiff<B>>(&logits, device);
    Autodiff::<B>::seed(device, 1);
    let x = Tensor::<_, 2>::ones([DRAWS, 1], device);
    let bits: Vec<i64> = quantizer.forward(x).bits.into_data().iter().collect();

    let p: Vec<f64> = logits
        .iter()
        .map(|&l| 1.0 / (1.0 + f64::from(-l).exp()))
        .collect();
    let share = |holds: &dyn Fn(&[i64]) -> bool| {
        bits.chunks(logits.len()).filter(|row| holds(row)).count() as f64 / DRAWS as f64
    };
    let assert_share = |found: f64, wanted: f64, what: &str| {
        let sigma = (wanted * (1.0 - wanted) / DRAWS as f64).sqrt();
        assert!(
            (found - wanted).abs() < 4.0 * sigma,
            "{what}: {found}, expected {wanted}"
        );
    };
    for i in 0..logits.len() {
        assert_share(share(&|row| row[i] == 1), p[i], &format!("bit {i}"));
        for j in 0..i {
            let both = share(&|row| row[i] == 1 && row[j] == 1);
            assert_share(both, p[i] * p[j], &format!("bits {i} and {j}"));
        }
    }
}
