//! The `bitcodes` program, as a library so that its parts can be tested.
//!
//! It ends with 0 where all went well, with 1 where something failed, and with 2 where it was
//! called wrongly; errors are one line on standard error.

mod backend;
mod error;
mod train;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Vector quantization with binary codes: train the toy VQ autoencoder.
#[derive(Debug, Parser)]
#[command(name = "bitcodes", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(train::TrainArgs),
}

/// Runs the program on the arguments of the process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return error::exit_for_arguments(&error),
    };
    let result = match cli.command {
        Command::Train(args) => train::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error::exit_for(&error),
    }
}
