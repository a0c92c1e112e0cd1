//! The `bitcodes` program, as a library so that its parts can be tested.
//!
//! It ends with 0 where all went well, with 1 where something failed, and with 2 where it was
//! called wrongly; errors are one line on standard error.

mod backend;
mod codes;
mod error;
mod eval;
mod model;
mod npy;
mod train;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Vector quantization with binary codes: turn vectors into bits and back, train the toy VQ
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
    Encode(codes::EncodeArgs),
    Decode(codes::DecodeArgs),
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
        Command::Encode(args) => codes::encode(&args),
        Command::Decode(args) => codes::decode(&args),
        Command::Adapters => backend::list_adapters(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error::exit_for(&error),
    }
}

/// How many codes are used, of how many, by how many tokens.
fn codes_used(used: f64, exact: bool, num_bits: usize, tokens: usize) -> String {
    let codes = match num_bits {
        bits @ ..64 => (1u64 << bits).to_string(),
        bits => format!("2^{bits}"),
    };
    let about = if exact { "" } else { "about " };
    format!("{about}{used:.0} of {codes}, by {tokens} tokens of the test images")
}
