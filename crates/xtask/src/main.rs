//! `cargo xtask`: what is more than a cargo command.

mod build;
mod serve;
mod sizes;
mod toolchain;
mod web;

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

fn main() -> anyhow::Result<()> {
    match Cli::parse().task {
        Task::Web(args) => web::run(&args),
    }
}
