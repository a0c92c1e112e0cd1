//! Tests that a vector's bits depend on nothing but the vector: in the host's memory, in f32 and without
//! noise.

use bitcodes_core::kernels::Rows;
use bitcodes_core::{Assignment, Bitcodes, BitcodesConfig, Independent, Joint, PackedCodes};
use burn::backend::{Autodiff, Flex, NdArray};
use burn::tensor::{DType, Distribution, Int, Tensor, TensorData, backend::Backend};

use crate::gradients::numbers;

const FEATURES: usize = 23;
const BITS: usize = 37;
/// More than two parts of the kernels.
const VECTORS: usize = 1300;

/// Quantizers of both methods, with and without normalization.
fn quantizers<B: Backend>() -> Vec<Bitcodes<B>> {
    let methods: [Assignment; 2] = [Independent::new().into(), Joint::new().into()];
    let all = methods.into_iter().flat_map(|method| {
        [false, true].map(|normalize| {
            let config = BitcodesConfig::new(FEATURES, BITS).with_assignment(method);
            let config = config.with_normalize(normalize).with_noise_scale(0.0);
            let normal = Distribution::Normal(0.3, 1.0);
            let sample = Tensor::<B, 2>::random([500, FEATURES], normal, &Default::default());
            config.try_init_from_sample(sample).unwrap()
        })
    });
    all.collect()
}

fn vectors<B: Backend>() -> Tensor<B, 2> {
    let normal = Distribution::Normal(0.3, 1.0);
    Tensor::random([VECTORS, FEATURES], normal, &Default::default())
}

fn bytes<B: Backend, const D: usize>(bits: Tensor<B, D, Int>) -> Vec<u8> {
    PackedCodes::from_bits(bits).unwrap().as_bytes().to_vec()
}

fn check<B: Backend>() {
    let x = vectors::<B>();
    for quantizer in quantizers::<B>() {
        let name = format!(
            "{:?}, {:?}",
            quantizer.assignment(),
            quantizer.normalization
        );
        let wanted = bytes(quantizer.encode(x.clone()));
        let alone = (0..VECTORS).step_by(7).map(|row| {
            let bits = quantizer.encode(x.clone().narrow(0, row, 1));
            (row, bytes(bits))
        });
        let row_bytes = BITS.div_ceil(8);
        for (row, alone) in alone {
            assert_eq!(
                alone,
                wanted[row * row_bytes..][..row_bytes],
                "row {row} of {name}"
            );
        }
        let parts = [0..1, 1..18, 18..600, 600..VECTORS];
        let parts =
            parts.map(|rows| bytes(quantizer.encode(x.clone().narrow(0, rows.start, rows.len()))));
        assert_eq!(parts.concat(), wanted, "parts, {name}");
        let packed = quantizer.encode_packed(x.clone()).unwrap();
        assert_eq!(packed.as_bytes(), wanted, "packed, {name}");
        assert_eq!(
            bytes(quantizer.forward(x.clone()).bits),
            wanted,
            "forward, {name}"
        );
        // 13 maps of 100 positions, whose features come first.
        let map = x.clone().reshape([13, 100, FEATURES]).swap_dims(1, 2);
        let of_map = quantizer.encode_channel_first(map.clone());
        assert_eq!(bytes(of_map), wanted, "map, {name}");
        let forward = quantizer.forward_channel_first(map);
        assert_eq!(bytes(forward.bits), wanted, "forward of a map, {name}");
        let mut strided = Tensor::zeros([VECTORS, FEATURES + 5], &x.device());
        strided = strided.slice_assign([0..VECTORS, 3..FEATURES + 3], x.clone());
        let strided = strided.slice([0..VECTORS, 3..FEATURES + 3]);
        assert_eq!(bytes(quantizer.encode(strided)), wanted, "strided, {name}");
        for threads in [1, 2, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let bits = pool
                .build()
                .unwrap()
                .install(|| quantizer.encode(x.clone()));
            assert_eq!(bytes(bits), wanted, "{threads} threads, {name}");
        }
        on_slices(&quantizer, &x, &wanted, &name);
        if matches!(quantizer.assignment(), Assignment::Joint(_)) {
            let wide = x.clone().narrow(0, 0, 200).cast(DType::F64);
            let wanted = bytes(quantizer.encode(wide.clone()));
            let alone = (0..200).map(|row| quantizer.encode(wide.clone().narrow(0, row, 1)));
            assert_eq!(
                alone.flat_map(bytes).collect::<Vec<_>>(),
                wanted,
                "f64, {name}"
            );
        }
    }
}

/// Checks the quantizer on slices: its bits, and that it brings vectors back.
fn on_slices<B: Backend>(quantizer: &Bitcodes<B>, x: &Tensor<B, 2>, wanted: &[u8], name: &str) {
    let mut slices = quantizer.to_slices().unwrap();
    let values: Vec<f32> = x.to_data().iter().collect();
    let mut codes = vec![0; wanted.len()];
    slices.encode(Rows::new(&values, FEATURES), &mut codes);
    assert_eq!(codes, wanted, "slices, {name}");
    codes.fill(0);
    let each = codes
        .chunks_mut(slices.code_bytes())
        .zip(values.chunks(FEATURES));
    each.for_each(|(code, x)| slices.encode(Rows::new(x, FEATURES), code));
    assert_eq!(codes, wanted, "slices one by one, {name}");
    let mut again = vec![0.0; values.len()];
    slices.reconstruct(&codes, &mut again);
    let packed = PackedCodes::from_bytes([VECTORS], BITS, codes).unwrap();
    let tensor: Tensor<B, 2> = quantizer.reconstruct_packed(&packed);
    for (found, wanted) in again.iter().zip(tensor.into_data().iter::<f32>()) {
        assert!((found - wanted).abs() < 1e-5, "{found}, {wanted}, {name}");
    }
}

#[test]
fn bits_do_not_depend_on_company_on_flex() {
    check::<Flex>();
    check::<Autodiff<Flex>>();
}

/// The sum of these products depends on the order in which they are added, which a matrix product chooses
/// by the batch.
#[test]
fn training_without_noise_has_the_bits_of_encode() {
    type B = Autodiff<Flex>;

    for [features, vectors] in [[24, 1], [24, 40], [1200, 1], [1200, 40]] {
        let config = BitcodesConfig::new(features, 9).with_assignment(Independent::new());
        let config = config.with_normalize(false).with_noise_scale(0.0);
        let device = Default::default();
        let rows = (0..18).map(|row| (row % 2) as f32);
        let codebook: Vec<f32> = rows.flat_map(|row| vec![row; features]).collect();
        let codebook = TensorData::new(codebook, [18, features]);
        let quantizer = config.try_init_from_codebook(Tensor::<B, 2>::from_data(codebook, &device));
        let quantizer = quantizer.unwrap();
        for seed in 0..30 {
            // The logits are sums of a vector's elements that are 0 but for rounding.
            let mut x: Vec<f32> = Vec::new();
            for vector in 0..vectors as u64 {
                let row = numbers(features, 1000 * seed + vector);
                x.extend(row.iter().map(|&element| element as f32));
                let sum: f32 = x[x.len() - features..x.len() - 1].iter().sum();
                *x.last_mut().unwrap() = -sum;
            }
            let x = TensorData::new(x, [vectors, features]);
            let x = Tensor::<B, 2>::from_data(x, &device);
            let wanted = bytes(quantizer.encode(x.clone()));
            assert_eq!(
                bytes(quantizer.forward(x).bits),
                wanted,
                "{features} {vectors}"
            );
        }
    }
}

#[test]
fn bits_do_not_depend_on_company_on_ndarray() {
    check::<NdArray>();
}

/// Both backends compute by the same kernels.
#[test]
fn flex_and_ndarray_have_the_same_bits() {
    let device = Default::default();
    for flex in quantizers::<Flex>() {
        let sample = flex.codebook.val().to_data();
        let codebook = Tensor::<NdArray, 2>::from_data(sample, (&device, DType::F32));
        let mut ndarray = flex.config().try_init_from_codebook(codebook).unwrap();
        if let (Some(to), Some(from)) = (&mut ndarray.normalization, &flex.normalization) {
            let values = |tensor: Tensor<Flex, 1>| Tensor::from_data(tensor.into_data(), &device);
            to.center = burn::module::Param::from_tensor(values(from.center.val()));
            to.log_scale = burn::module::Param::from_tensor(values(from.log_scale.val()));
        }
        let x = vectors::<Flex>();
        let of_ndarray = Tensor::<NdArray, 2>::from_data(x.to_data(), (&device, DType::F32));
        let bits = bytes(ndarray.encode(of_ndarray));
        assert_eq!(bytes(flex.encode(x)), bits, "{:?}", flex.assignment());
    }
}
