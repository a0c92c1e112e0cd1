//! Tests of `bitcodes train`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use bitcodes_train::bitcodes_core::BitcodesConfig;
use bitcodes_train::data::Images;
use bitcodes_train::{
    Autoencoder, AutoencoderConfig, Reconstructions, RunConfig, WholeFileRecorder,
};
use burn::config::Config;
use burn::module::Module;
use burn::record::Recorder;

use crate::place::Place;

type Cpu = burn::backend::Flex;

fn summary(run: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(run.join("summary.json")).unwrap()).unwrap()
}

/// Reads the shape and the values of a NumPy file.
fn read_npy(path: &Path) -> (Vec<u64>, Vec<f32>) {
    let bytes = fs::read(path).unwrap();
    let file = npyz::NpyFile::new(&bytes[..]).unwrap();
    (file.shape().to_vec(), file.into_vec().unwrap())
}

#[test]
fn a_training_writes_the_files_and_figures_that_it_prints() {
    let place = Place::new();
    let output = place.succeed("train --epochs 2 --seed 3 --out run");
    let epochs: Vec<&str> = output.lines().filter(|l| l.starts_with("epoch ")).collect();
    assert_eq!(epochs.len(), 2, "{output}");
    assert!(epochs[1].starts_with("epoch 2/2 "), "{output}");

    let run = place.path("run");
    let summary = summary(&run);
    assert_eq!(summary["bits_per_image"], 32);
    assert_eq!(summary["seed"], 3);
    assert_eq!(summary["epochs"], 2);
    assert!(summary["seconds"].as_f64().unwrap() > 0.0);
    let psnr = summary["test_psnr_db"].as_f64().unwrap();
    assert!(output.contains(&format!("{psnr:.2} dB")), "{output}");
    // The mean image has 11.3 dB, and two epochs are better than that.
    assert!((11.4..25.0).contains(&psnr), "{psnr}");
    assert!((1..=256).contains(&summary["codes_used"].as_u64().unwrap()));

    let (shape, pixels) = read_npy(&run.join("test_reconstructions.npy"));
    assert_eq!(shape, [297, 8, 8]);
    assert!(pixels.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
    let images = Images::digits();
    let test = images.test();
    let originals = (0..test.len()).flat_map(|image| test.pixels(image));
    let squares = pixels
        .iter()
        .zip(originals)
        .map(|(y, x)| f64::from(y - x).powi(2));
    let mse = squares.sum::<f64>() / pixels.len() as f64;
    assert!((psnr - 10.0 * (1.0 / mse).log10()).abs() < 1e-9);

    let metrics = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let lines: Vec<&str> = metrics.lines().collect();
    assert_eq!(lines[0], "epoch,split,mse,psnr_db");
    let starts = ["1,train,", "1,test,", "2,train,", "2,test,"];
    assert_eq!(lines.len(), 1 + starts.len(), "{metrics}");
    for (line, start) in lines[1..].iter().zip(starts) {
        assert!(line.starts_with(start), "{metrics}");
    }
    let last: f64 = lines[4].rsplit(',').next().unwrap().parse().unwrap();
    // The bound is n half units in the last place, in dB, of an f32 sum over 256 images of 64
    // pixels.
    let rounding = 256.0 * 64.0 * f64::from(f32::EPSILON) / 2.0 * 10.0 / 10f64.ln();
    assert!(
        (last - psnr).abs() < rounding,
        "{last} in the last epoch, {psnr} in the end"
    );

    let config: serde_json::Value =
        serde_json::from_slice(&fs::read(run.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["training"]["epochs"], 2);
    assert_eq!(config["model"]["quantizer"]["num_bits"], 8);
    let picture = BufReader::new(fs::File::open(run.join("reconstructions.png")).unwrap());
    let mut picture = png::Decoder::new(picture).read_info().unwrap();
    let mut grey = vec![0; picture.output_buffer_size().unwrap()];
    let size = picture.next_frame(&mut grey).unwrap();
    assert_eq!((size.width, size.height), (20 * 68 + 4, 2 * 68 + 4));
    for name in [
        "model.mpk",
        "run.json",
        "curves.svg",
        "checkpoint/epoch.json",
        "checkpoint/model-2.mpk",
        "checkpoint/optim-2.mpk",
    ] {
        assert!(run.join(name).is_file(), "{name}");
    }
    assert!(
        !run.join("checkpoint/model-1.mpk").exists(),
        "only the last is kept"
    );
}

#[test]
fn a_seed_repeats_a_run() {
    let place = Place::new();
    place.write_data("data", 40, 8, 8);
    let metrics = |seed: u64| {
        let arguments = "train --data data --epochs 2 --batch-size 40 --overwrite --out run";
        place.succeed(&format!("{arguments} --seed {seed}"));
        fs::read_to_string(place.path("run/metrics.csv")).unwrap()
    };
    let first = metrics(1);
    assert_eq!(first, metrics(1));
    assert_ne!(first, metrics(2));
}

#[test]
fn every_backend_trains_or_says_why_not() {
    for (backend, compiled_in) in [
        ("flex", cfg!(feature = "flex")),
        ("ndarray", cfg!(feature = "ndarray")),
        ("wgpu", cfg!(feature = "wgpu")),
        ("cuda", cfg!(feature = "cuda")),
    ] {
        let place = Place::new();
        // The images have another size than the digits and are not square.
        place.write_data("data", 24, 12, 8);
        let arguments = format!("train --data data --epochs 1 --out run --backend {backend}");
        let required = std::env::var("BITCODES_REQUIRE_WGPU").is_ok_and(|value| value == "1");
        if !compiled_in {
            assert!(backend != "wgpu" || !required, "wgpu is not compiled in");
            let error = place.fail(2, &arguments);
            assert!(
                error.contains(&format!("backend {backend} is not compiled in")),
                "{error}"
            );
            assert_eq!(place.names(), ["data"]);
            continue;
        }
        let output = place.run(&arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        if output.status.code() == Some(1) && error.contains("has no device here") {
            assert!(!required, "{error}");
            writeln!(std::io::stderr(), "skipped: no adapter for {backend}").unwrap();
            continue;
        }
        assert!(output.status.success(), "{backend}: {error}");
        let summary = summary(&place.path("run"));
        assert_eq!(summary["backend"], backend);
        assert_eq!(summary["bits_per_image"], 3 * 2 * 8);
        let (shape, _) = read_npy(&place.path("run/test_reconstructions.npy"));
        assert_eq!(shape, [24, 12, 8]);
    }
}

#[test]
fn runs_are_numbered_and_a_model_is_not_overwritten_unasked() {
    let place = Place::new();
    place.write_data("data", 8, 8, 8);
    let train = "train --data data --epochs 1";
    place.succeed(train);
    place.succeed(train);
    assert!(place.path("runs/1/model.mpk").is_file());
    assert!(place.path("runs/2/model.mpk").is_file());

    let before = fs::read(place.path("runs/1/model.mpk")).unwrap();
    let other = format!("{train} --seed 9 --out runs/1");
    let error = place.fail(1, &other);
    assert!(error.contains("runs/1: a run is there already"), "{error}");
    assert!(error.contains("--overwrite"), "{error}");
    assert_eq!(fs::read(place.path("runs/1/model.mpk")).unwrap(), before);

    // Files that are not of a run stay.
    fs::write(place.path("runs/1/checkpoint/notes"), "mine").unwrap();
    place.succeed(&format!("{other} --overwrite"));
    assert!(place.path("runs/1/checkpoint/notes").is_file());
    assert_ne!(fs::read(place.path("runs/1/model.mpk")).unwrap(), before);
    assert_eq!(summary(&place.path("runs/1"))["seed"], 9);

    fs::write(place.path("file"), "").unwrap();
    let error = place.fail(1, &format!("{train} --out file"));
    assert!(error.contains("file"), "{error}");
}

/// Loads the model of the folder of a run.
fn load(run: &Path) -> Autoencoder<Cpu> {
    let config: RunConfig = Config::load(run.join("config.json")).unwrap();
    load_weights(&config.model, &run.join("model.mpk"))
}

fn load_weights(model: &AutoencoderConfig, path: &Path) -> Autoencoder<Cpu> {
    let recorder = WholeFileRecorder::default();
    let record = Recorder::<Cpu>::load(&recorder, path.to_path_buf(), &Default::default());
    let record = record.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    model.init(&Default::default()).load_record(record)
}

#[test]
fn the_model_and_its_configuration_give_the_reconstructions_again() {
    let place = Place::new();
    place.write_data("data", 30, 8, 12);
    place.succeed("train --data data --epochs 1 --bits 5 --out run");
    let run = place.path("run");
    let images = Images::from_folder(&place.path("data")).unwrap();
    let again = Reconstructions::of(&load(&run), images.test(), &Default::default()).unwrap();
    assert_eq!(
        fs::read(run.join("test_reconstructions.npy")).unwrap(),
        again.to_npy().unwrap()
    );
}

#[test]
fn a_killed_training_leaves_no_model_and_only_whole_checkpoints() {
    let place = Place::new();
    place.write_data("data", 8, 8, 8);
    let mut training = place
        .command("train --data data --epochs 1000000 --out run")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(training.stdout.take().unwrap()).lines();
    assert_eq!(lines.map_while(Result::ok).take(5).count(), 5);
    training.kill().unwrap();
    training.wait().unwrap();

    assert!(!place.path("run/model.mpk").exists());
    assert!(!place.path("run/summary.json").exists());
    let model = AutoencoderConfig::new(8, 8, BitcodesConfig::new(16, 8));
    let mut checkpoints = 0;
    for entry in fs::read_dir(place.path("run/checkpoint")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("model-") {
            load_weights(&model, &path);
            checkpoints += 1;
        }
    }
    assert!(checkpoints > 0, "five epochs leave a checkpoint");

    // The checkpoint of the killed training is not deleted without --overwrite.
    let again = "train --data data --epochs 1 --out run";
    let error = place.fail(1, again);
    assert!(error.contains("--overwrite replaces it"), "{error}");
    place.succeed(&format!("{again} --overwrite"));
    assert!(place.path("run/model.mpk").is_file());
}

#[test]
fn help_names_every_option_and_a_closed_pipe_is_no_panic() {
    let place = Place::new();
    assert!(place.succeed("--help").contains("train"));
    let help = place.succeed("train --help");
    for option in [
        "--epochs",
        "--bits",
        "--temperature",
        "--batch-size",
        "--learning-rate",
    ] {
        assert!(help.contains(option), "{help}");
    }
    for option in [
        "--seed",
        "--data",
        "--out",
        "--overwrite",
        "--backend",
        "--plain",
    ] {
        assert!(help.contains(option), "{help}");
    }

    place.write_data("data", 8, 8, 8);
    let mut training = place
        .command("train --data data --epochs 1000000 --out run")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(training.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    drop(output);
    let output = training.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.starts_with("error: standard output: "), "{error}");
}
