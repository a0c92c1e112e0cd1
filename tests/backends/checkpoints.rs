//! Quantizers from checkpoints of the reference and of larger models, and from files of ours.
//! `crates/bitcodes-format` tests how damaged and hostile files are read.

use std::path::PathBuf;

use bitcodes_core::{
    Bitcodes, BitcodesConfig, Checkpoint, CheckpointError, Independent, Joint, Schedule,
};
use bitcodes_train::AutoencoderConfig;
use bitcodes_workspace::backends::any_seed;
use bitcodes_workspace::golden::{Golden, NAMES};
use bitcodes_workspace::on_every_backend;
use burn::module::Param;
use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Tensor, TensorData};

use crate::golden::floats;

on_every_backend!(
    the_codebook_of_every_golden_file_is_found,
    the_state_dict_of_the_reference_gives_what_the_reference_gives,
    every_form_of_a_codebook_is_read,
    safetensors_of_ours_are_read_again_with_their_configuration,
    safetensors_of_ours_keep_the_normalization,
    a_quantizer_is_found_in_the_record_of_an_autoencoder,
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

fn the_state_dict_of_the_reference_gives_what_the_reference_gives<B: Backend>(device: &B::Device) {
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

fn again<B: Backend>(bytes: &[u8], device: &B::Device) -> Result<Bitcodes<B>, CheckpointError> {
    Checkpoint::from_bytes(bytes)?.quantizer(None, device)
}

fn safetensors_of_ours_are_read_again_with_their_configuration<B: Backend>(device: &B::Device) {
    let annealed = Independent::new().with_temperature(Schedule::cosine(4.0, 0.5, 100));
    let mut quantizer = BitcodesConfig::reference(5, 3)
        .with_assignment(annealed)
        .with_noise_scale(0.5)
        .with_commitment_weight(0.25)
        .with_entropy_weight(0.1)
        .with_diversity(2.0)
        .init::<B>(device);
    quantizer.advance();
    let bytes = quantizer.to_safetensors();
    let again = again::<B>(&bytes, device).unwrap();
    assert_eq!(again.config(), quantizer.config());
    assert_eq!(again.step(), 1);
    let codebook = quantizer.codebook.val().into_data();
    assert_eq!(again.codebook.val().into_data(), codebook);

    // Any reader of safetensors finds the same values.
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

fn safetensors_of_ours_keep_the_normalization<B: Backend>(device: &B::Device) {
    let x = Tensor::<B, 2>::random([60, 4], Distribution::Normal(3.0, 2.0), device);
    let config = BitcodesConfig::new(4, 6).with_assignment(Joint::new().with_beam(3));
    let saved = config.try_init_from_sample(x.clone()).unwrap();
    let loaded = again::<B>(&saved.to_safetensors(), device).unwrap();
    assert_eq!(loaded.config(), saved.config());
    assert_eq!(
        loaded.logits(x.clone()).into_data(),
        saved.logits(x).into_data()
    );
}

/// The record of an autoencoder has no schedules and no weights of losses: the quantizer has those
/// that go with its method.
fn a_quantizer_is_found_in_the_record_of_an_autoencoder<B: Backend>(device: &B::Device) {
    let joint = BitcodesConfig::new(16, 9).with_assignment(Joint::new().with_beam(3));
    for config in [joint, BitcodesConfig::reference(16, 9)] {
        let given = config
            .clone()
            .with_noise_scale(0.25)
            .with_entropy_weight(0.5);
        let mut model = AutoencoderConfig::new(8, 12, given).init::<B>(device);
        model.quantizer.advance();
        let bytes = bitcodes_core::record::save::<B, _>(&model).unwrap();
        let checkpoint = Checkpoint::from_bytes(&bytes).unwrap();
        for prefix in [None, Some("quantizer")] {
            let quantizer = checkpoint.quantizer::<B>(prefix, device).unwrap();
            assert_eq!(quantizer.config(), config);
            assert_eq!(quantizer.step(), 1);
            assert_eq!(
                floats(quantizer.codebook.val()),
                floats(model.quantizer.codebook.val())
            );
        }
    }
}

type Cpu = burn::backend::Flex;

/// Safetensors with one codebook, and a configuration if there is one.
fn with_codebook(
    dtype: safetensors::Dtype,
    shape: &[usize],
    data: &[u8],
    config: Option<&str>,
) -> Vec<u8> {
    let view = safetensors::tensor::TensorView::new(dtype, shape.to_vec(), data).unwrap();
    let metadata = config.map(|config| {
        let entries = [("bitcodes", config), ("bitcodes.step", "0")];
        entries
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .into()
    });
    safetensors::serialize([("codebook", view)], metadata).unwrap()
}

#[test]
fn a_file_that_makes_no_quantizer_is_an_error_that_says_why() {
    let _seed = any_seed();
    let error = |bytes: &[u8]| match again::<Cpu>(bytes, &Default::default()) {
        Ok(_) => panic!("a quantizer was made"),
        Err(error) => error.to_string(),
    };
    // Finite in the file, and infinite in the backend's f32.
    let large: Vec<u8> = [0.0, f64::MAX]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let wanted =
        "codebook has a value of inf as the backend's type, expected finite numbers".to_string();
    let bytes = with_codebook(safetensors::Dtype::F64, &[2, 1], &large, None);
    assert_eq!(error(&bytes), wanted);

    let json = json_of(&BitcodesConfig::new(3, 2).with_normalize(false));
    let with_config = |from: &str, to: &str| {
        assert_eq!(json.matches(from).count(), 1, "{from}: {json}");
        let json = json.replace(from, to);
        with_codebook(safetensors::Dtype::F32, &[4, 3], &[0; 48], Some(&json))
    };
    for (from, to, wanted) in [
        (
            "\"beam\":8",
            "\"beam\":0",
            "the beam is 0, expected 1 to 256",
        ),
        (
            "\"beam\":8",
            "\"beam\":8,\"temperature\":1.0",
            "temperature",
        ),
        ("\"diversity\"", "\"divorce\"", "divorce"),
        (
            "\"joint\"",
            "\"residual\"",
            "\"residual\", expected independent or joint",
        ),
        (
            "\"features\":3",
            "\"features\":5",
            "codebook has shape [4, 3], expected [4, 5]",
        ),
    ] {
        let found = error(&with_config(from, to));
        assert!(found.contains(wanted), "{found}");
    }
    let found = error(b"hello, world, this is no checkpoint");
    assert!(
        found.starts_with("neither PyTorch's zip archive"),
        "{found}"
    );
}

/// The JSON of a configuration, as the metadata of our safetensors have it.
fn json_of(config: &BitcodesConfig) -> String {
    let bytes = config.init::<Cpu>(&Default::default()).to_safetensors();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    header.metadata().as_ref().unwrap()["bitcodes"].clone()
}

#[test]
fn a_scale_that_f32_cannot_hold_is_refused() {
    let _seed = any_seed();
    let device = Default::default();
    for (log_scale, valid) in [(0.0, true), (80.0, true), (1000.0, false), (-1000.0, false)] {
        let mut quantizer = BitcodesConfig::new(3, 2).init::<Cpu>(&device);
        let normalization = quantizer.normalization.as_mut().expect("by default");
        normalization.log_scale = Param::from_tensor(Tensor::from_data([log_scale], &device));
        let bytes = quantizer.to_safetensors();
        let loaded = Checkpoint::from_bytes(&bytes)
            .unwrap()
            .quantizer::<Cpu>(None, &device);
        match loaded {
            Ok(_) => assert!(valid, "{log_scale} was accepted"),
            Err(error) => {
                let wanted = format!("normalization.log_scale is {log_scale}, expected");
                assert!(!valid && error.to_string().starts_with(&wanted), "{error}");
            }
        }
    }
}
