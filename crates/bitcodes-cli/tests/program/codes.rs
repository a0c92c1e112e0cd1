//! Tests of `encode`, `decode` and `eval`.

use std::fs;
use std::io::Write;
use std::path::Path;

use bitcodes_core::{Bitcodes, BitcodesConfig, Checkpoint, record};
use bitcodes_train::npy;
use burn::tensor::{Tensor, TensorData};

use crate::place::Place;

pub(crate) type Cpu = burn::backend::Flex;

const FEATURES: usize = 24;
const BITS: usize = 33;

pub(crate) fn golden(name: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    fs::read(root.join(name)).unwrap()
}

/// Returns the vectors of a golden file, one for each token.
fn vectors() -> Vec<f32> {
    let bytes = golden("words.safetensors");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let x = tensors.tensor("x").unwrap();
    let elements = x.data().chunks(4);
    elements
        .map(|e| f32::from_le_bytes(e.try_into().unwrap()))
        .collect()
}

fn quantizer() -> Bitcodes<Cpu> {
    let bytes = golden("words.pt");
    let checkpoint = Checkpoint::from_bytes(&bytes).unwrap();
    checkpoint.quantizer(None, &Default::default()).unwrap()
}

/// Makes a folder with the reference's checkpoint, our checkpoint, a record and vectors.
pub(crate) fn place() -> (Place, usize) {
    let place = Place::new();
    let x = vectors();
    let n = x.len() / FEATURES;
    let write = |name: &str, bytes: &[u8]| fs::write(place.path(name), bytes).unwrap();
    write("reference.pt", &golden("words.pt"));
    write("reference.safetensors", &golden("words.safetensors"));
    write("nested.pt", &golden("checkpoints/nested.pt"));
    write("two.safetensors", &golden("checkpoints/two.safetensors"));
    write("ours.safetensors", &quantizer().to_safetensors());
    write("record.mpk", &record::save::<Cpu, _>(&quantizer()).unwrap());
    write("x.npy", &npy(&[n as u64, FEATURES as u64], &x).unwrap());
    (place, n)
}

fn read<T: npyz::Deserialize>(path: &Path) -> (Vec<u64>, Vec<T>) {
    let bytes = fs::read(path).unwrap();
    let file = npyz::NpyFile::new(&bytes[..]).unwrap();
    (file.shape().to_vec(), file.into_vec().unwrap())
}

/// Compares codes with the reference's bits, and decoded vectors with the reference's outputs.
#[test]
fn every_model_and_backend_encodes_and_decodes_as_the_reference() {
    let (place, n) = place();
    let bytes = golden("words.safetensors");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let bits: Vec<u8> = tensors
        .tensor("bits")
        .unwrap()
        .data()
        .chunks(8)
        .map(|b| b[0])
        .collect();
    let bits_tensor = TensorData::new(
        bits.iter().map(|&b| i32::from(b)).collect::<Vec<_>>(),
        [n, BITS],
    );
    let bits_tensor =
        Tensor::<Cpu, 2, burn::tensor::Int>::from_data(bits_tensor, &Default::default());
    let wanted_y: Vec<f32> = quantizer()
        .decode(bits_tensor)
        .into_data()
        .to_vec()
        .unwrap();

    let mut runs = vec![
        ("reference.pt", "flex", ""),
        ("reference.safetensors", "flex", ""),
        ("nested.pt", "flex", ""),
        ("nested.pt", "flex", "--prefix model.quantizer"),
        ("two.safetensors", "flex", "--prefix coarse"),
        ("ours.safetensors", "flex", ""),
        ("record.mpk", "flex", ""),
    ];
    for backend in ["ndarray", "wgpu"] {
        runs.push(("reference.pt", backend, ""));
    }
    let mut done = 0;
    for (model, backend, prefix) in runs {
        let arguments = format!("--model {model} --backend {backend} {prefix}");
        let encode = format!("encode {arguments} --input x.npy --output codes.npy");
        let output = place.run(&encode);
        let error = String::from_utf8_lossy(&output.stderr);
        if error.contains("is not compiled in") || error.contains("has no device here") {
            let required = std::env::var("BITCODES_REQUIRE_WGPU").is_ok_and(|value| value == "1");
            assert!(!required, "{error}");
            writeln!(std::io::stderr(), "skipped: {backend}: {error}").unwrap();
            continue;
        }
        assert!(output.status.success(), "{encode}: {error}");
        let mut said = error
            .lines()
            .filter(|line| !line.contains("XDG_RUNTIME_DIR"));
        let adapter = said.next().map(|line| line.starts_with("computing on "));
        assert_eq!(adapter, (backend == "wgpu").then_some(true), "{error}");
        assert_eq!(said.next(), None, "{error}");
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            stdout.trim(),
            format!("{n} vectors of 24 features to codes of 33 bits: codes.npy")
        );
        let (shape, codes) = read::<u8>(&place.path("codes.npy"));
        assert_eq!(shape, [n as u64, 5]);
        for (row, bits) in codes.chunks(5).zip(bits.chunks(BITS)) {
            for place in 0..40 {
                let wanted = bits.get(place).copied().unwrap_or(0);
                assert_eq!((row[place / 8] >> (place % 8)) & 1, wanted, "{encode}");
            }
        }

        place.succeed(&format!(
            "decode {arguments} --input codes.npy --output y.npy"
        ));
        let (shape, y) = read::<f32>(&place.path("y.npy"));
        assert_eq!(shape, [n as u64, FEATURES as u64]);
        // An output is a sum of 33 numbers below 4, in any order.
        let bound = 2.0 * 33.0 * 33.0 * 4.0 * f32::EPSILON;
        for (found, wanted) in y.iter().zip(&wanted_y) {
            assert!((found - wanted).abs() < bound, "{found}, {wanted}");
        }
        done += 1;
    }
    assert!(done >= 7, "{done} runs");
}

#[test]
fn a_run_has_a_quantizer_and_no_vectors_have_no_codes() {
    let place = Place::new();
    place.write_data("data", 12, 8, 8);
    place.succeed("train --data data --epochs 1 --bits 5 --out run");
    fs::write(place.path("none.npy"), npy::<f32>(&[0, 16], &[]).unwrap()).unwrap();
    place.succeed("encode --model run --input none.npy --output codes.npy");
    assert_eq!(read::<u8>(&place.path("codes.npy")), (vec![0, 1], vec![]));
    place.succeed("decode --model run --input codes.npy --output y.npy");
    assert_eq!(read::<f32>(&place.path("y.npy")), (vec![0, 16], vec![]));

    // This file is in column order, as NumPy writes a transposed array, and big-endian.
    let x: Vec<f32> = (0..48).map(|i| (i as f32 * 0.7).sin()).collect();
    fs::write(place.path("x.npy"), npy(&[3, 16], &x).unwrap()).unwrap();
    place.succeed("encode --model run --input x.npy --output rows.npy");
    let header = "{'descr': '>f4', 'fortran_order': True, 'shape': (3, 16), }";
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16 + 1).to_le_bytes());
    file.extend(header.as_bytes());
    file.push(b'\n');
    for column in 0..16 {
        (0..3).for_each(|row| file.extend(x[row * 16 + column].to_be_bytes()));
    }
    fs::write(place.path("columns.npy"), file).unwrap();
    place.succeed("encode --model run --input columns.npy --output columns-codes.npy");
    let rows = fs::read(place.path("rows.npy")).unwrap();
    assert_eq!(fs::read(place.path("columns-codes.npy")).unwrap(), rows);
}

#[test]
fn decode_writes_the_units_of_the_vectors_unless_told_to_normalize() {
    const FEATURES: usize = 3;
    let place = Place::new();
    // The vectors lie around 40, with a standard deviation of about 5.
    let x: Vec<f32> = (0..600)
        .map(|i| 40.0 + 7.0 * (i as f32 * i as f32).sin())
        .collect();
    let shape = [200, FEATURES];
    let sample =
        Tensor::<Cpu, 2>::from_data(TensorData::new(x.clone(), shape), &Default::default());
    let quantizer = BitcodesConfig::new(FEATURES, 12).try_init_from_sample(sample);
    let quantizer: Bitcodes<Cpu> = quantizer.unwrap();
    fs::write(place.path("model.safetensors"), quantizer.to_safetensors()).unwrap();
    fs::write(place.path("x.npy"), npy(&[200, 3], &x).unwrap()).unwrap();
    place.succeed("encode --model model.safetensors --input x.npy --output codes.npy");
    let decode = "decode --model model.safetensors --input codes.npy --output";
    place.succeed(&format!("{decode} y.npy"));
    place.succeed(&format!("{decode} normalized.npy --normalized"));
    let (y_shape, y) = read::<f32>(&place.path("y.npy"));
    let (_, normalized) = read::<f32>(&place.path("normalized.npy"));
    assert_eq!(y_shape, [200, 3]);

    let normalization = quantizer.normalization.unwrap();
    let center: Vec<f32> = normalization.center.val().into_data().iter().collect();
    let scale = normalization.log_scale.val().exp().into_scalar();
    for (at, (y, normalized)) in y.iter().zip(&normalized).enumerate() {
        let wanted = (normalized + center[at % FEATURES]) * scale / 0.5;
        assert!(
            (y - wanted).abs() < 1e-4 * wanted.abs(),
            "{y}, wanted {wanted}"
        );
    }
    let error = y.iter().zip(&x).map(|(y, x)| (y - x).powi(2)).sum::<f32>() / x.len() as f32;
    assert!(
        error < 5.0,
        "mean squared error {error}, the variance is about 25"
    );
}

#[test]
fn eval_measures_what_train_measured() {
    let place = Place::new();
    place.write_data("data", 30, 8, 12);
    let trained = place.succeed("train --data data --epochs 1 --bits 5 --out run");
    let evaluated = place.succeed("eval --model run --data data");
    let psnr = |output: &str| {
        let line = output.lines().find(|line| line.starts_with("test PSNR"));
        line.unwrap().split_whitespace().nth(2).unwrap().to_string()
    };
    assert_eq!(psnr(&evaluated), psnr(&trained));
    let summary = fs::read(place.path("run/summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
    for (line, value) in [
        ("bits an image    30 (5 a token)", 0.0),
        (
            "bit entropy      ",
            summary["bit_entropy"].as_f64().unwrap(),
        ),
        (
            "bit correlation  ",
            summary["bit_correlation"].as_f64().unwrap(),
        ),
    ] {
        let found = evaluated.lines().find(|found| found.starts_with(line));
        let found = found.unwrap_or_else(|| panic!("{line}: {evaluated}"));
        assert!(
            value == 0.0 || found.contains(&format!("{value:.3}")),
            "{found}"
        );
    }
    let used = format!(
        "codes used       {} of 32, by 180 tokens",
        summary["codes_used"]
    );
    assert!(evaluated.contains(&used), "{evaluated}");

    // Archives and torchvision have other names and folders, and labels are not needed.
    fs::create_dir_all(place.path("torch/MNIST/raw")).unwrap();
    fs::copy(
        place.path("data/t10k-images-idx3-ubyte"),
        place.path("torch/MNIST/raw/t10k-images.idx3-ubyte"),
    )
    .unwrap();
    assert_eq!(place.succeed("eval --model run --data torch"), evaluated);

    // `eval` needs only the test images.
    fs::remove_file(place.path("data/train-images-idx3-ubyte")).unwrap();
    assert_eq!(place.succeed("eval --model run --data data"), evaluated);
    let error = place.fail(1, "eval --model run");
    assert!(
        error.contains("test images of (8, 8) pixels (height, width), expected (8, 12)"),
        "{error}"
    );
}

#[test]
fn training_takes_schedules_and_losses() {
    let place = Place::new();
    place.write_data("data", 24, 8, 8);
    place.succeed(
        "train --data data --epochs 2 --out run --reference --temperature cosine:4:0.5:6 \
         --noise-scale linear:1:0:6 --commitment 0.25 --entropy 0.1",
    );
    let config = fs::read_to_string(place.path("run/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    let quantizer = &config["model"]["quantizer"];
    assert_eq!(quantizer["assignment"]["temperature"]["curve"], "cosine");
    assert_eq!(quantizer["noise_scale"]["steps"], 6);
    assert_eq!(quantizer["commitment_weight"], 0.25);
    assert_eq!(quantizer["entropy_weight"], 0.1);
    place.succeed("eval --model run --data data");
}
