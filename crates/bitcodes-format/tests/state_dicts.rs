//! State dicts of the reference and of larger models, from PyTorch and as safetensors.
#![cfg(all(feature = "pytorch", feature = "safetensors"))]

use std::path::PathBuf;

use bitcodes_format::{
    ElementType, File, FloatType, FormatError, Method, NormalizationParts, QuantizerParts, Values,
    to_safetensors,
};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

fn golden(name: &str) -> Vec<u8> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    std::fs::read(root.join(name)).expect("the golden files are part of the repository")
}

fn quantizer(bytes: &[u8], prefix: Option<&str>) -> Result<QuantizerParts, FormatError> {
    File::from_bytes(bytes)?.quantizer(prefix)
}

fn error(bytes: &[u8], prefix: Option<&str>) -> String {
    quantizer(bytes, prefix).unwrap_err().to_string()
}

/// The codebook of `words.pt`, as the reference's other file has it.
fn words() -> Vec<f32> {
    let bytes = golden("words.safetensors");
    let file = File::from_bytes(&bytes).unwrap();
    file.values("codebook").unwrap().to_f32()
}

#[test]
fn a_state_dict_of_the_reference_has_a_codebook_and_no_settings() {
    let parts = quantizer(&golden("words.pt"), None).unwrap();
    assert_eq!(parts.codebook.to_f32(), words());
    let rest = QuantizerParts {
        codebook: parts.codebook.clone(),
        prefix: String::new(),
        features: 24,
        num_bits: 33,
        normalization: None,
        method: None,
        step: 0,
        config: None,
    };
    assert_eq!(parts, rest);
}

#[test]
fn every_form_of_a_codebook_is_read() {
    let wanted = words();
    let half: Vec<f32> = wanted
        .iter()
        .map(|&v| half::f16::from_f32(v).into())
        .collect();
    let bfloat16: Vec<f32> = wanted
        .iter()
        .map(|&v| half::bf16::from_f32(v).into())
        .collect();
    for (name, prefix, found_prefix, float_type, wanted) in [
        (
            "nested.pt",
            None,
            "model.quantizer.",
            FloatType::F32,
            &wanted,
        ),
        (
            "nested.pt",
            Some("model.quantizer"),
            "model.quantizer.",
            FloatType::F32,
            &wanted,
        ),
        ("strided.pt", None, "", FloatType::F32, &wanted),
        ("strided.pt", Some(""), "", FloatType::F32, &wanted),
        ("double.safetensors", None, "", FloatType::F64, &wanted),
        (
            "two.safetensors",
            Some("fine"),
            "fine.",
            FloatType::F32,
            &wanted,
        ),
        ("half.pt", None, "", FloatType::F16, &half),
        ("bfloat16.safetensors", None, "", FloatType::Bf16, &bfloat16),
    ] {
        let bytes = golden(&format!("checkpoints/{name}"));
        let parts = quantizer(&bytes, prefix).unwrap();
        assert_eq!(parts.prefix, found_prefix, "{name}");
        assert_eq!((parts.num_bits, parts.features), (33, 24), "{name}");
        assert_eq!(parts.codebook.float_type(), float_type, "{name}");
        assert_eq!(&parts.codebook.to_f32(), wanted, "{name}");
        let file = File::from_bytes(&bytes).unwrap();
        let info = file.info(&format!("{found_prefix}codebook")).unwrap();
        assert_eq!(info.shape, [66, 24], "{name}");
        assert_eq!(info.element_type, ElementType::Float(float_type), "{name}");
        assert!(file.names().is_sorted(), "{name}");
    }
}

#[test]
fn a_file_without_one_quantizer_is_an_error_that_names_the_tensors() {
    for (bytes, prefix, wanted) in [
        (
            vec![],
            None,
            "neither PyTorch's zip archive nor safetensors nor a Burn record: 0 bytes, the first []",
        ),
        (
            b"hello, world, this is no checkpoint".to_vec(),
            None,
            "nor a Burn record: 35 bytes, the first [68, 65, 6c, 6c, 6f, 2c, 20, 77]",
        ),
        (
            b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec(),
            None,
            "PyTorch's older form, expected its zip archive",
        ),
        (
            b"PK\x03\x04 and then nothing".to_vec(),
            None,
            "PyTorch archive: ",
        ),
        (
            b"\x09\0\0\0\0\0\0\0{and then".to_vec(),
            None,
            "safetensors: ",
        ),
        (
            golden("checkpoints/two.safetensors"),
            None,
            "2 codebooks, expected one, or a prefix that says which: coarse.codebook, fine.codebook",
        ),
        (
            golden("checkpoints/two.safetensors"),
            Some("middle"),
            "no tensor middle.codebook, found coarse.codebook, fine.codebook",
        ),
        (
            golden("checkpoints/nested.pt"),
            Some("quantizer"),
            "no tensor quantizer.codebook, found model.encoder.0.bias, ",
        ),
    ] {
        let found = error(&bytes, prefix);
        assert!(found.contains(wanted), "{found}");
    }
    let bytes = golden("words.pt");
    let file = File::from_bytes(&bytes).unwrap();
    assert_eq!(file.info("bias"), None);
    let found = file.values("bias").unwrap_err().to_string();
    assert_eq!(found, "no tensor bias, found codebook");
}

/// Safetensors with a codebook, and entries of metadata.
fn with_codebook(dtype: Dtype, shape: &[usize], data: &[u8], metadata: &[(&str, &str)]) -> Vec<u8> {
    let view = TensorView::new(dtype, shape.to_vec(), data).unwrap();
    let entries = metadata.iter().map(|(k, v)| (k.to_string(), v.to_string()));
    let metadata = (!metadata.is_empty()).then(|| entries.collect());
    safetensors::serialize([("codebook", view)], metadata).unwrap()
}

#[test]
fn a_codebook_that_no_quantizer_has_is_an_error_that_names_it() {
    for (dtype, shape, wanted) in [
        (
            Dtype::F64,
            &[3, 4][..],
            "codebook has shape [3, 4], expected [2 * num_bits, features], neither of them 0",
        ),
        (Dtype::F64, &[4], "codebook has shape [4], expected [2 *"),
        (
            Dtype::F64,
            &[2, 2, 1],
            "codebook has shape [2, 2, 1], expected [2 *",
        ),
        (
            Dtype::F64,
            &[0, 4],
            "codebook has shape [0, 4], expected [2 *",
        ),
        (
            Dtype::F64,
            &[4, 0],
            "codebook has shape [4, 0], expected [2 *",
        ),
        (
            Dtype::I64,
            &[4, 3],
            "codebook has type I64, expected F16, BF16, F32 or F64",
        ),
    ] {
        let data = vec![0; shape.iter().product::<usize>() * 8];
        let found = error(&with_codebook(dtype, shape, &data, &[]), None);
        assert!(found.starts_with(wanted), "{found}");
    }
    for (value, wanted) in [(f32::NAN, "NaN"), (f32::NEG_INFINITY, "-inf")] {
        let data: Vec<u8> = [0.0, value].iter().flat_map(|v| v.to_le_bytes()).collect();
        let found = error(&with_codebook(Dtype::F32, &[2, 1], &data, &[]), None);
        let wanted = format!("codebook has a value of {wanted}, expected finite numbers");
        assert_eq!(found, wanted);
    }
}

/// A configuration with the fields that have to be there.
fn config(assignment: &str, normalize: bool) -> String {
    format!(
        r#"{{"features": 3, "num_bits": 2, "assignment": {assignment}, "normalize": {normalize}}}"#
    )
}

const JOINT: &str = r#"{"method": "joint", "beam": 8}"#;

#[test]
fn metadata_that_cannot_be_followed_are_an_error_that_names_them() {
    let long = "x".repeat(1000);
    let independent = r#"{"method": "independent", "temperature": 1.0, "initializer": "normal"}"#;
    let read = |config: &str, step| {
        let metadata = [("bitcodes", config), ("bitcodes.step", step)];
        let bytes = with_codebook(Dtype::F32, &[4, 3], &[0; 48], &metadata);
        quantizer(&bytes, None)
    };
    let parts = read(&config(independent, false), "7").unwrap();
    assert_eq!((parts.method, parts.step), (Some(Method::Independent), 7));
    for (config, step, wanted) in [
        ("no".into(), "7", "the configuration \"no\": expected"),
        (long, "7", "xxx\": expected"),
        (
            config(JOINT, false).replace("\"normalize\"", "\"normal\""),
            "7",
            "missing field `normalize`",
        ),
        (
            config(r#"{"method": "residual", "beam": 8}"#, false),
            "7",
            "assignment.method is \"residual\", expected independent or joint",
        ),
        (
            config(r#"{"method": "joint"}"#, false),
            "7",
            "assignment.beam is nothing, expected a number for the method joint",
        ),
        (
            config(r#"{"method": "independent", "beam": 8}"#, false),
            "7",
            "assignment.beam is 8, expected nothing for the method independent",
        ),
        (
            config(JOINT, false),
            "-1",
            "its metadata has the step \"-1\": expected a whole number",
        ),
        (
            config(JOINT, false).replace(": 3", ": 5"),
            "7",
            "codebook has shape [4, 3], expected [4, 5]",
        ),
        (
            config(JOINT, true),
            "7",
            "no tensor normalization.center, which its metadata asks for",
        ),
    ] {
        let found = read(&config, step).unwrap_err().to_string();
        assert!(found.contains(wanted), "{found}");
        assert!(found.len() < 500, "{} bytes of message", found.len());
    }
    let metadata = [("bitcodes", &config(JOINT, false)[..])];
    let found = error(
        &with_codebook(Dtype::F32, &[4, 3], &[0; 48], &metadata),
        None,
    );
    assert_eq!(
        found,
        "its metadata has the step \"\": expected a whole number"
    );
}

#[test]
fn a_quantizer_is_read_as_it_was_written() {
    let codebook = Values::from_f32(&[1.0, -2.0, 3.0].repeat(4));
    let normalization = NormalizationParts {
        center: Values::from_f32(&[0.0, 0.5, -0.5]),
        log_scale: Values::from_f32(&[-1.0]),
    };
    let config_with = config(JOINT, true);
    let bytes = to_safetensors(&codebook, 3, Some(&normalization), &config_with, 9);
    let wanted = QuantizerParts {
        prefix: String::new(),
        features: 3,
        num_bits: 2,
        codebook: codebook.clone(),
        normalization: Some(normalization),
        method: Some(Method::Joint { beam: 8 }),
        step: 9,
        config: Some(config_with),
    };
    assert_eq!(quantizer(&bytes, None).unwrap(), wanted);

    for (from, to, wanted) in [
        (
            "\"normalization.center\"",
            "\"normalization.centre\"",
            "no tensor normalization.center, which its metadata asks for",
        ),
        (
            "\"bitcodes\"",
            "\"bitcodec\"",
            "normalization.center is there, but no metadata that say how bits are decided",
        ),
        (
            r#"\"normalize\": true"#,
            r#"\"normalize\":false"#,
            "normalization.center is there, but by its metadata the quantizer does not normalize",
        ),
        (
            "\"shape\":[3]",
            "\"shape\":[1,3]",
            "normalization.center has shape [1, 3], expected [3]",
        ),
    ] {
        assert_eq!(error(&with_header(&bytes, from, to), None), wanted);
    }
}

/// Safetensors with a part of their header replaced.
fn with_header(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let header = str::from_utf8(header).unwrap();
    assert_eq!(header.matches(from).count(), 1, "{from}: {header}");
    let header = header.replace(from, to);
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), data].concat()
}

/// A file that was cut, or has one byte changed, is an error or gives the codebook as it was: it
/// never gives zeros, and never panics.
#[test]
fn damage_is_seen() {
    let wanted = words();
    for name in [
        "words.pt",
        "checkpoints/strided.pt",
        "checkpoints/double.safetensors",
    ] {
        let whole = golden(name);
        for length in (0..whole.len()).step_by(whole.len() / 197) {
            error(&whole[..length], None);
        }
        let mut seen = 0;
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            match quantizer(&damaged, None) {
                Err(_) => seen += 1,
                // Safetensors have no checksum.
                Ok(_) if name.ends_with("safetensors") => {}
                Ok(parts) => assert_eq!(parts.codebook.to_f32(), wanted, "{name}, byte {at}"),
            }
        }
        // Most of a PyTorch file is the storage and its pickle, each with a checksum.
        assert!(
            name.ends_with("safetensors") || seen > whole.len() / 2,
            "{name}: {seen} changes seen"
        );
    }
}
