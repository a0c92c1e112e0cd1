//! Tests of reading checkpoints: the reference's, larger models', and broken ones with their
//! errors.

use std::path::PathBuf;

use bitcodes_core::{BitcodesConfig, Checkpoint, CheckpointError, Schedule};
use bitcodes_workspace::golden::{Golden, NAMES};
use bitcodes_workspace::on_every_backend;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

on_every_backend!(
    the_codebook_of_every_golden_file_is_found,
    the_references_state_dict_gives_the_references_bits,
    every_form_of_a_codebook_is_read,
    our_checkpoints_are_read_again_with_their_configuration,
);

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn codebook<B: Backend>(name: &str, prefix: Option<&str>, device: &B::Device) -> Vec<f32> {
    let bytes = file(name);
    let checkpoint = Checkpoint::from_bytes(&bytes).unwrap();
    let quantizer = checkpoint.quantizer::<B>(prefix, device).unwrap();
    assert_eq!((quantizer.num_bits(), quantizer.features()), (33, 24));
    quantizer.codebook.val().into_data().iter().collect()
}

fn the_codebook_of_every_golden_file_is_found<B: Backend>(device: &B::Device) {
    for name in NAMES {
        let golden = Golden::load(name);
        let bytes = file(&format!("{name}.safetensors"));
        let checkpoint = Checkpoint::from_bytes(&bytes).unwrap();
        let quantizer = checkpoint.quantizer::<B>(None, device).unwrap();
        assert_eq!(quantizer.num_bits(), golden.num_bits);
        assert_eq!(quantizer.features(), golden.features);
        let codebook = quantizer.codebook.val().into_data();
        assert_eq!(codebook.to_vec::<f32>().unwrap(), golden.floats("codebook"));
    }
}

fn the_references_state_dict_gives_the_references_bits<B: Backend>(device: &B::Device) {
    let golden = Golden::load("words");
    let bytes = file("words.pt");
    let checkpoint = Checkpoint::from_bytes(&bytes).unwrap();
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["codebook"]);
    let quantizer = checkpoint.quantizer::<B>(None, device).unwrap();
    let x = TensorData::new(golden.floats("x"), [golden.rows(), golden.features]);
    let bits = quantizer.encode(Tensor::<B, 2>::from_data(x, device));
    let found: Vec<i64> = bits.into_data().iter().collect();
    // No logit of this file is near 0: see the test of the plain specification.
    assert_eq!(Some(found), golden.integers("bits"));
}

fn every_form_of_a_codebook_is_read<B: Backend>(device: &B::Device) {
    let wanted = Golden::load("words").floats("codebook");
    let read = |name: &str| codebook::<B>(&format!("checkpoints/{name}"), None, device);
    assert_eq!(read("nested.pt"), wanted);
    assert_eq!(read("strided.pt"), wanted);
    assert_eq!(read("double.safetensors"), wanted);
    let half = wanted
        .iter()
        .map(|&c| burn::tensor::f16::from_f32(c).to_f32());
    assert_eq!(read("half.pt"), half.collect::<Vec<_>>());
    let bfloat16 = wanted
        .iter()
        .map(|&c| burn::tensor::bf16::from_f32(c).to_f32());
    assert_eq!(read("bfloat16.safetensors"), bfloat16.collect::<Vec<_>>());

    let with = |name: &str, prefix| codebook::<B>(name, Some(prefix), device);
    assert_eq!(with("checkpoints/nested.pt", "model.quantizer"), wanted);
    assert_eq!(with("checkpoints/two.safetensors", "fine"), wanted);
    assert_eq!(with("words.pt", ""), wanted);
}

fn our_checkpoints_are_read_again_with_their_configuration<B: Backend>(device: &B::Device) {
    let mut quantizer = BitcodesConfig::reference(5, 3)
        .with_temperature(Schedule::cosine(4.0, 0.5, 100))
        .with_noise_scale(0.5)
        .with_commitment_weight(0.25)
        .with_entropy_weight(0.1)
        .with_diversity(2.0)
        .init::<B>(device);
    quantizer.advance();
    let bytes = quantizer.to_safetensors();
    let again = Checkpoint::from_bytes(&bytes).unwrap();
    let again = again.quantizer::<B>(None, device).unwrap();
    assert_eq!(again.config(), quantizer.config());
    assert_eq!(again.step(), 1);
    let codebook = quantizer.codebook.val().into_data();
    assert_eq!(again.codebook.val().into_data(), codebook);

    // Any reader of safetensors finds the same codebook.
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let view = tensors.tensor("codebook").unwrap();
    assert_eq!(
        (view.shape(), view.dtype()),
        (&[6, 5][..], safetensors::Dtype::F32)
    );
    let elements = view
        .data()
        .chunks(4)
        .map(|e| f32::from_le_bytes(e.try_into().unwrap()));
    assert_eq!(
        elements.collect::<Vec<_>>(),
        codebook.to_vec::<f32>().unwrap()
    );
}

type Cpu = burn::backend::Flex;

fn error(bytes: &[u8], prefix: Option<&str>) -> CheckpointError {
    let read = |bytes| Checkpoint::from_bytes(bytes)?.quantizer::<Cpu>(prefix, &Default::default());
    read(bytes).map(|_| ()).unwrap_err()
}

#[test]
fn files_without_a_quantizer_are_errors_that_say_why() {
    for (bytes, prefix, wanted) in [
        (
            vec![],
            None,
            "neither PyTorch's zip archive nor safetensors",
        ),
        (
            b"hello, world, this is no checkpoint".to_vec(),
            None,
            "neither PyTorch's",
        ),
        (
            b"PK\x03\x04 and then nothing".to_vec(),
            None,
            "PyTorch archive: ",
        ),
        (
            file("checkpoints/two.safetensors"),
            None,
            "2 codebooks, expected one, or a prefix that says which: coarse.codebook, fine.codebook",
        ),
        (
            file("checkpoints/two.safetensors"),
            Some("middle"),
            "no tensor middle.codebook, found coarse.codebook, fine.codebook",
        ),
        (
            file("checkpoints/nested.pt"),
            Some("quantizer"),
            "no tensor quantizer.codebook, found model.encoder.0.bias, ",
        ),
    ] {
        let error = error(&bytes, prefix).to_string();
        assert!(error.contains(wanted), "{error}");
    }

    let with = |dtype, shape: &[usize], metadata: Option<(&str, &str)>| {
        let data = vec![0; shape.iter().product::<usize>() * 8];
        let view = safetensors::tensor::TensorView::new(dtype, shape.to_vec(), &data).unwrap();
        let metadata = metadata.map(|(k, v)| [(k.to_string(), v.to_string())].into());
        safetensors::serialize([("codebook", view)], metadata).unwrap()
    };
    use safetensors::Dtype::{F64, I64};
    let large = [f64::MAX, f64::NAN].map(|value| {
        let data: Vec<u8> = [0.0, value].iter().flat_map(|v| v.to_le_bytes()).collect();
        let view = safetensors::tensor::TensorView::new(F64, vec![2, 1], &data).unwrap();
        let bytes = safetensors::serialize([("codebook", view)], None).unwrap();
        error(&bytes, None).to_string()
    });
    assert_eq!(
        large[0],
        "codebook has a value of inf, expected finite numbers"
    );
    assert_eq!(
        large[1],
        "codebook has a value of NaN, expected finite numbers"
    );
    let json = r#"{"features": 3, "num_bits": 2, "temperature": -1}"#;
    for (bytes, wanted) in [
        (
            with(F64, &[3, 4], None),
            "codebook has shape [3, 4], expected [2 * num_bits, features]",
        ),
        (with(F64, &[4], None), "codebook has shape [4], expected"),
        (
            with(F64, &[0, 4], None),
            "num_bits is 0, expected at least 1",
        ),
        (
            with(F64, &[4, 0], None),
            "features is 0, expected at least 1",
        ),
        (
            with(I64, &[4, 3], None),
            "codebook has type I64, expected F16, BF16, F32 or F64",
        ),
        (
            with(F64, &[4, 3], Some(("bitcodes", "no"))),
            "the configuration \"no\": expected",
        ),
        (
            with(F64, &[4, 3], Some(("bitcodes", json))),
            "temperature is -1, expected",
        ),
        (
            with(F64, &[4, 5], Some(("bitcodes", &json.replace("-1", "1")))),
            "the codebook has shape [4, 5], expected [4, 3]",
        ),
    ] {
        let error = error(&bytes, None).to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

/// Reading a file that was cut, or in which a byte was changed, is an error or gives the same
/// codebook. It never gives zeros and never panics.
#[test]
fn damaged_files_are_errors_or_give_the_same_codebook() {
    let wanted = Golden::load("words").floats("codebook");
    for name in [
        "words.pt",
        "checkpoints/strided.pt",
        "checkpoints/double.safetensors",
    ] {
        let whole = file(name);
        for length in (0..whole.len()).step_by(whole.len() / 97) {
            error(&whole[..length], None);
        }
        let mut seen = 0;
        let steps = (0..whole.len()).step_by(whole.len() / 997);
        for at in steps.clone() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            let read = || -> Result<Vec<f32>, CheckpointError> {
                let checkpoint = Checkpoint::from_bytes(&damaged)?;
                let quantizer = checkpoint.quantizer::<Cpu>(None, &Default::default())?;
                Ok(quantizer.codebook.val().into_data().iter().collect())
            };
            match read() {
                Err(_) => seen += 1,
                // A safetensors file has no checksum, so its codebook may change.
                Ok(_) if name.ends_with("safetensors") => {}
                Ok(codebook) => assert_eq!(codebook, wanted, "{name}, byte {at}"),
            }
        }
        // Most of a PyTorch file is the storage and the pickle, which both have a checksum.
        assert!(
            name.ends_with("safetensors") || seen > steps.len() / 2,
            "{seen}"
        );
    }
}
