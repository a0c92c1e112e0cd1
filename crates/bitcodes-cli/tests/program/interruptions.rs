//! Tests of trainings that are killed, stopped or fail, and go on.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bitcodes_train::load_model;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

use crate::codes::Cpu;
use crate::place::Place;

const SETTINGS: &str = "--epochs 6 --bits 5 --batch-size 7";

/// Starts a training that writes lines to a pipe.
fn start(place: &Place, arguments: &str) -> Child {
    let mut command = place.command(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Waits until the training has printed the lines of some epochs.
fn wait_for_epochs(training: &mut Child, epochs: usize) {
    let output = BufReader::new(training.stdout.as_mut().unwrap());
    let lines = output.lines().map(Result::unwrap);
    let seen = lines.filter(|line| line.starts_with("epoch ")).take(epochs);
    assert_eq!(seen.count(), epochs);
}

fn signal(training: &Child, name: &str) {
    let id = training.id().to_string();
    let status = Command::new("kill").args(["-s", name, &id]).status();
    assert!(status.unwrap().success());
}

/// Returns the files of a run that depend neither on the time that a training takes, nor on the ids of parameters.
fn results(run: &Path) -> Vec<(String, Vec<u8>)> {
    let names = [
        "config.json",
        "metrics.csv",
        "reconstructions.png",
        "test_reconstructions.npy",
        "curves.svg",
    ];
    let read =
        |name: &str| fs::read(run.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    names
        .into_iter()
        .map(|name| (name.to_string(), read(name)))
        .collect()
}

/// Collects the values of all parameters.
struct Values(Vec<f32>);

impl ModuleVisitor<Cpu> for Values {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<Cpu, D>>) {
        self.0.extend(parameter.val().into_data().iter::<f32>());
    }
}

fn weights(run: &Path) -> Vec<f32> {
    let mut values = Values(Vec::new());
    load_model::<Cpu>(run, &Default::default())
        .unwrap()
        .model
        .visit(&mut values);
    assert!(values.0.len() > 1000);
    values.0
}

fn assert_same(found: &Path, wanted: &Path) {
    assert!(
        weights(found) == weights(wanted),
        "the weights differ from those of an unbroken training"
    );
    for ((name, found), (_, wanted)) in results(found).into_iter().zip(results(wanted)) {
        assert!(
            found == wanted,
            "{name} differs from that of an unbroken training"
        );
    }
}

fn unfinished_files(folder: &Path) -> usize {
    let is_unfinished = |entry: &fs::DirEntry| {
        entry
            .file_name()
            .to_string_lossy()
            .starts_with(".unfinished-")
    };
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.filter(is_unfinished).count()
}

/// The moments of the kills are spread over the whole time of a training.
#[test]
fn a_training_that_is_killed_goes_on_to_the_results_of_an_unbroken_one() {
    let place = Place::new();
    place.write_data("data", 60, 8, 8);
    let train = format!("train --data data {SETTINGS} --out");
    let begin = std::time::Instant::now();
    place.succeed(&format!("{train} whole"));
    let whole_time = begin.elapsed();
    for kill in 0..5u32 {
        let run = format!("run{kill}");
        let mut training = start(&place, &format!("{train} {run}"));
        let mut kills = 1;
        loop {
            let part = whole_time * (2 * kill + 1) / 12;
            std::thread::sleep(part);
            let finished = training.try_wait().unwrap().is_some();
            training.kill().unwrap();
            training.wait().unwrap();
            if finished || kills == 3 {
                break;
            }
            // It may have been killed before there was a run.
            let resume = match place.path(&format!("{run}/config.json")).exists() {
                true => format!("train --resume {run}"),
                false => format!("{train} {run} --overwrite"),
            };
            training = start(&place, &resume);
            kills += 1;
        }
        let resume = match place.path(&format!("{run}/config.json")).exists() {
            true => format!("train --resume {run}"),
            false => format!("{train} {run} --overwrite"),
        };
        place.succeed(&resume);
        assert_same(&place.path(&run), &place.path("whole"));
    }
}

#[test]
fn a_signal_stops_after_a_step_and_the_run_can_be_used_and_continued() {
    let place = Place::new();
    place.write_data("data", 60, 8, 8);
    place.succeed(&format!("train --data data {SETTINGS} --out whole"));
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let settings = SETTINGS.replace("--epochs 6", "--epochs 100000");
        let mut training = start(&place, &format!("train --data data {settings} --out long"));
        wait_for_epochs(&mut training, 2);
        signal(&training, name);
        let output = training.wait_with_output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(error.starts_with("stopped after "), "{error}");
        assert!(
            error.contains(&format!("of 100000 epochs (SIG{name})")),
            "{error}"
        );
        assert!(
            error.contains("bitcodes train --resume long goes on"),
            "{error}"
        );
        assert_eq!(unfinished_files(&place.path("long")), 0);
        assert_eq!(unfinished_files(&place.path("long/checkpoint")), 0);
        let checkpoints = fs::read_dir(place.path("long/checkpoint")).unwrap().count();
        assert!((4..=7).contains(&checkpoints), "{checkpoints} files");

        let output = place.run("eval --model long --data data");
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("long: the training has not finished, this is its model after epoch "),
            "{said}"
        );
        fs::remove_dir_all(place.path("long")).unwrap();
    }
    // The whole run has nothing left to do, and says the same again.
    let again = place.succeed("train --resume whole");
    assert!(again.contains("trained         6 epochs"), "{again}");
}

#[test]
fn a_second_signal_ends_the_training_at_once() {
    let place = Place::new();
    let mut training = start(
        &place,
        "train --epochs 100000 --batch-size 1500 --bits 256 --out run",
    );
    // The first line shows that signals are handled.
    wait_for_epochs(&mut training, 1);
    signal(&training, "STOP");
    signal(&training, "INT");
    signal(&training, "TERM");
    signal(&training, "CONT");
    let output = training.wait_with_output().unwrap();
    let code = output.status.code().unwrap();
    assert!(code == 130 || code == 143, "{output:?}");
    // A stop after a step has the same code and another message.
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("stopped at once"), "{error}");
}

/// The limit is below the size of the optimizer's file, so the second epoch cannot be saved.
#[test]
fn a_disk_that_is_full_leaves_the_last_whole_epoch() {
    let place = Place::new();
    place.write_data("data", 60, 8, 8);
    place.succeed(&format!("train --data data {SETTINGS} --out whole"));
    let mut training = start(&place, &format!("train --data data {SETTINGS} --out run"));
    wait_for_epochs(&mut training, 1);
    training.kill().unwrap();
    training.wait().unwrap();
    let whole = fs::read_to_string(place.path("run/checkpoint/epoch.json")).unwrap_or_default();

    let program = env!("CARGO_BIN_EXE_bitcodes");
    let script = format!("trap '' XFSZ; ulimit -f 400; exec {program} train --resume run");
    let output = place.shell(&script);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("File too large"), "{error}");
    let still = fs::read_to_string(place.path("run/checkpoint/epoch.json")).unwrap_or_default();
    assert_eq!(still, whole);
    assert_eq!(unfinished_files(&place.path("run/checkpoint")), 0);
    place.succeed("train --resume run");
    assert_same(&place.path("run"), &place.path("whole"));
}

#[test]
fn one_training_at_a_time_writes_to_a_run() {
    let place = Place::new();
    place.write_data("data", 8, 8, 8);
    let mut training = start(&place, "train --data data --epochs 1000000 --out run");
    wait_for_epochs(&mut training, 1);
    for other in [
        "train --data data --epochs 1 --out run",
        "train --data data --epochs 1 --out run --overwrite",
        "train --resume run",
    ] {
        let error = place.fail(1, other);
        assert!(
            error.contains("run/run.json: another training writes to this run"),
            "{error}"
        );
    }
    training.kill().unwrap();
    training.wait().unwrap();
    place.succeed("train --data data --epochs 1 --out run --overwrite");
}

#[test]
fn what_cannot_be_continued_says_why() {
    let place = Place::new();
    place.write_data("data", 8, 8, 8);
    place.succeed("train --data data --epochs 2 --bits 4 --out run");
    let error = place.fail(1, "train --resume nowhere");
    assert!(
        error.contains("nowhere/run.json: not the run.json of a run: No such file"),
        "{error}"
    );
    place.fail(2, "train --resume run --epochs 3");
    let error = place.fail(2, "train --resume run --bits 3");
    assert!(error.contains("cannot be used with"), "{error}");

    let checkpoint = place.path("run/checkpoint/optim-2.mpk");
    let bytes = fs::read(&checkpoint).unwrap();
    fs::write(&checkpoint, &bytes[..bytes.len() / 2]).unwrap();
    let error = place.fail(1, "train --resume run");
    assert!(
        error.contains("the run cannot be continued: run/checkpoint/optim-2"),
        "{error}"
    );
    fs::write(&checkpoint, bytes).unwrap();

    fs::rename(place.path("data"), place.path("moved")).unwrap();
    let error = place.fail(1, "train --resume run");
    assert!(
        error.contains("data/train-images-idx3-ubyte: no such file"),
        "{error}"
    );
    place.succeed("train --resume run --data moved");

    fs::write(
        place.path("run/checkpoint/epoch.json"),
        r#"{"epoch":9,"seconds":1}"#,
    )
    .unwrap();
    let error = place.fail(1, "train --resume run --data moved");
    assert!(
        error.contains("epoch.json: not the configuration of a run: epoch 9, expected at most 2"),
        "{error}"
    );
    let config = fs::read_to_string(place.path("run/config.json")).unwrap();
    let wide = config.replace("\"features\": 16", "\"features\": 5000");
    assert_ne!(wide, config);
    fs::write(place.path("run/config.json"), wide).unwrap();
    let error = place.fail(1, "train --resume run --data moved");
    assert!(error.contains("the configuration of the run: "), "{error}");
    fs::write(place.path("run/config.json"), config).unwrap();

    place.write_data("data", 9, 8, 8);
    let error = place.fail(1, "train --resume run");
    assert!(
        error.contains("run: the images have changed: their hash is "),
        "{error}"
    );
}

#[test]
fn files_of_other_programs_are_never_removed() {
    let place = Place::new();
    place.write_data("data", 8, 8, 8);
    // An encoding writes to the folder of a run, and a training was killed before it wrote a line.
    fs::create_dir_all(place.path("run")).unwrap();
    for file in [
        "run/run.json",
        "run/.unfinished-codes.npy-abcdef",
        "run/.unfinished-model.mpk-abcdef",
    ] {
        fs::write(place.path(file), "").unwrap();
    }
    let error = place.fail(1, "train --resume run");
    assert!(
        error.contains("run/run.json: not the run.json of a run: it is empty"),
        "{error}"
    );
    place.succeed("train --data data --epochs 1 --out run");
    place.succeed("train --data data --epochs 1 --out run --overwrite");
    assert!(place.path("run/.unfinished-codes.npy-abcdef").exists());
    assert!(!place.path("run/.unfinished-model.mpk-abcdef").exists());

    for file in ["config.json", "model.mpk", "summary.json", "run.json"] {
        fs::create_dir_all(place.path("mine")).unwrap();
        fs::write(place.path("mine").join(file), "mine").unwrap();
        for overwrite in ["", "--overwrite"] {
            let error = place.fail(
                1,
                &format!("train --data data --epochs 1 --out mine {overwrite}"),
            );
            assert!(
                error.contains(&format!(
                    "mine/{file}: a file of this name is there, but no run"
                )),
                "{error}"
            );
            assert_eq!(fs::read(place.path("mine").join(file)).unwrap(), b"mine");
        }
        fs::remove_dir_all(place.path("mine")).unwrap();
    }
}
