//! Tests of where results are written: what is refused, what a failure leaves, and how signals end the program.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::streams::{ENCODE, npy_of_codes, place};

#[test]
fn outputs_are_checked_before_any_work() {
    let (place, _, _) = place(100);
    fs::write(place.path("broken.npy"), "broken").unwrap();
    let before = place.names();
    for (code, output, wanted) in [
        (1, "nowhere/c.npy", "nowhere/c.npy: no folder nowhere"),
        (1, "x.npy/c.npy", "x.npy/c.npy: "),
        (1, "folder/", "folder/: not the name of a file"),
        (
            2,
            "c.txt",
            "--output c.txt: the suffix is .txt, expected .npy or .safetensors",
        ),
        (
            2,
            "c.fvecs",
            "the suffix is .fvecs, expected .npy or .safetensors",
        ),
        (2, "broken.npy", "the same file as --input"),
    ] {
        let error = place.fail(
            code,
            &format!("{ENCODE} --input broken.npy --output {output}"),
        );
        assert!(error.contains(wanted), "{error}");
        assert_eq!(place.names(), before);
    }
    // Another name of the same file.
    fs::hard_link(place.path("x.npy"), place.path("hard.npy")).unwrap();
    let error = place.fail(2, &format!("{ENCODE} --input x.npy --output hard.npy"));
    assert!(error.contains("the same file as --input"), "{error}");

    place.write_data("data", 12, 8, 8);
    place.succeed("train --data data --epochs 1 --bits 5 --out run");
    let files = [
        "config.json",
        "model.mpk",
        "metrics.csv",
        "summary.json",
        "reconstructions.png",
    ];
    for file in files {
        let text = fs::read(place.path("run").join(file)).unwrap();
        for call in [
            format!("encode --model run --input x.npy --output run/{file}.npy/../{file}"),
            format!("eval --model run --data data --codes run/{file}"),
        ] {
            let call = call.replace(&format!("{file}.npy/../"), "");
            let output = place.run(&call);
            assert_eq!(output.status.code(), Some(2), "{call}: {output:?}");
        }
        assert_eq!(fs::read(place.path("run").join(file)).unwrap(), text);
    }
    let images = "data/t10k-images-idx3-ubyte";
    let error = place.fail(2, &format!("eval --model run --data data --codes {images}"));
    assert!(error.contains("the same file as --data"), "{error}");
}

/// Neither the check of the output nor its writing waits for the other end of a pipe that it does not need.
#[cfg(unix)]
#[test]
fn named_pipes_are_read_and_written() {
    let (place, _, codes) = place(70_000);
    fs::write(place.path("old.npy"), "old").unwrap();
    let program = env!("CARGO_BIN_EXE_bitcodes");
    let script = format!(
        "mkfifo in out; cat x.npy > in & cat out > got & \
         {program} {ENCODE} --input in --output old.npy && \
         {program} {ENCODE} --input x.npy --output out && wait"
    );
    let output = place.shell(&script);
    assert!(output.status.success(), "{output:?}");
    for name in ["old.npy", "got"] {
        assert!(
            fs::read(place.path(name)).unwrap() == npy_of_codes(&codes),
            "{name}"
        );
    }
    let script = format!("{program} {ENCODE} --input x.npy --output - >> x.npy");
    let output = place.shell(&script);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("--output -: the same file as --input"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn a_disk_that_is_full_leaves_the_old_file() {
    let (place, _, codes) = place(70_000);
    place.succeed(&format!("{ENCODE} --input x.npy --output codes.npy"));
    let error = place.fail(1, &format!("{ENCODE} --input x.npy --output /dev/full"));
    assert!(
        error.contains("/dev/full: No space left on device"),
        "{error}"
    );

    // The shell limits files to 64 KiB.
    let program = env!("CARGO_BIN_EXE_bitcodes");
    let script = format!(
        "trap '' XFSZ; ulimit -f 64; exec {program} {ENCODE} --input x.npy --output codes.npy"
    );
    let output = place.shell(&script);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.starts_with("error: codes.npy: File too large"),
        "{error}"
    );
    assert!(fs::read(place.path("codes.npy")).unwrap() == npy_of_codes(&codes));
    assert_eq!(place.names(), ["codes.npy", "model.safetensors", "x.npy"]);
}

#[cfg(unix)]
#[test]
fn signals_end_the_program_and_leave_no_file() {
    let (place, _, _) = place(70_000);
    let file = fs::read(place.path("x.npy")).unwrap();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut command = place.command(&format!("{ENCODE} --input - --output c.npy"));
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // The program waits for the rest.
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&file[..file.len() / 2]).unwrap();
        assert!(
            place
                .names()
                .iter()
                .any(|name| name.starts_with(".unfinished-"))
        );
        let id = child.id().to_string();
        let kill = std::process::Command::new("kill")
            .args(["-s", signal, &id])
            .status();
        assert!(kill.unwrap().success());
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(
            error.contains(&format!("stopped by SIG{signal}")),
            "{error}"
        );
        assert_eq!(place.names(), ["model.safetensors", "x.npy"]);
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_ends_the_program_in_silence() {
    let (place, _, _) = place(70_000);
    let program = env!("CARGO_BIN_EXE_bitcodes");
    let script = format!(
        "{program} {ENCODE} --input x.npy --output - | head -c 1 >/dev/null; exit ${{PIPESTATUS[0]}}"
    );
    let output = place.shell(&script);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*error), (Some(141), ""));
}
