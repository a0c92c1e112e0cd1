//! Errors, and how the program ends with them.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use bitcodes_core::CodesError;
use bitcodes_train::{
    LoadError, RunError, TrainConfigError, TrainError, Unwritten, data::DataError,
};

use crate::model::ModelError;
use crate::npy::NpyError;

/// Why the program ends without success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// An argument has a value that no training can have.
    #[error(transparent)]
    Config(#[from] TrainConfigError),
    /// The backend is one that this program was built without.
    #[error(
        "the backend {found} is not compiled in, expected one of: {available} \
         (build with `--features {found}` to have it)"
    )]
    NotCompiledIn {
        /// The backend that was asked for.
        found: &'static str,
        /// Those that are there.
        available: String,
    },
    /// The backend has no device to run on.
    #[cfg(feature = "wgpu")]
    #[error("the backend wgpu has no device here: {0}")]
    Adapter(#[from] bitcodes_core::backend::wgpu::AdapterError),
    /// An adapter for a backend that computes on none.
    #[error("--adapter {adapter}: the backend is {backend}, expected wgpu")]
    NoAdapters {
        /// The adapter that was asked for.
        adapter: String,
        /// The backend that was asked for.
        backend: &'static str,
    },
    /// The images cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Images of another size than the model's.
    #[error(
        "test images of {found:?} pixels (height, width), expected {wanted:?} as the model has"
    )]
    ImageSize {
        /// Height and width of the images.
        found: (usize, usize),
        /// Height and width of the model's.
        wanted: (usize, usize),
    },
    /// The quantizer cannot be loaded.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The autoencoder cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Vectors or codes cannot be read.
    #[error(transparent)]
    Npy(#[from] NpyError),
    /// Codes that are none.
    #[error("{}: {source}", path.display())]
    Codes {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        source: CodesError,
    },
    /// The output is a file that is read.
    #[error("{name} {}: the same file as {option}, expected another", path.display())]
    OutputIsInput {
        /// The option that names what is to be written.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// The option that names it too.
        option: &'static str,
    },
    /// The codes could not be read from the device.
    #[error(transparent)]
    Bits(#[from] CodesError),
    /// A file cannot be written.
    #[error(transparent)]
    Unwritten(#[from] Unwritten),
    /// The folder of the run cannot be had.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A run that is in the way.
    #[error("{0}; --overwrite replaces the run")]
    Taken(RunError),
    /// The training failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// Standard output cannot be written.
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

const FAILED: u8 = 1;
const WRONG_CALL: u8 = 2;

/// Prints an error and gives the exit code for it.
pub(crate) fn exit_for(error: &CliError) -> ExitCode {
    print(&format!("error: {error}"));
    ExitCode::from(match error {
        CliError::Config(_)
        | CliError::NotCompiledIn { .. }
        | CliError::NoAdapters { .. }
        | CliError::OutputIsInput { .. }
        | CliError::Model(ModelError::Prefix { .. }) => WRONG_CALL,
        _ => FAILED,
    })
}

/// Prints what clap has to say, an error in one line, and gives the exit code for it.
pub(crate) fn exit_for_arguments(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Help and version; where they cannot be written there is nowhere to say so.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(WRONG_CALL);
    }
    // What is wrong, and clap's tip where it has one; then come usage and a pointer to the help.
    let text = error.to_string();
    let said = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .filter(|line| !line.is_empty());
    print(&said.collect::<Vec<_>>().join(" "));
    ExitCode::from(WRONG_CALL)
}

fn print(line: &str) {
    // Where standard error cannot be written there is nowhere to say so.
    let _ = writeln!(io::stderr(), "{}", one_line(line));
}

/// What a message holds of a file or a name, in one line, and not more than can be read.
fn one_line(message: &str) -> String {
    const MAX: usize = 1000;
    let words = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut line = String::new();
    for character in words.chars() {
        match character.is_control() {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
        if line.len() > MAX {
            line.push_str(" ..");
            break;
        }
    }
    line
}
