//! Tests of models, vectors and codes that `encode`, `decode` and `eval` refuse: the error is one
//! line, and nothing is written.

use std::fs;

use bitcodes_core::BitcodesConfig;
use bitcodes_train::npy;

use crate::codes::{Cpu, golden, place};
use crate::place::Place;

#[test]
fn broken_models_and_arrays_end_with_1_and_name_the_file() {
    let (place, n) = place();
    let write = |name: &str, bytes: &[u8]| fs::write(place.path(name), bytes).unwrap();
    let x = fs::read(place.path("x.npy")).unwrap();
    write("short.npy", &x[..x.len() - 1]);
    write("cut.npy", &x[..20]);
    write("text.npy", b"not an array at all");
    write("wide.npy", &npy(&[2, 25], &[0f32; 50]).unwrap());
    write("flat.npy", &npy(&[24], &[0f32; 24]).unwrap());
    write("whole.npy", &npy(&[1, 24], &[0i32; 24]).unwrap());
    let huge = String::from_utf8_lossy(&x[..128]).replace("(18,", "(9223372036854775807,");
    assert_eq!(
        huge.matches("9223372036854775807").count(),
        1,
        "the header has the shape"
    );
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 24), }\n";
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    write("huge.npy", &file);
    let deep = format!("{{'descr': {}{}}}\n", "[".repeat(24), "]".repeat(24));
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((deep.len() as u16).to_le_bytes());
    file.extend(deep.as_bytes());
    write("deep.npy", &file);
    write("flipped.npy", &[&x[..60], b"\x1b", &x[61..]].concat());
    write(
        "model.mpk",
        &[b"\x82\xa8metadata\xc0\xa4item\x80"[..].to_vec()].concat(),
    );
    write("tail.npy", &npy(&[1, 5], &[0u8, 0, 0, 0, 0b10]).unwrap());
    write("model.pt", &golden("words.pt")[..3000]);
    write(
        "half.mpk",
        &fs::read(place.path("record.mpk")).unwrap()[..500],
    );
    let other = BitcodesConfig::new(3, 2).init::<Cpu>(&Default::default());
    write("other.safetensors", &other.to_safetensors());
    fs::create_dir(place.path("folder")).unwrap();
    let before = place.names();

    for (arguments, wanted) in [
        (
            "encode --model nowhere.pt --input x.npy",
            "nowhere.pt: No such file",
        ),
        (
            "encode --model model.pt --input x.npy",
            "model.pt: PyTorch archive: ",
        ),
        (
            "encode --model x.npy --input x.npy",
            "x.npy: neither PyTorch's zip archive nor safetensors",
        ),
        (
            "encode --model half.mpk --input x.npy",
            "half.mpk: not a record: ",
        ),
        (
            "encode --model two.safetensors --input x.npy",
            "2 codebooks, expected one, or a prefix",
        ),
        (
            "encode --model two.safetensors --prefix both --input x.npy",
            "no tensor both.codebook, found coarse.codebook, fine.codebook",
        ),
        (
            "encode --model . --input x.npy",
            "config.json: No such file",
        ),
        (
            "encode --model reference.pt --input nowhere.npy",
            "nowhere.npy: No such file",
        ),
        (
            "encode --model reference.pt --input text.npy",
            "text.npy: it begins with [6e, 6f, 74, 20, 61, 6e, 20, 61, 72], expected a .npy file, safetensors or .fvecs with vectors of 24",
        ),
        (
            "encode --model reference.pt --input cut.npy",
            "cut.npy: not a file of NumPy's: it ends within its header",
        ),
        (
            "encode --model reference.pt --input deep.npy",
            "deep.npy: not a file of NumPy's: brackets more than 4 deep in its header",
        ),
        (
            "encode --model reference.pt --input flipped.npy",
            "flipped.npy: not a file of NumPy's: ",
        ),
        (
            "encode --model model.mpk --input x.npy",
            "model.mpk: no tensor codebook, found none",
        ),
        (
            "encode --model record.mpk --prefix a --input x.npy",
            "record.mpk: no tensor a.codebook, found codebook",
        ),
        (
            "encode --model reference.pt --input short.npy",
            "1855 bytes, expected 1856 by its header",
        ),
        (
            "encode --model reference.pt --input huge.npy",
            "9223372036854775807 rows of 24, expected fewer than can be addressed",
        ),
        (
            "encode --model reference.pt --input wide.npy",
            "an array of shape [2, 25], expected [n, 24]",
        ),
        (
            "encode --model reference.pt --input flat.npy",
            "an array of shape [24], expected [n, 24]",
        ),
        (
            "encode --model reference.pt --input whole.npy",
            "elements of type <i4, expected float32, float16 or float64",
        ),
        (
            "encode --model other.safetensors --input x.npy",
            "expected [n, 3]",
        ),
        (
            "decode --model reference.pt --input x.npy",
            "elements of type <f4, expected uint8",
        ),
        (
            "decode --model reference.pt --input tail.npy",
            "tail.npy: row 0: the last byte of a packed row of 33 bits",
        ),
        (
            "encode --model reference.pt --input x.npy --output nowhere/out.npy",
            "nowhere/out.npy: no folder nowhere",
        ),
        (
            "encode --model reference.pt --input x.npy --output folder",
            "folder: not a regular file, expected one or none",
        ),
        ("eval --model nowhere", "nowhere/config.json: No such file"),
    ] {
        let arguments = match arguments.contains("--output") || arguments.starts_with("eval") {
            true => arguments.to_string(),
            false => format!("{arguments} --output out.npy"),
        };
        let error = place.fail(1, &arguments);
        assert!(error.contains(wanted), "{arguments}: {error}");
        assert_eq!(place.names(), before, "{arguments} wrote something");
    }
    let error = place.fail(
        2,
        "encode --model folder --prefix a --input x.npy --output out.npy",
    );
    assert!(
        error.contains("--prefix a: folder is the folder of a run, expected a .safetensors"),
        "{error}"
    );
    for (option, output) in [("--model", "record.mpk"), ("--input", "./x.npy")] {
        let call = format!("encode --model record.mpk --input x.npy --output {output}");
        let error = place.fail(2, &call);
        assert!(
            error.contains(&format!("the same file as {option}")),
            "{error}"
        );
    }
    for name in ["config.json", "model.mpk"] {
        fs::write(place.path("folder").join(name), "of a run").unwrap();
        for call in ["encode", "decode"] {
            let call = format!("{call} --model folder --input x.npy --output folder/{name}");
            let error = place.fail(2, &call);
            assert!(error.contains("the same file as --model"), "{error}");
        }
    }
    let error = place.fail(2, "encode --model record.mpk");
    assert!(error.contains("--input"), "{error}");
    assert_eq!(n, 18);
}

#[test]
fn a_run_whose_files_do_not_match_is_refused() {
    let place = Place::new();
    place.write_data("data", 12, 8, 8);
    place.succeed("train --data data --epochs 1 --out run");
    let config = fs::read_to_string(place.path("run/config.json")).unwrap();
    let model = fs::read(place.path("run/model.mpk")).unwrap();
    for (from, to, wanted) in [
        (
            "\"num_bits\": 8",
            "\"num_bits\": 9",
            "model.mpk: quantizer.codebook has shape [16, 16] in the record, expected [18, 16]",
        ),
        (
            "\"height\": 8",
            "\"height\": 12",
            "model.mpk: encoder.position has shape [4, 128] in the record, expected [6, 128]",
        ),
        (
            "\"height\": 8",
            "\"height\": 9",
            "config.json: images of 9 x 8 pixels, expected multiples of 4 up to 128",
        ),
        (
            "\"height\": 8",
            "\"height\": 8000000",
            "config.json: images of 8000000 x 8 pixels",
        ),
        (
            "\"num_bits\": 8",
            "\"num_bits\": 800000000000",
            "config.json: num_bits is 800000000000, expected at most 4096",
        ),
        (
            "\"num_bits\": 8",
            "\"num_bits\": true",
            "config.json: not the configuration of a run: ",
        ),
    ] {
        assert_eq!(config.matches(from).count(), 1, "{from}: {config}");
        fs::write(place.path("run/config.json"), config.replace(from, to)).unwrap();
        for command in [
            "eval --model run",
            "encode --model run --input x.npy --output c.npy",
        ] {
            let error = place.fail(1, command);
            assert!(error.contains(wanted), "{error}");
        }
    }
    fs::write(place.path("run/config.json"), config).unwrap();
    fs::write(place.path("run/model.mpk"), &model[..model.len() - 7]).unwrap();
    let error = place.fail(1, "eval --model run");
    assert!(error.contains("run/model.mpk: not a record: "), "{error}");
}

#[test]
fn numbers_of_a_model_that_are_not_finite_are_refused_by_name() {
    let (place, _) = place();
    place.write_data("data", 12, 8, 8);
    place.succeed("train --data data --epochs 1 --out run");
    // The numbers of a parameter follow its key `bytes`. Eight bytes of ones hold a NaN, whatever the alignment.
    let spoilt = |record: &str, parameter: &str| {
        let mut bytes = fs::read(place.path(record)).unwrap();
        let find = |from: usize, text: &str| {
            let mut windows = bytes[from..].windows(text.len());
            let at = windows.position(|window| window == text.as_bytes());
            from + at.unwrap() + text.len()
        };
        let at = find(find(0, parameter), "bytes") + 8;
        bytes[at..at + 8].fill(0xff);
        bytes
    };
    fs::write(place.path("bad.mpk"), spoilt("record.mpk", "codebook")).unwrap();
    let error = place.fail(1, "encode --model bad.mpk --input x.npy --output c.npy");
    assert!(
        error.contains("codebook has a value of NaN, expected finite numbers"),
        "{error}"
    );
    for parameter in ["codebook", "center"] {
        let whole = fs::read(place.path("run/model.mpk")).unwrap();
        fs::write(
            place.path("run/model.mpk"),
            spoilt("run/model.mpk", parameter),
        )
        .unwrap();
        for call in [
            "eval --model run --data data",
            "encode --model run --input x.npy --output c.npy",
        ] {
            let error = place.fail(1, call);
            assert!(
                error.contains("has the value NaN in the record, expected finite numbers"),
                "{error}"
            );
            assert!(error.contains(parameter), "{error}");
        }
        fs::write(place.path("run/model.mpk"), whole).unwrap();
    }
}

/// A link is kept, and the file that it points to is written. A file that is not a regular file is
/// not replaced.
#[cfg(unix)]
#[test]
fn outputs_go_where_links_point_and_nowhere_else() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    use std::os::unix::net::UnixListener;
    let (place, _) = place();
    let encode = "encode --model reference.pt --input x.npy --output";
    place.succeed(&format!("{encode} codes.npy"));
    let codes = fs::read(place.path("codes.npy")).unwrap();
    fs::write(place.path("target.npy"), "old").unwrap();
    symlink("target.npy", place.path("link.npy")).unwrap();
    place.succeed(&format!("{encode} link.npy"));
    assert_eq!(fs::read(place.path("target.npy")).unwrap(), codes);
    assert!(
        fs::symlink_metadata(place.path("link.npy"))
            .unwrap()
            .is_symlink()
    );

    let _listener = UnixListener::bind(place.path("socket")).unwrap();
    let error = place.fail(1, &format!("{encode} socket"));
    assert!(error.contains("socket: No such device"), "{error}");
    let kind = fs::metadata(place.path("socket")).unwrap().file_type();
    assert!(kind.is_socket());
}
