//! The program `bitcodes`, as a library, so that tests share the backends that are compiled for it.
//!
//! The exit code is 0 for success, 1 for a failure and 2 for a wrong call. An error is one line on
//! standard error.

mod backend;
mod decode;
mod encode;
mod engine;
mod error;
mod eval;
mod fingerprint;
mod finite;
mod inspect;
mod model;
mod output;
mod rows;
mod signals;
mod stream;
mod train;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Vector quantization with binary codes: encode vectors to bits, decode them, and train a toy VQ
/// autoencoder.
#[derive(Debug, Parser)]
#[command(name = "bitcodes", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(train::TrainArgs),
    Eval(eval::EvalArgs),
    Encode(encode::EncodeArgs),
    Decode(decode::DecodeArgs),
    Inspect(inspect::InspectArgs),
    /// List the GPUs that `--adapter` chooses from
    Adapters,
}

/// Runs the program on the arguments of the process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return error::exit_for_arguments(&error),
    };
    let result = match cli.command {
        Command::Train(args) => train::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Encode(args) => encode::run(&args),
        Command::Decode(args) => decode::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Adapters => backend::list_adapters(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error::exit_for(&error),
    }
}

/// Prints a line of the results: on standard error if standard output has a file.
fn report(stdout_is_taken: bool, line: std::fmt::Arguments) -> Result<(), error::CliError> {
    match stdout_is_taken {
        true => writeln!(io::stderr(), "{line}")?,
        false => writeln!(io::stdout(), "{line}")?,
    }
    Ok(())
}

/// Describes how many of the possible codes are used, and by how many tokens.
fn codes_used(used: f64, exact: bool, num_bits: usize, tokens: usize) -> String {
    let codes = match num_bits {
        bits @ ..64 => (1u64 << bits).to_string(),
        bits => format!("2^{bits}"),
    };
    let about = if exact { "" } else { "about " };
    format!("{about}{used:.0} of {codes}, by {tokens} tokens of the test images")
}
