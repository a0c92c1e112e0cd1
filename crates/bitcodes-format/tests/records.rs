//! Records of quantizers, alone and in larger models.
#![cfg(feature = "record")]

use std::path::PathBuf;

use bitcodes_format::record::{Record, StoredTensor};
use bitcodes_format::{File, FloatType, FormatError, Method, QuantizerParts};

fn read(path: &str) -> Vec<u8> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read(root.join(path)).expect("the records are part of the repository")
}

fn golden(name: &str) -> Vec<u8> {
    read(&format!("tests/golden/records/{name}"))
}

fn quantizer(bytes: &[u8], prefix: Option<&str>) -> Result<QuantizerParts, FormatError> {
    File::from_bytes(bytes)?.quantizer(prefix)
}

fn error(bytes: &[u8]) -> String {
    quantizer(bytes, None).unwrap_err().to_string()
}

/// The record with a part of it replaced, which it has once.
fn with(record: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let places = record.windows(from.len()).enumerate();
    let places: Vec<usize> = places
        .filter(|(_, part)| *part == from)
        .map(|(at, _)| at)
        .collect();
    let [at] = places[..] else {
        panic!("{from:?} is there {} times", places.len());
    };
    [&record[..at], to, &record[at + from.len()..]].concat()
}

#[test]
fn golden_records_give_their_quantizers() {
    let parts = quantizer(&golden("quantizer.mpk"), None).unwrap();
    assert_eq!((parts.num_bits, parts.features), (33, 24));
    assert_eq!(parts.codebook.float_type(), FloatType::F32);
    assert_eq!(parts.codebook.len(), 66 * 24);
    assert_eq!(parts.method, Some(Method::Independent));
    assert_eq!((parts.step, &parts.normalization), (7, &None));

    let joint = quantizer(&golden("joint.mpk"), None).unwrap();
    assert_eq!(joint.codebook, parts.codebook);
    assert_eq!(joint.method, Some(Method::Joint { beam: 5 }));
    assert_eq!((joint.step, joint.config), (0, None));
    let normalization = joint.normalization.unwrap();
    let center: Vec<f32> = (0..24).map(|at| at as f32 / 8.0).collect();
    assert_eq!(normalization.center.to_f32(), center);
    assert_eq!(normalization.log_scale.to_f32(), [-0.5]);
}

#[test]
fn a_quantizer_is_found_in_the_record_of_an_autoencoder() {
    let bytes = read("crates/bitcodes-web/demo/model/model.mpk");
    for prefix in [None, Some("quantizer")] {
        let parts = quantizer(&bytes, prefix).unwrap();
        assert_eq!(parts.prefix, "quantizer.");
        assert_eq!((parts.num_bits, parts.features), (8, 16));
        assert_eq!(parts.method, Some(Method::Joint { beam: 8 }));
        assert_eq!(parts.step, 2880);
        assert!(parts.normalization.is_some());
    }
    let file = File::from_bytes(&bytes).unwrap();
    assert!(
        file.names()
            .any(|name| name == "decoder.blocks.0.norm_tokens.gamma")
    );
    let info = file.info("quantizer.normalization.center").unwrap();
    assert_eq!(info.shape, [16]);
    let found = quantizer(&bytes, Some("encoder")).unwrap_err().to_string();
    assert!(
        found.starts_with("no tensor encoder.codebook, found decoder.blocks.0.norm_tokens.beta, "),
        "{found}"
    );
}

#[test]
fn a_record_that_lacks_a_part_of_a_quantizer_is_an_error_that_names_it() {
    let joint = golden("joint.mpk");
    let independent = golden("quantizer.mpk");
    for (record, from, to, wanted) in [
        (
            &joint,
            &b"\xa8codebook"[..],
            &b"\xa8codeberg"[..],
            "no tensor codebook, found codeberg, normalization.center, normalization.log_scale",
        ),
        (
            &joint,
            b"\xa4step",
            b"\xa4stop",
            "step is missing in the record, expected a number of steps",
        ),
        (
            &joint,
            b"\xa4step\x00",
            b"\xa4step\xff",
            "step is another value in the record, expected a number of steps",
        ),
        (
            &joint,
            b"\xaaassignment\x82",
            b"\xaaassignmenT\x82",
            "assignment.method is missing in the record, expected independent or joint",
        ),
        (
            &joint,
            b"\xa6method\xa5joint",
            b"\xa6method\xa5jolly",
            "assignment.method is \"jolly\" in the record, expected independent or joint",
        ),
        (
            &joint,
            b"\xa6method\xa5joint",
            b"\xa6method\xc0",
            "assignment.method is nothing in the record, expected independent or joint",
        ),
        (
            &joint,
            b"\xa4beam\x05",
            b"\xa4beam\xc0",
            "assignment.beam is nothing in the record, expected a number for the method joint",
        ),
        (
            &joint,
            b"\xa4beam",
            b"\xa4boom",
            "assignment.beam is missing in the record, expected a number or nothing",
        ),
        (
            &independent,
            b"\xa4beam\xc0",
            b"\xa4beam\x03",
            "assignment.beam is 3 in the record, expected nothing for the method independent",
        ),
        (
            &independent,
            b"\xadnormalization\xc0",
            b"\xadnormalizatioN\xc0",
            "normalization is missing in the record, expected a map or nothing",
        ),
        (
            &joint,
            b"\xa6center",
            b"\xa6centre",
            "no tensor normalization.center, which its record asks for",
        ),
        (
            &independent,
            b"\xa5shape\x92\x42\x18",
            b"\xa5shape\x92\x41\x18",
            "codebook has shape [65, 24], expected [2 * num_bits, features], neither of them 0",
        ),
        (
            &independent,
            b"\xa5shape\x92\x42\x18",
            b"\xa5shape\x92\x42\x19",
            "codebook has 6336 bytes, expected 6600 by its shape",
        ),
        (
            &independent,
            b"\xa5shape\x92\x42\x18",
            b"\xa5shape\x92\xcf\xff\xff\xff\xff\xff\xff\xff\xfe\x18",
            "codebook has 6336 bytes, expected 18446744073709551615 by its shape",
        ),
        (
            &independent,
            b"\xa5dtype\xa3F32",
            b"\xa5dtype\xa3F16",
            "codebook has type F16, expected F32, as a record of full precision has",
        ),
        (
            &independent,
            b"\xa4item",
            b"\xa4atem",
            "not a record: metadata or item is not there, expected MessagePack with metadata and \
             item, whole",
        ),
    ] {
        assert_eq!(error(&with(record, from, to)), wanted);
    }
    let infinite = with(&joint, &[0, 0, 0, 0xbf], &[0, 0, 0x80, 0x7f]);
    let wanted = "normalization.log_scale has a value of inf, expected finite numbers";
    assert_eq!(error(&infinite), wanted);
}

/// Every cut is an error; every change of a byte is an error or gives a quantizer of whole parts,
/// and none panics.
#[test]
fn damage_is_an_error_or_another_quantizer() {
    let whole = golden("joint.mpk");
    for length in 0..whole.len() {
        error(&whole[..length]);
    }
    for at in 0..whole.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] ^= change;
            if let Ok(parts) = quantizer(&damaged, None) {
                assert_eq!(parts.codebook.len(), 2 * parts.num_bits * parts.features);
            }
        }
    }
    let found = error(&[&whole[..], b"more"].concat());
    assert!(
        found.starts_with("not a record: 4 bytes follow its end"),
        "{found}"
    );
}

#[test]
fn records_that_would_take_too_much_memory_are_refused() {
    let record = |item: &[u8]| [b"\x82\xa8metadata\xc0\xa4item", item].concat();
    // A key of a megabyte that is copied for each of the tensors below.
    let key = "k".repeat(1 << 20);
    let length = (key.len() as u32).to_be_bytes();
    let long = [b"\x81\xdb", &length[..], key.as_bytes(), b"\x81\xa1a\x80"].concat();
    let found = error(&record(&long));
    let wanted = "not a record: a path of 1048576 bytes, expected at most 1024";
    assert!(found.starts_with(wanted), "{found}");
    let found = error(&record(&[0x91; 1 << 20]));
    assert!(
        found.starts_with("not a record: values more than 128 deep"),
        "{found}"
    );
    let found = error(&record(&[0xdd, 0xff, 0xff, 0xff, 0xff]));
    let wanted = "not a record: 4294967300 values, expected at most 4194304";
    assert!(found.starts_with(wanted), "{found}");
}

#[test]
fn the_plain_tree_of_a_record_can_be_walked() {
    let bytes = golden("quantizer.mpk");
    let record = Record::from_bytes(&bytes).unwrap();
    let codebook = record.item().at(["codebook", "param"]).unwrap();
    let tensor = StoredTensor::of(codebook).unwrap();
    assert_eq!(
        (&tensor.shape[..], tensor.type_name),
        (&[66, 24][..], "F32")
    );
    assert_eq!(tensor.bytes.len(), 66 * 24 * 4);
    assert_eq!(record.item().get("step").unwrap().as_number(), Some(7));
}
