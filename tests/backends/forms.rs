//! Tests of every form of codes on every backend: joined and split rows, words, bytes, maps.

use std::path::PathBuf;

use bitcodes_core::{
    BitcodesConfig, CodesError, PackedCodes, check_bits, join_bits, join_rows, pack_words,
    split_bits, split_rows, to_bits, to_decimal, unpack_words,
};
use bitcodes_workspace::backends::skipped;
use bitcodes_workspace::golden::{Golden, NAMES};
use bitcodes_workspace::on_every_backend;
use bitcodes_workspace::plain::{Plain, assert_within};
use burn::backend::Autodiff;
use burn::tensor::{DType, Int, IntDType, Tensor, TensorData, backend::Backend};

use crate::golden::{assert_bits, floats, integers, quantizer, tensor};

on_every_backend!(
    rows_convert_one_and_two_at_a_time_as_in_the_reference,
    rows_and_bits_that_do_not_divide_are_errors,
    words_are_read_back_by_their_definition,
    words_of_every_integer_type,
    invalid_words_and_bits_are_errors,
    numpys_packed_bits_are_read_bit_for_bit,
    words_bytes_and_indices_keep_the_references_bits,
    maps_give_the_references_bits_and_outputs,
    maps_give_the_references_gradients_in_training,
    maps_have_one_to_three_dimensions,
);

fn bits<B: Backend, const D: usize>(
    values: Vec<i32>,
    shape: [usize; D],
    device: &B::Device,
) -> Tensor<B, D, Int> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn rows_convert_one_and_two_at_a_time_as_in_the_reference<B: Backend>(device: &B::Device) {
    let matrix = vec![
        0, 0, 0, 0, 1, 0, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 0,
    ];
    let matrix = bits::<B, 2>(matrix, [6, 4], device);
    let decimal: Tensor<B, 1, Int> = to_decimal(matrix.clone()).unwrap();
    assert_eq!(integers(decimal), [0, 11, 9, 8, 7, 2]);
    let two = join_rows(matrix.clone(), 2).unwrap();
    assert_eq!(two.dims(), [3, 8]);
    let decimal: Tensor<B, 1, Int> = to_decimal(two.clone()).unwrap();
    assert_eq!(integers(decimal), [11, 152, 114]);
    assert_eq!(
        integers(split_rows(two, 2).unwrap()),
        integers(matrix.clone())
    );

    // A row of 8 bits, split into two tokens, gives the numbers of the rows that it was joined
    // from.
    let rows = join_rows(matrix.clone(), 2).unwrap();
    let tokens: Tensor<B, 3, Int> = split_bits(rows.clone(), 2).unwrap();
    assert_eq!(tokens.dims(), [3, 2, 4]);
    let decimal: Tensor<B, 2, Int> = to_decimal(tokens.clone()).unwrap();
    assert_eq!(integers(decimal), [0, 11, 9, 8, 7, 2]);
    let joined: Tensor<B, 2, Int> = join_bits(tokens);
    assert_eq!(integers(joined), integers(rows));

    let none = Tensor::<B, 3, Int>::zeros([2, 0, 4], device);
    assert_eq!(join_rows(none.clone(), 3).unwrap().dims(), [2, 0, 12]);
    assert_eq!(split_rows(none.clone(), 2).unwrap().dims(), [2, 0, 2]);
    let tokens: Tensor<B, 4, Int> = split_bits(none, 2).unwrap();
    assert_eq!(tokens.dims(), [2, 0, 2, 2]);
    assert_eq!(join_bits::<B, 4, 3>(tokens).dims(), [2, 0, 4]);
}

fn rows_and_bits_that_do_not_divide_are_errors<B: Backend>(device: &B::Device) {
    let matrix = Tensor::<B, 2, Int>::zeros([6, 4], device);
    for (error, message) in [
        (
            join_rows(matrix.clone(), 4).unwrap_err(),
            "6 rows cannot be divided by 4, expected a multiple of it",
        ),
        (
            join_rows(matrix.clone(), 0).unwrap_err(),
            "6 rows cannot be divided by 0, expected a multiple of it",
        ),
        (
            split_rows(matrix.clone(), 3).unwrap_err(),
            "4 bits cannot be divided by 3, expected a multiple of it",
        ),
        (
            split_bits::<B, 2, 3>(matrix, 8).unwrap_err(),
            "4 bits cannot be divided by 8, expected a multiple of it",
        ),
    ] {
        assert_eq!(error.to_string(), message);
    }
}

/// Returns bits without a simple pattern.
fn pattern(rows: usize, num_bits: usize) -> Vec<i32> {
    let bit = |at: usize| (at * at + 3 * at / 2 + at / 7) % 5 % 2;
    (0..rows * num_bits).map(|at| bit(at) as i32).collect()
}

/// The definition is "bit `p` in word `p / 32`, position `p % 32`, tail bits zero".
fn words_are_read_back_by_their_definition<B: Backend>(device: &B::Device) {
    for num_bits in [1, 8, 31, 32, 33, 63, 64, 65, 100, 200] {
        let values = pattern(7, num_bits);
        let bits = bits::<B, 2>(values.clone(), [7, num_bits], device);
        let words = pack_words(bits.clone()).unwrap();
        let num_words = num_bits.div_ceil(32);
        assert_eq!((words.dims(), words.dtype()), ([7, num_words], DType::U32));
        let data = words.to_data().to_vec::<u32>().unwrap();
        for row in 0..7 {
            for place in 0..num_words * 32 {
                let word = data[row * num_words + place / 32];
                let wanted = match place < num_bits {
                    true => values[row * num_bits + place] as u32,
                    false => 0,
                };
                assert_eq!((word >> (place % 32)) & 1, wanted);
            }
        }

        let back = unpack_words(words, num_bits).unwrap();
        assert_eq!(back.into_data(), bits.to_data());

        let codes = PackedCodes::from_bits(bits).unwrap();
        assert_eq!(codes.to_words(), data);
        let from_words = PackedCodes::from_words([7], num_bits, &data).unwrap();
        assert_eq!(from_words, codes);
    }
    let none = Tensor::<B, 3, Int>::zeros([2, 0, 33], device);
    let words = pack_words(none).unwrap();
    assert_eq!(words.dims(), [2, 0, 2]);
    assert_eq!(unpack_words(words, 33).unwrap().dims(), [2, 0, 33]);
}

fn words_of_every_integer_type<B: Backend>(device: &B::Device) {
    // The first word has bit 31 set, so it is negative as an i32.
    let patterns = vec![0x8000_0001u32, 0x7fff_fffe, 0, u32::MAX];
    let wanted = unpack_words(
        Tensor::<B, 2, Int>::from_data(
            TensorData::new(patterns.clone(), [2, 2]),
            (device, DType::U32),
        ),
        64,
    );
    let wanted = wanted.unwrap().into_data();
    let signed = patterns.iter().map(|&word| word as i32).collect::<Vec<_>>();
    let signed = TensorData::new(signed, [2, 2]);
    let signed = Tensor::<B, 2, Int>::from_data(signed, (device, DType::I32));
    assert_eq!(unpack_words(signed, 64).unwrap().into_data(), wanted);

    if !B::supports_dtype(device, DType::I64) {
        skipped(format_args!("no I64 on {}", B::name(device)));
        return;
    }
    let wide = patterns
        .iter()
        .map(|&word| i64::from(word))
        .collect::<Vec<_>>();
    let wide = TensorData::new(wide, [2, 2]);
    let wide = Tensor::<B, 2, Int>::from_data(wide, (device, DType::I64));
    assert_eq!(unpack_words(wide, 64).unwrap().into_data(), wanted);
    for value in [-1i64, 1 << 32] {
        let wide = TensorData::new(vec![value, 0], [1, 2]);
        let wide = Tensor::<B, 2, Int>::from_data(wide, (device, DType::I64));
        let max = u32::MAX.into();
        let value = value.into();
        let wanted = CodesError::OutOfRange { value, max };
        assert_eq!(unpack_words(wide, 64).unwrap_err(), wanted);
    }
}

fn invalid_words_and_bits_are_errors<B: Backend>(device: &B::Device) {
    for value in [2, -1] {
        let error = pack_words(bits::<B, 2>(vec![0, value], [1, 2], device)).unwrap_err();
        let value = value.into();
        assert_eq!(error, CodesError::OutOfRange { value, max: 1 });
        let bits = bits::<B, 2>(vec![0, value as i32], [1, 2], device);
        assert_eq!(check_bits(&bits), Err(error.clone()));
        let quantizer = BitcodesConfig::reference(3, 2).init::<B>(device);
        assert_eq!(quantizer.try_decode(bits).unwrap_err(), error);
    }
    let empty = Tensor::<B, 2, Int>::zeros([3, 0], device);
    assert_eq!(pack_words(empty.clone()).unwrap_err(), CodesError::NoBits);
    assert_eq!(unpack_words(empty, 0).unwrap_err(), CodesError::NoBits);

    let words = |values: Vec<u32>| {
        let shape = [values.len() / 2, 2];
        let data = TensorData::new(values, shape);
        Tensor::<B, 2, Int>::from_data(data, (device, DType::U32))
    };
    let tail = words(vec![1, 3, 5, 0b1100]);
    let found = 0b1100;
    let error = unpack_words(tail.clone(), 34).unwrap_err();
    assert_eq!(
        error,
        CodesError::TailWord {
            num_bits: 34,
            found
        }
    );
    assert!(
        error.to_string().contains("0x0000000c, expected zeros"),
        "{error}"
    );
    assert_eq!(
        unpack_words(tail.clone(), 65).unwrap_err().to_string(),
        "rows of 2 words for codes of 65 bits, expected 3"
    );
    assert_eq!(
        unpack_words(tail, 32).unwrap_err().to_string(),
        "rows of 2 words for codes of 32 bits, expected 1"
    );
    if B::supports_dtype(device, DType::U64) {
        let data = TensorData::new(vec![u64::MAX, 0], [1, 2]);
        let large = Tensor::<B, 2, Int>::from_data(data, (device, DType::U64));
        let value = u64::MAX.into();
        let error = CodesError::OutOfRange { value, max: 1 };
        assert_eq!(check_bits(&large), Err(error.clone()));
        assert_eq!(PackedCodes::from_bits(large), Err(error));
    }
    if B::supports_dtype(device, DType::U8) {
        let narrow = words(vec![1, 0]).cast(IntDType::U8);
        let error = unpack_words(narrow, 64).unwrap_err();
        assert_eq!(error, CodesError::WordType { dtype: DType::U8 });
    }
}

/// The files were made by `tests/golden/forms.py`.
fn numpys_packed_bits_are_read_bit_for_bit<B: Backend>(device: &B::Device) {
    let read = |name: &str| -> (Vec<u64>, Vec<u8>) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/packbits");
        let bytes = std::fs::read(path.join(name)).expect("part of the repository");
        let file = npyz::NpyFile::new(&bytes[..]).unwrap();
        (file.shape().to_vec(), file.into_vec().unwrap())
    };
    let (shape, unpacked) = read("bits.npy");
    let (packed_shape, packed) = read("packed.npy");
    assert_eq!((shape, packed_shape), (vec![23, 37], vec![23, 5]));
    let codes = PackedCodes::from_bytes([23], 37, packed.clone()).unwrap();
    let found: Vec<u8> = codes.unpack::<B, 2>(device).into_data().iter().collect();
    assert_eq!(found, unpacked);
    let values = unpacked.into_iter().map(i32::from).collect();
    let again = PackedCodes::from_bits(bits::<B, 2>(values, [23, 37], device)).unwrap();
    assert_eq!(again.as_bytes(), packed);
}

fn words_bytes_and_indices_keep_the_references_bits<B: Backend>(device: &B::Device) {
    for name in NAMES {
        let golden = Golden::load(name);
        let quantizer = quantizer::<B>(&golden, device);
        let num_bits = golden.num_bits;
        let wanted = golden.integers("bits").expect("every file has bits");
        let wanted: Vec<i32> = wanted.into_iter().map(|bit| bit as i32).collect();
        let [batch, tokens] = golden.leading;
        let wanted = bits::<B, 3>(wanted, [batch, tokens, num_bits], device);
        let y = quantizer.decode(wanted.clone());
        let plain = Plain::of(&golden);
        let as_u8: Vec<u8> = wanted.to_data().iter().collect();
        assert_within(name, &floats(y.clone()), &plain.decode(&as_u8));
        let y = y.into_data();

        let x = tensor::<B>(&golden, "x", golden.features, device);
        let encoded = quantizer.encode(x);
        let words = pack_words(encoded.clone()).unwrap();
        assert_eq!(
            words.to_data().to_vec::<u32>().unwrap(),
            PackedCodes::from_bits(wanted).unwrap().to_words(),
            "{name}"
        );
        let from_words = unpack_words(words, num_bits).unwrap();
        assert_eq!(quantizer.decode(from_words).into_data(), y, "{name}");
        let codes = PackedCodes::from_bits(encoded.clone()).unwrap();
        assert_eq!(
            quantizer.decode(codes.unpack::<B, 3>(device)).into_data(),
            y,
            "{name}"
        );

        // Numbers hold at most 31 bits, so a longer row is split into tokens first.
        let parts = (1..=num_bits).find(|n| num_bits.is_multiple_of(*n) && num_bits / n <= 31);
        let parts = parts.expect("single bits fit");
        let split: Tensor<B, 4, Int> = split_bits(encoded, parts).unwrap();
        let indices: Tensor<B, 3, Int> = to_decimal(split).unwrap();
        if let (Some(decimal), 1) = (golden.integers("decimal"), parts) {
            assert_eq!(integers(indices.clone()), decimal, "{name}");
        }
        let again: Tensor<B, 4, Int> = to_bits(indices, num_bits / parts).unwrap();
        let again: Tensor<B, 3, Int> = join_bits(again);
        assert_eq!(quantizer.decode(again).into_data(), y, "{name}");
    }
}

fn maps_give_the_references_bits_and_outputs<B: Backend>(device: &B::Device) {
    for name in NAMES {
        let golden = Golden::load(name);
        let plain = Plain::of(&golden);
        let quantizer = quantizer::<B>(&golden, device);
        let map = tensor::<B>(&golden, "x", golden.features, device).swap_dims(1, 2);
        let out = quantizer.forward_channel_first(map.clone());
        let wanted = golden.integers("bits").expect("every file has bits");
        let found = integers(out.bits.clone());
        assert_bits(&found, &wanted, &plain.logits(&golden.floats("x")));
        let found: Vec<u8> = found.into_iter().map(|bit| bit as u8).collect();
        let rows = floats(out.quantized.clone().swap_dims(1, 2));
        assert_within(name, &rows, &plain.decode(&found));

        let y = out.quantized.into_data();
        let bits = out.bits.to_data();
        assert_eq!(
            quantizer.encode_channel_first(map.clone()).into_data(),
            bits
        );
        assert_eq!(quantizer.decode_channel_first(out.bits).into_data(), y);
        assert_eq!(quantizer.quantize_channel_first(map).into_data(), y);
    }
}

fn maps_give_the_references_gradients_in_training<B: Backend>(device: &B::Device) {
    for name in NAMES {
        let golden = Golden::load(name);
        let noise = golden.logistic_noise();
        let plain = Plain::of(&golden);
        let wanted = plain.step(&golden.floats("x"), &noise, &golden.floats("target"));
        let quantizer = quantizer::<Autodiff<B>>(&golden, device);
        let tensor = |name| tensor::<Autodiff<B>>(&golden, name, golden.features, device);
        let x = tensor("x").swap_dims(1, 2).require_grad();
        let [batch, tokens] = golden.leading;
        let noise = TensorData::new(noise, [batch, tokens, golden.num_bits]);
        let noise = Tensor::from_data(noise, device);
        let out = quantizer.forward_channel_first_with_noise(x.clone(), noise);
        let bits: Vec<u8> = out.bits.into_data().iter().collect();
        assert_eq!(bits, wanted.bits, "{name}");
        let rows = floats(out.quantized.clone().swap_dims(1, 2));
        assert_within(name, &rows, &wanted.quantized);
        let target = tensor("target").swap_dims(1, 2);
        let gradients = (out.quantized - target).powi_scalar(2).mean().backward();
        let of_x = x.grad(&gradients).unwrap().swap_dims(1, 2);
        assert_within(name, &floats(of_x), &wanted.grad_x);
        let of_codebook = quantizer.codebook.val().grad(&gradients).unwrap();
        assert_within(name, &floats(of_codebook), &wanted.grad_codebook);
    }
}

fn maps_have_one_to_three_dimensions<B: Backend>(device: &B::Device) {
    // The values are whole numbers, whose sums are exact in any order.
    let whole = burn::tensor::Distribution::Uniform(-9.0, 9.0);
    let codebook = Tensor::<B, 2>::random([14, 5], whole, device).round();
    let config = BitcodesConfig::reference(5, 7);
    let quantizer = config.try_init_from_codebook(codebook).unwrap();
    let rows = Tensor::<B, 3>::random([2, 12, 5], whole, device).round();
    let y = quantizer.quantize(rows.clone()).swap_dims(1, 2);
    let bits = quantizer.encode(rows.clone());
    let map = rows.swap_dims(1, 2);
    macro_rules! map {
        ($($dim:literal),*) => {
            let out = quantizer.forward_channel_first(map.clone().reshape([2, 5, $($dim),*]));
            assert_eq!(out.quantized.into_data(), y.clone().reshape([2, 5, $($dim),*]).into_data());
            assert_eq!(out.bits.into_data(), bits.clone().reshape([2, $($dim),*, 7]).into_data());
        };
    }
    map!(12);
    map!(3, 4);
    map!(2, 3, 2);

    let none = Tensor::<B, 4>::zeros([2, 5, 0, 3], device);
    let out = quantizer.forward_channel_first(none.clone());
    assert_eq!(out.quantized.dims(), [2, 5, 0, 3]);
    assert_eq!(out.bits.dims(), [2, 0, 3, 7]);
    assert_eq!(
        quantizer.decode_channel_first(out.bits).dims(),
        [2, 5, 0, 3]
    );
    assert_eq!(quantizer.encode_channel_first(none).dims(), [2, 0, 3, 7]);
}
