//! `cargo xtask`: tasks of this repository that need more than a cargo command.

mod build;
mod serve;
mod sizes;
mod toolchain;
mod web;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Web(web::WebArgs),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Web(args) => web::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
