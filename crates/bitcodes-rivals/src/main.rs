//! The program that trains quantizers in the same autoencoder and prints a table of the results.

use std::fs;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bitcodes_rivals::autoencoder::Architecture;
use bitcodes_rivals::contestants::{self, Contestant};
use bitcodes_rivals::outcomes::{Measured, Outcomes, Run};
use bitcodes_rivals::plot::plot;
use bitcodes_rivals::sets::Set;
use bitcodes_rivals::strokes;
use bitcodes_rivals::table::{leads, lines, table};
use bitcodes_rivals::train::{Split, train};
use bitcodes_rivals::tuning::{TUNING_SEED, are_alternatives, best, candidates};
use bitcodes_train::data::Images;
use burn::backend::{Autodiff, Flex};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Compare quantizers at equal bits
#[derive(Parser, Debug)]
struct Arguments {
    /// Autoencoders in which the quantizers are trained
    #[arg(long, num_args = 1.., default_value = "mixer")]
    arch: Vec<Architecture>,
    /// Train only the quantizers whose names begin with one of these
    #[arg(long, value_name = "NAME", num_args = 1..)]
    only: Vec<String>,
    /// Read the quantizers and their settings from this JSON file, in place of those that are built
    /// in; --settings prints such a file
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Print the quantizers and their settings as --from reads them, and train none
    #[arg(long)]
    settings: bool,
    /// Sets of images: digits (8x8 pixels, built in), strokes (8x8 pixels, drawn), or folders with MNIST's
    /// four files, of square images whose height is a multiple of 4 pixels, up to 128
    #[arg(long, value_name = "SET", num_args = 1.., default_value = "digits")]
    data: Vec<String>,
    /// Choose the settings of each rival for each set of images and each autoencoder: those of
    /// settings/rivals.json that do best on held-out images, in a training with a seed of its own. A rival that
    /// is not in that file keeps its settings
    #[arg(long, conflicts_with_all = ["from", "settings"])]
    tune: bool,
    /// Write a second set of 8x8 images, drawn strokes, to this folder, and train no quantizer
    #[arg(long, value_name = "FOLDER")]
    strokes: Option<PathBuf>,
    /// Number of trainings of each quantizer, each with another seed
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    seeds: u64,
    /// First seed
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    first_seed: u32,
    /// Passes over the training images
    #[arg(long, default_value_t = NonZeroUsize::new(60).expect("above 0"))]
    epochs: NonZeroUsize,
    /// Train on all training images and measure the test images, by which no setting may be chosen;
    /// without it a fifth of the training images is held out and measured
    #[arg(long)]
    test: bool,
    /// Number of trainings at the same time, each on one thread
    #[arg(long, default_value_t = NonZeroUsize::new(2).expect("above 0"))]
    jobs: NonZeroUsize,
    /// Add every outcome to this file, one JSON object per line, and skip trainings that it already
    /// has
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Plot PSNR against bits to this SVG file
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    if let Some(folder) = &arguments.strokes {
        return fs::create_dir_all(folder)
            .map_err(|error| format!("{}: {error}", folder.display()))
            .and_then(|()| strokes::write(folder).map_err(|error| error.to_string()));
    }
    if arguments.settings {
        let chosen = chosen(arguments, arguments.arch[0])?;
        let settings = serde_json::to_string_pretty(&chosen).expect("the value serializes to JSON");
        println!("{settings}");
        return Ok(());
    }
    let sets: Vec<Set> = arguments
        .data
        .iter()
        .map(|name| Set::named(name))
        .collect::<Result<_, _>>()?;
    let comparisons = || {
        let with = |set| arguments.arch.iter().map(move |&arch| (set, arch));
        sets.iter().flat_map(with)
    };
    for (_, architecture) in comparisons() {
        let chosen = chosen(arguments, architecture)?;
        if let Some(path) = &arguments.plot {
            check_plot(path, &chosen, comparisons().count())?;
        }
    }
    let mut outcomes = match &arguments.out {
        Some(path) => Outcomes::open(path).map_err(|error| error.to_string())?,
        None => Outcomes::default(),
    };
    for (set, architecture) in comparisons() {
        let title = format!("{} in {architecture}", set.name);
        eprintln!("{title}");
        let runs;
        (runs, outcomes) = compare(arguments, set, architecture, outcomes)?;
        let lines = lines(runs.iter().filter_map(|run| outcomes.of(run)));
        println!("{title}\n{}{}", table(&lines), leads(&lines));
        if let Some(path) = &arguments.plot {
            let picture = plot(&lines, &title).ok_or("every training diverged: no plot")?;
            bitcodes_train::write_file(path, picture.as_bytes())
                .map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Trains the quantizers in one autoencoder with one set of images, and returns their runs.
fn compare(
    arguments: &Arguments,
    set: &Set,
    architecture: Architecture,
    mut outcomes: Outcomes,
) -> Result<(Vec<Run>, Outcomes), String> {
    let identity = format!("{} {:016x}", set.name, set.images.hash());
    let runs = |contestants: &[Contestant], measured, seeds: Range<u64>| -> Vec<Run> {
        let of_seeds = |contestant: &Contestant| {
            let run = Run {
                contestant: contestant.clone(),
                architecture,
                images: identity.clone(),
                measured,
                epochs: arguments.epochs.get(),
                seed: 0,
            };
            let with = move |seed| Run {
                seed,
                ..run.clone()
            };
            seeds.clone().map(with)
        };
        contestants.iter().flat_map(of_seeds).collect()
    };
    let jobs = arguments.jobs.get();
    let mut contestants = chosen(arguments, architecture)?;
    if arguments.tune {
        let candidates = wanted(arguments, candidates());
        let seed = TUNING_SEED..TUNING_SEED + 1;
        let tried = runs(&candidates, Measured::HeldOut, seed);
        outcomes = train_all(&tried, &set.images, outcomes, jobs)?;
        let tuned = best(tried.iter().filter_map(|run| outcomes.of(run)));
        contestants.retain(|one| !tuned.iter().any(|tuned| are_alternatives(tuned, one)));
        contestants.extend(tuned);
    }
    let measured = match arguments.test {
        true => Measured::Test,
        false => Measured::HeldOut,
    };
    let first = u64::from(arguments.first_seed);
    let runs = runs(&contestants, measured, first..first + arguments.seeds);
    let outcomes = train_all(&runs, &set.images, outcomes, jobs)?;
    Ok((runs, outcomes))
}

/// Returns the quantizers that the arguments name.
fn chosen(arguments: &Arguments, architecture: Architecture) -> Result<Vec<Contestant>, String> {
    let all = match &arguments.from {
        Some(path) => {
            let of_file = |error: String| format!("{}: {error}", path.display());
            let text = fs::read_to_string(path).map_err(|error| of_file(error.to_string()))?;
            contestants::read(&text).map_err(of_file)?
        }
        None => contestants::contestants(architecture),
    };
    let names: Vec<String> = all.iter().map(|one| one.name.clone()).collect();
    let chosen = wanted(arguments, all);
    match chosen.is_empty() {
        true => Err(format!(
            "no quantizer is called {:?}, expected the beginning of one of {names:?}",
            arguments.only
        )),
        false => Ok(chosen),
    }
}

/// Leaves those quantizers that `--only` names.
fn wanted(arguments: &Arguments, mut all: Vec<Contestant>) -> Vec<Contestant> {
    all.retain(|contestant| {
        let begins = |name: &String| contestant.name.starts_with(name.as_str());
        arguments.only.is_empty() || arguments.only.iter().any(begins)
    });
    all
}

/// Checks that a plot can be drawn and written, before hours of training.
fn check_plot(path: &Path, chosen: &[Contestant], comparisons: usize) -> Result<(), String> {
    if comparisons > 1 {
        return Err("a plot is of one set of images in one autoencoder".into());
    }
    let quantizes = |one: &Contestant| one.settings.bits_per_token().is_some();
    if !chosen.iter().any(quantizes) {
        return Err("a plot needs a quantizer other than none".into());
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    match path.is_dir() || !folder.is_dir() {
        true => Err(format!("{}: no place for a file", path.display())),
        false => Ok(()),
    }
}

/// Trains the runs that have no outcome yet, `jobs` of them at the same time.
fn train_all(
    runs: &[Run],
    images: &Images,
    outcomes: Outcomes,
    jobs: usize,
) -> Result<Outcomes, String> {
    let todo: Vec<&Run> = runs
        .iter()
        .filter(|run| outcomes.of(run).is_none())
        .collect();
    let outcomes = Mutex::new(outcomes);
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(&run) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
            let split = Split::of(images, run.measured);
            let outcome = train::<Autodiff<Flex>>(run, &split, &Default::default());
            eprintln!(
                "{} seed {}: {:.2} dB in {:.0} s",
                run.contestant.name, run.seed, outcome.psnr_db, outcome.seconds
            );
            let mut outcomes = outcomes.lock().map_err(|_| "another training panicked")?;
            outcomes.add(outcome).map_err(|error| {
                // No other thread may begin a training after this error.
                next.store(todo.len(), Ordering::Relaxed);
                error.to_string()
            })?;
        }
        Ok::<(), String>(())
    };
    // These are not rayon's threads, which could deadlock: a thread that waits for the backend's
    // random generator would take up another training, which waits for the same generator.
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        let mut joined = workers.into_iter().map(|worker| worker.join());
        joined.try_for_each(|done| done.unwrap_or_else(|panic| resume_unwind(panic)))
    })?;
    Ok(outcomes
        .into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner()))
}
