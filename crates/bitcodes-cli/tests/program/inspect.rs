//! Tests of `inspect`.

use std::fs;

use crate::codes::place;

#[test]
fn every_file_that_the_program_reads_or_writes_is_described() {
    let (place, n) = place();
    place.write_data("data", 12, 8, 8);
    place.succeed("train --data data --epochs 1 --bits 5 --out run");
    for output in ["codes.npy", "codes.safetensors"] {
        place.succeed(&format!(
            "encode --model reference.pt --input x.npy --output {output}"
        ));
    }
    for output in ["y.safetensors", "y.fvecs"] {
        place.succeed(&format!(
            "decode --model reference.pt --input codes.npy --output {output}"
        ));
    }
    let vectors = format!("[{n}, 24]");
    for (file, wanted) in [
        ("x.npy", vec!["arrays, .npy", "of <f4", &vectors]),
        (
            "codes.npy",
            vec![
                "[18, 5] of |u1",
                "as codes of      40 bits",
                "codes used       ",
            ],
        ),
        (
            "codes.safetensors",
            vec![
                "[18, 5] of U8",
                "num_bits         33",
                "as codes of      33 bits",
                "fingerprint      ",
            ],
        ),
        (
            "y.safetensors",
            vec!["arrays, safetensors", "vectors          [18, 24] of F32"],
        ),
        ("y.fvecs", vec!["arrays, .fvecs", &vectors]),
        (
            "reference.pt",
            vec![
                "a quantizer",
                "features         24",
                "bits             33",
                "method           independent",
            ],
        ),
        (
            "reference.safetensors",
            vec!["a quantizer", "codebook         [66, 24] of F32"],
        ),
        (
            "ours.safetensors",
            vec!["a quantizer", "configuration    {"],
        ),
        ("record.mpk", vec!["a quantizer", "normalizes       no"]),
        ("nested.pt", vec!["prefix           model.quantizer"]),
        (
            "two.safetensors",
            vec![
                "no quantizer     2 codebooks, expected one",
                "coarse.codebook  [",
            ],
        ),
        ("data", vec!["images", "train-images-idx3-ubyte [12, 8, 8]"]),
        ("data/train-labels-idx1-ubyte", vec!["IDX", "[12] of uint8"]),
        (
            "run",
            vec![
                "a run",
                "trained for 1 epochs",
                "8 x 8 pixels",
                "5 per token, 20 per image",
            ],
        ),
        (
            "run/model.mpk",
            vec!["a quantizer", "prefix           quantizer", "decoder."],
        ),
    ] {
        let said = place.succeed(&format!("inspect {file}"));
        for wanted in wanted {
            assert!(said.contains(wanted), "{file}: {said}, expected {wanted}");
        }
    }
    fs::remove_file(place.path("run/model.mpk")).unwrap();
    let said = place.succeed("inspect run");
    assert!(
        said.contains("not finished, 1 of 1 epochs are whole"),
        "{said}"
    );

    fs::write(place.path("text"), "neither this nor that").unwrap();
    for (file, wanted) in [
        (
            "text",
            "text: neither PyTorch's zip archive nor safetensors",
        ),
        ("nowhere", "nowhere: No such file"),
        (".", "./config.json: No such file"),
    ] {
        let error = place.fail(1, &format!("inspect {file}"));
        assert!(error.contains(wanted), "{error}");
    }
}
