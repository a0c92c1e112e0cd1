//! Tests of every float type that a backend has.

use bitcodes_core::{BitcodesConfig, PackedCodes};
use bitcodes_workspace::backends::skipped;
use bitcodes_workspace::on_every_backend;
use bitcodes_workspace::plain::{Bounded, Plain, SLACK};
use burn::backend::Autodiff;
use burn::tensor::{DType, Distribution, FloatDType, Tensor, backend::Backend};

use crate::golden::floats;

on_every_backend!(
    half_precision_decides_as_single_does,
    half_precision_trains,
    mixed_precision_quantizes_to_what_the_codes_decode_to,
    double_precision_decides_in_double,
);

/// Returns the largest relative error of rounding to a half precision.
fn rounding(dtype: DType) -> Option<f64> {
    match dtype {
        DType::F16 => Some(2f64.powi(-11)),
        DType::BF16 => Some(2f64.powi(-8)),
        _ => None,
    }
}

fn halves<B: Backend>(device: &B::Device) -> Vec<DType> {
    let (has, lacks) = [DType::F16, DType::BF16]
        .into_iter()
        .partition(|&dtype| B::supports_dtype(device, dtype));
    let lacks: Vec<DType> = lacks;
    if !lacks.is_empty() {
        skipped(format_args!("no {lacks:?} on {}", B::name(device)));
    }
    // Flex has both types. Without this check nothing would be tested if no backend reported them.
    assert!(lacks.is_empty() || B::name(device) != "flex");
    has
}

/// Rounds a tensor to a type and returns its numbers and the tensor of that type.
fn rounded<B: Backend, const D: usize>(
    tensor: Tensor<B, D>,
    dtype: DType,
) -> (Vec<f32>, Tensor<B, D>) {
    let tensor = tensor.cast(FloatDType::from(dtype));
    let numbers = floats(tensor.clone().cast(FloatDType::F32));
    (numbers, tensor)
}

/// A logit is a sum of many terms that is small beside them, so half precision alone could not
/// decide it.
fn half_precision_decides_as_single_does<B: Backend>(device: &B::Device) {
    let normal = Distribution::Normal(0.0, 1.0);
    for dtype in halves::<B>(device) {
        let (x_numbers, x) = rounded(Tensor::<B, 2>::random([40, 96], normal, device), dtype);
        let codebook = Tensor::<B, 2>::random([66, 96], normal, device);
        let (codebook_numbers, codebook) = rounded(codebook, dtype);
        let config = BitcodesConfig::reference(96, 33);
        let quantizer = config.try_init_from_codebook(codebook).unwrap();
        let out = quantizer.forward(x.clone());
        assert_eq!(out.quantized.dtype(), dtype);
        assert_eq!(quantizer.quantize(x.clone()).dtype(), dtype);
        assert_eq!(quantizer.decode(out.bits.clone()).dtype(), dtype);
        assert_eq!(quantizer.logits(x).dtype(), DType::F32);

        let plain = Plain::new(&codebook_numbers, 96, 1.0);
        let logits = plain.logits(&x_numbers);
        let found: Vec<u8> = out.bits.into_data().iter().collect();
        for (found, logit) in found.iter().zip(&logits) {
            let decided = logit.value.abs() > SLACK * logit.error;
            assert!(
                !decided || *found == u8::from(logit.value > 0.0),
                "{logit:?}"
            );
        }
        let half = rounding(dtype).expect("a half precision");
        let y = floats(out.quantized.cast(FloatDType::F32));
        for (y, Bounded { value, error }) in y.into_iter().zip(plain.decode(&found)) {
            let allowed = SLACK * (error + half * value.abs());
            assert!(
                (f64::from(y) - value).abs() <= allowed,
                "{y}, expected {value}"
            );
        }
    }
}

fn half_precision_trains<B: Backend>(device: &B::Device) {
    for dtype in halves::<B>(device) {
        let normal = Distribution::Normal(0.0, 1.0);
        let x = Tensor::<Autodiff<B>, 2>::random([16, 8], normal, device);
        let x = x.cast(FloatDType::from(dtype)).require_grad();
        for config in [BitcodesConfig::reference(8, 12), BitcodesConfig::new(8, 12)] {
            let config = config.with_commitment_weight(0.25).with_entropy_weight(0.1);
            let quantizer = config.init::<Autodiff<B>>(device);
            let out = quantizer.forward(x.clone());
            let loss = out.quantized.cast(FloatDType::F32).powi_scalar(2).mean();
            let gradients = (loss + out.loss.expect("it has weights")).backward();
            let of_x = x.grad(&gradients).expect("a gradient of x");
            assert_eq!(of_x.dtype(), dtype);
            let of_x = floats(of_x.cast(FloatDType::F32));
            assert!(of_x.iter().all(|g| g.is_finite()) && of_x.iter().any(|&g| g != 0.0));
            let of_codebook = quantizer.codebook.val().grad(&gradients);
            let of_codebook = floats(of_codebook.expect("a gradient of the codebook"));
            assert!(of_codebook.iter().all(|g| g.is_finite()));
        }
    }
}

fn mixed_precision_quantizes_to_what_the_codes_decode_to<B: Backend>(device: &B::Device) {
    let mut dtypes = halves::<B>(device);
    dtypes.push(DType::F32);
    if B::supports_dtype(device, DType::F64) {
        dtypes.push(DType::F64);
    }
    let normal = Distribution::Normal(0.0, 1.0);
    for &of_x in &dtypes {
        for &of_codebook in &dtypes {
            for config in [BitcodesConfig::reference(5, 11), BitcodesConfig::new(5, 11)] {
                let x = Tensor::<B, 3>::random([2, 9, 5], normal, device);
                let x = x.cast(FloatDType::from(of_x));
                let codebook = Tensor::<B, 2>::random([22, 5], normal, device);
                let codebook = codebook.cast(FloatDType::from(of_codebook));
                let quantizer = config.try_init_from_codebook(codebook).unwrap();
                let out = quantizer.forward(x.clone());
                assert_eq!(out.quantized.dtype(), of_x);
                let decoded = quantizer.decode(out.bits.clone());
                assert_eq!(decoded.dtype(), of_codebook);
                let y = out.quantized.into_data();
                assert_eq!(decoded.cast(FloatDType::from(of_x)).into_data(), y);
                assert_eq!(quantizer.quantize(x.clone()).into_data(), y);
                assert_eq!(
                    quantizer.encode(x.clone()).into_data(),
                    out.bits.into_data()
                );

                let map = x.swap_dims(1, 2);
                let out = quantizer.forward_channel_first(map.clone());
                let y = out.quantized.into_data();
                assert_eq!(quantizer.quantize_channel_first(map).into_data(), y);
            }
        }
    }
}

/// The logits are so small that f32 would round them to 0.
fn double_precision_decides_in_double<B: Backend>(device: &B::Device) {
    if !B::supports_dtype(device, DType::F64) {
        skipped(format_args!("no F64 on {}", B::name(device)));
        return;
    }
    let double = |values: [[f64; 2]; 2]| Tensor::<B, 2>::from_data(values, (device, DType::F64));
    let config = BitcodesConfig::reference(2, 1);
    let quantizer = config
        .try_init_from_codebook(double([[0.0, 0.0], [1.0, 1.0]]))
        .unwrap();
    let x = double([[1.0 + 1e-12, -1.0], [1.0 - 1e-12, -1.0]]);
    let bits: Vec<u8> = quantizer.encode(x.clone()).into_data().iter().collect();
    assert_eq!(bits, [1, 0]);
    let packed = PackedCodes::from_logits(quantizer.logits(x.clone())).unwrap();
    assert_eq!(packed.unpack_on_host(), bits);
    assert_eq!(quantizer.quantize(x.clone()).dtype(), DType::F64);
    // Bits are decided in f64 with an f32 codebook too.
    let single = quantizer.codebook.val().cast(FloatDType::F32);
    let quantizer = config.try_init_from_codebook(single).unwrap();
    let out = quantizer.forward(x);
    assert_eq!(out.quantized.dtype(), DType::F64);
    assert_eq!(
        out.bits.into_data().iter::<u8>().collect::<Vec<_>>(),
        [1, 0]
    );
}
