//! Trains every quantizer in the same autoencoder and prints what came of it.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bitcodes_core::{Assignment, Schedule};
use bitcodes_rivals::autoencoder::Architecture;
use bitcodes_rivals::contestants::{Contestant, Settings, contestants};
use bitcodes_rivals::table::table;
use bitcodes_rivals::train::{Outcome, Split, train};
use bitcodes_train::data::Images;
use burn::backend::{Autodiff, Flex};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Compare quantizers at equal bits
#[derive(Parser, Debug)]
struct Arguments {
    /// The autoencoder that they are in
    #[arg(long, default_value = "mixer")]
    arch: Architecture,
    /// Only these quantizers, by the beginning of their names
    #[arg(long, value_name = "NAME", num_args = 1..)]
    only: Vec<String>,
    /// Trainings of each, with the seeds 0 and up
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Passes over the images
    #[arg(long, default_value_t = NonZeroUsize::new(60).expect("above 0"))]
    epochs: NonZeroUsize,
    /// Train on all 1,500 images and measure the test images, which no choice may be made by;
    /// otherwise 300 of the former are held out and measured
    #[arg(long)]
    test: bool,
    /// Noise of Bitcodes in place of the default
    #[arg(long)]
    noise: Option<Schedule>,
    /// Commitment weight of Bitcodes in place of the default
    #[arg(long)]
    commitment: Option<f64>,
    /// Trainings at once, a thread each
    #[arg(long, default_value_t = NonZeroUsize::new(2).expect("above 0"))]
    jobs: NonZeroUsize,
    /// Write every outcome to this file, a JSON object a line
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Of the images to train on, those that choices are made by.
const HELD_OUT: usize = 300;

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
    let mut chosen: Vec<Contestant> = contestants()
        .into_iter()
        .filter(|contestant| {
            let wanted = |name: &String| contestant.name.starts_with(name.as_str());
            arguments.only.is_empty() || arguments.only.iter().any(wanted)
        })
        .collect();
    if chosen.is_empty() {
        let names: Vec<String> = contestants().into_iter().map(|one| one.name).collect();
        return Err(format!(
            "no quantizer is called {:?}, expected the beginning of one of {names:?}",
            arguments.only
        ));
    }
    for contestant in &mut chosen {
        if let Settings::Bitcodes(config) = &mut contestant.settings
            && config.assignment != Assignment::Independent
        {
            config.noise = arguments.noise.unwrap_or(config.noise);
            config.commitment_weight = arguments.commitment.unwrap_or(config.commitment_weight);
            config.validate().map_err(|error| error.to_string())?;
        }
    }
    let images = Images::digits();
    let (all, test) = (images.train().as_ref(), images.test().as_ref());
    let split = match arguments.test {
        true => Split {
            train: (all, 0..all.len()),
            measured: (test, 0..test.len()),
        },
        false => Split {
            train: (all, 0..all.len() - HELD_OUT),
            measured: (all, all.len() - HELD_OUT..all.len()),
        },
    };
    let runs: Vec<(&Contestant, u64)> = chosen
        .iter()
        .flat_map(|contestant| (0..arguments.seeds).map(move |seed| (contestant, seed)))
        .collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(&(contestant, seed)) = runs.get(index) else {
                return done;
            };
            let outcome = train::<Autodiff<Flex>>(
                contestant,
                arguments.arch,
                &split,
                arguments.epochs.get(),
                seed,
                &Default::default(),
            );
            eprintln!(
                "{} seed {seed}: {:.2} dB in {:.0} s",
                outcome.name, outcome.psnr_db, outcome.seconds
            );
            done.push((index, outcome));
        }
    };
    // Not rayon's threads: one that waits for the backend's generator would take another training
    // up, which waits for the same.
    let mut outcomes: Vec<(usize, Outcome)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..arguments.jobs.get())
            .map(|_| scope.spawn(work))
            .collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined
            .flat_map(|done| done.unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    outcomes.sort_by_key(|&(index, _)| index);
    let outcomes: Vec<Outcome> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    print!("{}", table(&outcomes));
    if let Some(path) = &arguments.out {
        let lines: Vec<String> = outcomes
            .iter()
            .map(|outcome| serde_json::to_string(outcome).expect("it has no maps"))
            .collect();
        bitcodes_train::write_file(path, (lines.join("\n") + "\n").as_bytes())
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}
