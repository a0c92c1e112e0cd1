//! Tests of `encode` and `decode` as streams: files of many blocks, every format, pipes and parts.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use bitcodes_core::{Bitcodes, BitcodesConfig};
use bitcodes_train::npy;
use burn::tensor::{Tensor, TensorData};

use crate::codes::Cpu;
use crate::place::Place;

const FEATURES: usize = 3;
const BITS: usize = 12;

/// Makes vectors that float16 and bfloat16 hold exactly, and a quantizer that starts from them.
fn vectors(rows: usize) -> (Vec<f32>, Bitcodes<Cpu>) {
    let x: Vec<f32> = (0..rows * FEATURES)
        .map(|i| ((i * i * 7 + i * 13) % 251) as f32 * 0.5 - 40.0)
        .collect();
    let first = rows.min(200);
    let sample = TensorData::new(x[..first * FEATURES].to_vec(), [first, FEATURES]);
    let sample = Tensor::<Cpu, 2>::from_data(sample, &Default::default());
    let quantizer = BitcodesConfig::new(FEATURES, BITS).try_init_from_sample(sample);
    (x, quantizer.unwrap())
}

/// Makes a folder with the quantizer and the vectors, and returns them with the codes as the library encodes.
pub(crate) fn place(rows: usize) -> (Place, Vec<f32>, Vec<u8>) {
    let place = Place::new();
    let (x, quantizer) = vectors(rows);
    let data = TensorData::new(x.clone(), [rows, FEATURES]);
    let codes = quantizer
        .encode_packed(Tensor::<Cpu, 2>::from_data(data, &Default::default()))
        .unwrap();
    fs::write(place.path("model.safetensors"), quantizer.to_safetensors()).unwrap();
    let shape = [rows as u64, FEATURES as u64];
    fs::write(place.path("x.npy"), npy(&shape, &x).unwrap()).unwrap();
    (place, x, codes.into_bytes())
}

pub(crate) const ENCODE: &str = "encode --model model.safetensors";
const DECODE: &str = "decode --model model.safetensors";

pub(crate) fn npy_of_codes(codes: &[u8]) -> Vec<u8> {
    npy(&[codes.len() as u64 / 2, 2], codes).unwrap()
}

/// Returns a `.npy` file with this type and order.
fn npy_file(descr: &str, fortran: bool, rows: usize, data: Vec<u8>) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let header = format!(
        "{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({rows}, {FEATURES}), }}\n"
    );
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

fn tensors(name: &str, dtype: safetensors::Dtype, rows: usize, data: &[u8]) -> Vec<u8> {
    let view = safetensors::tensor::TensorView::new(dtype, vec![rows, FEATURES], data).unwrap();
    let other = safetensors::tensor::TensorView::new(safetensors::Dtype::U8, vec![3], &[1, 2, 3]);
    let all = [("other", other.unwrap()), (name, view)];
    safetensors::serialize(all, None).unwrap()
}

#[test]
fn files_of_many_blocks_in_every_format_have_the_codes_of_the_library() {
    // A block has 65,536 vectors at most.
    const ROWS: usize = 66_001;
    let (place, x, codes) = place(ROWS);
    let columns: Vec<f32> = (0..FEATURES)
        .flat_map(|column| x.iter().skip(column).step_by(FEATURES).copied())
        .collect();
    let bytes = |x: &[f32], one: &dyn Fn(f32) -> Vec<u8>| -> Vec<u8> {
        x.iter().flat_map(|&x| one(x)).collect()
    };
    let f16 = |x: f32| half::f16::from_f32(x).to_le_bytes().to_vec();
    let f16_big = |x: f32| half::f16::from_f32(x).to_be_bytes().to_vec();
    let bf16 = |x: f32| half::bf16::from_f32(x).to_le_bytes().to_vec();
    let f32_little = |x: f32| x.to_le_bytes().to_vec();
    let f32_big = |x: f32| x.to_be_bytes().to_vec();
    let f64_little = |x: f32| f64::from(x).to_le_bytes().to_vec();
    let fvecs: Vec<u8> = x
        .chunks(FEATURES)
        .flat_map(|row| [vec![3, 0, 0, 0], bytes(row, &f32_little)].concat())
        .collect();
    use safetensors::Dtype::{BF16, F32};
    for (name, file) in [
        ("x.npy", fs::read(place.path("x.npy")).unwrap()),
        ("f2.npy", npy_file("<f2", false, ROWS, bytes(&x, &f16))),
        (
            "big-f2.npy",
            npy_file(">f2", true, ROWS, bytes(&columns, &f16_big)),
        ),
        (
            "big-f4.npy",
            npy_file(">f4", false, ROWS, bytes(&x, &f32_big)),
        ),
        (
            "columns.npy",
            npy_file("<f4", true, ROWS, bytes(&columns, &f32_little)),
        ),
        (
            "f8.npy",
            npy_file("<f8", false, ROWS, bytes(&x, &f64_little)),
        ),
        (
            "name.npy",
            npy_file("float32", false, ROWS, bytes(&x, &f32_little)),
        ),
        (
            "native.npy",
            npy_file("=f4", false, ROWS, bytes(&x, &f32_little)),
        ),
        (
            "bf16.safetensors",
            tensors("vectors", BF16, ROWS, &bytes(&x, &bf16)),
        ),
        (
            "f32.safetensors",
            tensors("vectors", F32, ROWS, &bytes(&x, &f32_little)),
        ),
        ("x.fvecs", fvecs),
        // The contents decide, not the suffix.
        ("x.safetensors", fs::read(place.path("x.npy")).unwrap()),
    ] {
        fs::write(place.path(name), file).unwrap();
        let said = place.succeed(&format!("{ENCODE} --input {name} --output codes.npy"));
        assert_eq!(
            said,
            format!("{ROWS} vectors of 3 features to codes of 12 bits: codes.npy\n")
        );
        let found = fs::read(place.path("codes.npy")).unwrap();
        assert!(found == npy_of_codes(&codes), "{name}");
    }
    let named = tensors("embedding", F32, ROWS, &bytes(&x, &f32_little));
    fs::write(place.path("named.safetensors"), named).unwrap();
    let error = place.fail(
        1,
        &format!("{ENCODE} --input named.safetensors --output codes.npy"),
    );
    assert!(
        error.contains("or one called vectors, or a name, found embedding, other"),
        "{error}"
    );
    place.succeed(&format!(
        "{ENCODE} --input named.safetensors --tensor embedding --output named.npy"
    ));
    assert!(fs::read(place.path("named.npy")).unwrap() == npy_of_codes(&codes));
}

#[test]
fn parts_one_after_the_other_are_the_whole() {
    const ROWS: usize = 70_000;
    let (place, x, codes) = place(ROWS);
    for output in ["codes.npy", "codes.safetensors"] {
        let mut joined: Vec<u8> = Vec::new();
        for rows in ["..1", "1..1", "1..66000", "66000.."] {
            let said = place.succeed(&format!(
                "{ENCODE} --input x.npy --output {output} --rows {rows}"
            ));
            let file = fs::read(place.path(output)).unwrap();
            let vectors: usize = said.split(' ').next().unwrap().parse().unwrap();
            joined.extend_from_slice(&file[file.len() - 2 * vectors..]);
        }
        assert!(joined == codes, "{output}");
    }
    place.succeed(&format!("{ENCODE} --input x.npy --output codes.npy"));
    place.succeed(&format!("{DECODE} --input codes.npy --output y.fvecs"));
    place.succeed(&format!(
        "{DECODE} --input codes.npy --output part.fvecs --rows 65000..69999"
    ));
    let whole = fs::read(place.path("y.fvecs")).unwrap();
    assert_eq!(whole.len(), ROWS * (4 + 4 * FEATURES));
    assert!(fs::read(place.path("part.fvecs")).unwrap() == whole[65_000 * 16..69_999 * 16]);
    // What was decoded is near what was encoded, and encodes to codes of its own.
    let y: Vec<f32> = whole
        .chunks(16)
        .flat_map(|row| row[4..].chunks(4))
        .map(|element| f32::from_le_bytes(element.try_into().unwrap()))
        .collect();
    let error: f32 = x.iter().zip(&y).map(|(x, y)| (x - y).powi(2)).sum::<f32>() / x.len() as f32;
    assert!(
        error < 200.0,
        "mean squared error {error}, the variance is about 1300"
    );

    for (rows, wanted) in [
        ("0..70001", "x.npy: 70000 rows, expected 70001 for --rows"),
        ("70001..", "x.npy: 70000 rows, expected 70001 for --rows"),
    ] {
        let error = place.fail(
            1,
            &format!("{ENCODE} --input x.npy --output c.npy --rows {rows}"),
        );
        assert!(error.contains(wanted), "{error}");
    }
    for rows in ["5", "5..3", "a..b", "-1..2"] {
        place.fail(
            2,
            &format!("{ENCODE} --input x.npy --output c.npy --rows={rows}"),
        );
    }
    assert!(!place.path("c.npy").exists());
}

/// Runs the program with bytes on its standard input.
fn piped(place: &Place, arguments: &str, input: &[u8]) -> std::process::Output {
    let mut command = place.command(arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // The program may end before it has read all.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    })
}

#[test]
fn pipes_carry_vectors_and_codes() {
    let (place, x, codes) = place(70_000);
    let file = fs::read(place.path("x.npy")).unwrap();
    let output = piped(&place, &format!("{ENCODE} --input - --output -"), &file);
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout == npy_of_codes(&codes));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "70000 vectors of 3 features to codes of 12 bits: -\n");
    let decoded = piped(
        &place,
        &format!("{DECODE} --input - --output -"),
        &output.stdout,
    );
    place.succeed(&format!("{ENCODE} --input x.npy --output codes.npy"));
    place.succeed(&format!("{DECODE} --input codes.npy --output y.npy"));
    assert!(decoded.stdout == fs::read(place.path("y.npy")).unwrap());
    let rows = piped(
        &place,
        &format!("{ENCODE} --input - --output - --rows 9..11"),
        &file,
    );
    assert_eq!(rows.stdout, npy_of_codes(&codes[18..22]));

    // The sizes of a pipe's header are compared with nothing.
    let header = format!(
        "{{'descr': '|u1', 'fortran_order': False, 'shape': ({}, 2), }}",
        1u64 << 58
    );
    let mut endless = b"\x93NUMPY\x01\x00".to_vec();
    endless.extend((header.len() as u16).to_le_bytes());
    endless.extend(header.as_bytes());
    for output in ["y.safetensors", "y.npy"] {
        let output = piped(
            &place,
            &format!("{DECODE} --input - --output {output}"),
            &endless,
        );
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }

    let columns = npy_file("<f4", true, 2, vec![0; 24]);
    let fvecs = [&[3, 0, 0, 0][..], &[0; 12]].concat();
    let two = x[..6]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect::<Vec<u8>>();
    let two = tensors("vectors", safetensors::Dtype::F32, 2, &two);
    for (input, wanted) in [
        (
            &file[..file.len() - 1],
            "standard input: it ends early, expected the end after row 70000",
        ),
        (
            &[&file[..], b"x"].concat(),
            "standard input: more bytes, expected the end after row 70000",
        ),
        (
            &columns,
            "an array in the order of columns cannot be read from a pipe",
        ),
        (&fvecs, ".fvecs cannot be read from a pipe"),
        (&two, "one of several tensors cannot be read from a pipe"),
        (b"", "standard input: it has 0 bytes, expected a .npy file"),
    ] {
        let output = piped(&place, &format!("{ENCODE} --input - --output c.npy"), input);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(wanted), "{error}, expected {wanted}");
        assert!(!place.path("c.npy").exists());
    }
}

#[test]
fn elements_that_are_no_numbers_are_named_or_taken_as_0() {
    let (place, mut x, _) = place(70_000);
    x[7] = f32::NAN;
    x[69_999 * 3] = f32::NEG_INFINITY;
    let shape = [70_000, 3];
    fs::write(place.path("nan.npy"), npy(&shape, &x).unwrap()).unwrap();
    let error = place.fail(1, &format!("{ENCODE} --input nan.npy --output c.npy"));
    let wanted = "nan.npy: row 2, column 1, counted from 0: NaN (2 such elements in all), expected a finite number";
    assert!(error.contains(wanted), "{error}");
    assert!(!place.path("c.npy").exists());
    let said = place.succeed(&format!(
        "{ENCODE} --input nan.npy --output c.npy --nan zero"
    ));
    assert!(
        said.contains("2 elements were NaN or infinite and were taken as 0"),
        "{said}"
    );
    let zeroed: Vec<f32> = x
        .iter()
        .map(|&x| if x.is_finite() { x } else { 0.0 })
        .collect();
    fs::write(place.path("zeroed.npy"), npy(&shape, &zeroed).unwrap()).unwrap();
    place.succeed(&format!(
        "{ENCODE} --input zeroed.npy --output zeroed-codes.npy"
    ));
    let read = |name: &str| fs::read(place.path(name)).unwrap();
    assert!(read("c.npy") == read("zeroed-codes.npy"));

    // Squares of these overflow.
    x[7] = 1e30;
    x[69_999 * 3] = 0.0;
    fs::write(place.path("large.npy"), npy(&shape, &x).unwrap()).unwrap();
    for nan in ["error", "zero"] {
        let error = place.fail(
            1,
            &format!("{ENCODE} --input large.npy --output d.npy --nan {nan}"),
        );
        assert!(
            error.contains("row 2, column 1, counted from 0: 1e30, expected at most "),
            "{error}"
        );
    }
    // A number of float64 that float32 does not have.
    let doubles: Vec<u8> = [0.0, 1e300, 0.0]
        .iter()
        .flat_map(|x: &f64| x.to_le_bytes())
        .collect();
    fs::write(place.path("f8.npy"), npy_file("<f8", false, 1, doubles)).unwrap();
    let error = place.fail(1, &format!("{ENCODE} --input f8.npy --output d.npy"));
    assert!(
        error.contains("row 0, column 1, counted from 0: inf"),
        "{error}"
    );
    assert!(!place.path("d.npy").exists());
}

#[test]
fn codes_in_safetensors_are_not_decoded_by_another_quantizer() {
    let (place, _, codes) = place(1000);
    place.succeed(&format!(
        "{ENCODE} --input x.npy --output codes.safetensors"
    ));
    let file = fs::read(place.path("codes.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    let tensor = tensors.tensor("codes").unwrap();
    assert_eq!(
        (tensor.shape(), tensor.data()),
        (&[1000, 2][..], &codes[..])
    );
    let (_, header) = safetensors::SafeTensors::read_metadata(&file).unwrap();
    let texts = header.metadata().as_ref().unwrap();
    assert_eq!(
        (&*texts["num_bits"], &*texts["bit_order"]),
        ("12", "little")
    );

    // The same quantizer with another beam has the same codebook, so it decodes.
    place.succeed(&format!(
        "{DECODE} --input codes.safetensors --output y.safetensors"
    ));
    place.succeed(&format!(
        "{ENCODE} --input y.safetensors --output again.npy"
    ));
    let other = BitcodesConfig::new(FEATURES, BITS).init::<Cpu>(&Default::default());
    fs::write(place.path("other.safetensors"), other.to_safetensors()).unwrap();
    let error = place.fail(
        1,
        "decode --model other.safetensors --input codes.safetensors --output z.npy",
    );
    let wanted = format!(
        "codes whose fingerprint is {}, expected ",
        texts["fingerprint"]
    );
    assert!(error.contains(&wanted), "{error}");
    assert!(!place.path("z.npy").exists());
}
