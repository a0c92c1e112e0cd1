//! Tests of the module's promises other than parity, on every backend.

use bitcodes_core::{BitcodesConfig, CodesError, PackedCodes, to_bits, to_decimal};
use bitcodes_workspace::on_every_backend;
use burn::backend::Autodiff;

use crate::sampling::with_logits;
use burn::tensor::{DType, Distribution, Int, Tensor, TensorData, backend::Backend};

on_every_backend!(
    any_rank_gives_the_same_as_a_matrix,
    no_vectors_give_no_codes,
    ties_and_nan_give_a_zero,
    decimals_are_the_references_and_convert_back,
    unsigned_integers_hold_one_bit_more,
    decimals_out_of_range_are_errors,
    a_wrong_last_axis_panics_and_names_both_lengths,
);

fn random<B: Backend, const D: usize>(shape: [usize; D], device: &B::Device) -> Tensor<B, D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

fn any_rank_gives_the_same_as_a_matrix<B: Backend>(device: &B::Device) {
    // The values are whole numbers, whose sums are exact in any order.
    let mut quantizer = BitcodesConfig::reference(5, 7).init::<B>(device);
    quantizer.codebook = quantizer.codebook.map(|codebook| (codebook * 4).round());
    let vectors = (random::<B, 2>([12, 5], device) * 4).round();
    let out = quantizer.forward(vectors.clone());
    let (y, bits) = (out.quantized, out.bits);

    let one = quantizer.forward(vectors.clone().narrow(0, 3, 1).reshape([5]));
    assert_eq!(
        one.quantized.into_data(),
        y.clone().narrow(0, 3, 1).reshape([5]).into_data()
    );
    assert_eq!(
        one.bits.into_data(),
        bits.clone().narrow(0, 3, 1).reshape([7]).into_data()
    );

    macro_rules! rank {
        ($($dim:literal),*) => {
            let out = quantizer.forward(vectors.clone().reshape([$($dim),*, 5]));
            assert_eq!(out.quantized.into_data(), y.clone().reshape([$($dim),*, 5]).into_data());
            assert_eq!(out.bits.into_data(), bits.clone().reshape([$($dim),*, 7]).into_data());
        };
    }
    rank!(12);
    rank!(3, 4);
    rank!(2, 3, 2);
    rank!(2, 1, 3, 2);
}

fn no_vectors_give_no_codes<B: Backend>(device: &B::Device) {
    let quantizer = BitcodesConfig::reference(5, 7).init::<B>(device);
    let x = Tensor::<B, 3>::zeros([2, 0, 5], device);
    let out = quantizer.forward(x.clone());
    assert_eq!(out.quantized.dims(), [2, 0, 5]);
    assert_eq!(out.bits.dims(), [2, 0, 7]);
    assert_eq!(quantizer.quantize(x.clone()).dims(), [2, 0, 5]);
    assert_eq!(quantizer.logits(x.clone()).dims(), [2, 0, 7]);

    let indices: Tensor<B, 2, Int> = to_decimal(out.bits.clone()).unwrap();
    assert_eq!(indices.dims(), [2, 0]);
    let bits: Tensor<B, 3, Int> = to_bits(indices, 7).unwrap();
    assert_eq!(bits.dims(), [2, 0, 7]);
    let packed = PackedCodes::from_bits(out.bits).unwrap();
    assert_eq!((packed.dims(), packed.as_bytes().len()), (&[2, 0][..], 0));
    assert_eq!(packed.unpack::<B, 3>(device).dims(), [2, 0, 7]);

    let trained = BitcodesConfig::reference(5, 7).init::<Autodiff<B>>(device);
    let out = trained.forward(Tensor::from_inner(x));
    assert_eq!(out.quantized.dims(), [2, 0, 5]);
    assert_eq!(out.bits.dims(), [2, 0, 7]);
}

fn ties_and_nan_give_a_zero<B: Backend>(device: &B::Device) {
    let quantizer = with_logits::<B>(&[1.0, -1.0], device);
    let values = [
        0.0,
        -0.0,
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        1e-30,
        -1e30,
    ];
    let x = Tensor::<B, 2>::from_data(TensorData::new(values.to_vec(), [7, 1]), device);
    let bits = quantizer.encode(x).into_data();
    let wanted = [0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 1];
    assert_eq!(bits.iter::<i64>().collect::<Vec<_>>(), wanted);
}

fn decimals_are_the_references_and_convert_back<B: Backend>(device: &B::Device) {
    let rows = [
        [0, 0, 0, 0],
        [1, 0, 1, 1],
        [1, 0, 0, 1],
        [1, 0, 0, 0],
        [0, 1, 1, 1],
        [0, 0, 1, 0],
    ];
    let bits = Tensor::<B, 2, Int>::from_data(rows, device);
    let decimal: Tensor<B, 1, Int> = to_decimal(bits.clone()).unwrap();
    let found: Vec<i64> = decimal.to_data().iter().collect();
    assert_eq!(found, [0, 11, 9, 8, 7, 2]);
    let back: Tensor<B, 2, Int> = to_bits(decimal, 4).unwrap();
    assert_eq!(back.into_data(), bits.clone().into_data());

    let row: Tensor<B, 1, Int> = bits.narrow(0, 1, 1).reshape([4]);
    let decimal: Tensor<B, 1, Int> = to_decimal(row).unwrap();
    assert_eq!(decimal.into_data().iter::<i64>().collect::<Vec<_>>(), [11]);

    let largest = i64::from(i32::MAX);
    let indices = Tensor::<B, 3, Int>::from_data([[[largest, 0, 1]]], device);
    let bits: Tensor<B, 4, Int> = to_bits(indices.clone(), 31).unwrap();
    assert_eq!(bits.dims(), [1, 1, 3, 31]);
    let back: Tensor<B, 3, Int> = to_decimal(bits).unwrap();
    assert_eq!(back.into_data(), indices.into_data());
}

fn unsigned_integers_hold_one_bit_more<B: Backend>(device: &B::Device) {
    let values = vec![u32::MAX, 1 << 31, 0, 5];
    let data = TensorData::new(values.clone(), [4]);
    let indices = Tensor::<B, 1, Int>::from_data(data, (device, DType::U32));
    let bits: Tensor<B, 2, Int> = to_bits(indices, 32).unwrap();
    let found: Vec<i64> = bits.to_data().iter().collect();
    for (row, value) in found.chunks(32).zip(&values) {
        for (p, &bit) in row.iter().enumerate() {
            assert_eq!(bit, i64::from(value >> (31 - p) & 1));
        }
    }
    let back: Tensor<B, 1, Int> = to_decimal(bits).unwrap();
    assert_eq!(back.into_data().to_vec::<u32>().unwrap(), values);
}

fn decimals_out_of_range_are_errors<B: Backend>(device: &B::Device) {
    let bits = |values: Vec<i32>| {
        let shape = [1, values.len()];
        Tensor::<B, 2, Int>::from_data(TensorData::new(values, shape), device)
    };
    let error = to_decimal::<B, 2, 1>(bits(vec![1; 64])).unwrap_err();
    assert!(
        matches!(error, CodesError::TooManyBits { num_bits: 64, .. }),
        "{error}"
    );
    for value in [2, -1] {
        let error = to_decimal::<B, 2, 1>(bits(vec![0, value, 1])).unwrap_err();
        assert_eq!(
            error,
            CodesError::OutOfRange {
                value: value.into(),
                max: 1
            }
        );
    }
    for value in [16, -1] {
        let error = to_bits::<B, 2, 3>(bits(vec![3, value]), 4).unwrap_err();
        assert_eq!(
            error,
            CodesError::OutOfRange {
                value: value.into(),
                max: 15
            }
        );
    }
    let error = to_bits::<B, 2, 3>(bits(vec![3]), 64).unwrap_err();
    assert!(
        matches!(error, CodesError::TooManyBits { num_bits: 64, .. }),
        "{error}"
    );
    assert_eq!(
        to_bits::<B, 2, 3>(bits(vec![3]), 0).unwrap_err(),
        CodesError::NoBits
    );
}

fn a_wrong_last_axis_panics_and_names_both_lengths<B: Backend>(device: &B::Device) {
    let quantizer = BitcodesConfig::reference(5, 7).init::<B>(device);
    let message = |call: &dyn Fn()| {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).unwrap_err();
        panic
            .downcast_ref::<String>()
            .expect("a formatted message")
            .clone()
    };
    let x = Tensor::<B, 2>::zeros([3, 6], device);
    let found = message(&|| drop(quantizer.forward(x.clone())));
    assert!(
        found.contains("x has 6 elements, expected features = 5"),
        "{found}"
    );
    let bits = Tensor::<B, 2, Int>::zeros([3, 6], device);
    let found = message(&|| drop(quantizer.decode(bits.clone())));
    assert!(
        found.contains("bits has 6 elements, expected num_bits = 7"),
        "{found}"
    );
    let x = Tensor::<B, 2>::zeros([3, 5], device);
    let noise = Tensor::<B, 2>::zeros([3, 5], device);
    let found = message(&|| drop(quantizer.forward_with_noise(x.clone(), noise.clone())));
    assert!(found.contains("noise has another shape"), "{found}");
}
