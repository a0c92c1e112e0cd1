//! The program `bitcodes`, as a library, so that tests share the backends that are compiled for it.
//!
//! The exit code is 0 for success, 1 for a failure and 2 for a wrong call. An error is one line on
//! standard error.

mod backend;
mod codes;
mod error;
mod eval;
mod model;
mod npy;
mod train;

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

/// Describes how many of the possible codes are used, and by how many tokens.
fn codes_used(used: f64, exact: bool, num_bits: usize, tokens: usize) -> String {
    let codes = match num_bits {
        bits @ ..64 => (1u64 << bits).to_string(),
        bits => format!("2^{bits}"),
    };
    let about = if exact { "" } else { "about " };
    format!("{about}{used:.0} of {codes}, by {tokens} tokens of the test images")
}
