//! The errors of the program, their output and their exit codes.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use bitcodes_core::{CodesError, FormatError};
use bitcodes_matrix::MatrixError;
use bitcodes_train::{
    AutoencoderConfigError, LoadError, RunError, TrainConfigError, TrainError, Unwritten,
    data::{DataError, IdxError},
};

use crate::finite::BadElement;
use crate::model::ModelError;
use crate::output::{OutputError, STDOUT};
use crate::signals;

/// Error with which the program ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// An argument of the training is not valid.
    #[error(transparent)]
    Config(#[from] TrainConfigError),
    /// This program was built without the backend.
    #[error(
        "the backend {found} is not compiled in, expected one of: {available} \
         (build with `--features {found}` to have it)"
    )]
    NotCompiledIn {
        /// The backend that was asked for.
        found: &'static str,
        /// The backends that are compiled in.
        available: String,
    },
    /// A run was trained by a backend that this program does not know.
    #[error("the run was trained with the backend {0}, which this program does not know")]
    UnknownBackend(String),
    /// The backend has no device to run on.
    #[cfg(feature = "wgpu")]
    #[error("the backend wgpu has no device here: {0}")]
    Adapter(#[from] bitcodes_core::backend::wgpu::AdapterError),
    /// An adapter was named for a backend that has no adapters.
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
    /// The images have another size than the model's.
    #[error(
        "test images of {found:?} pixels (height, width), expected {wanted:?} as the model has"
    )]
    ImageSize {
        /// Height and width of the images.
        found: (usize, usize),
        /// Height and width of the model's images.
        wanted: (usize, usize),
    },
    /// The squared error is not a finite number.
    #[error("the squared error on the test images is {0}, expected a finite number")]
    SquaredError(f64),
    /// The quantizer cannot be loaded.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The autoencoder cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Vectors or codes cannot be read.
    #[error(transparent)]
    Matrix(#[from] MatrixError),
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file is none that this program knows.
    #[error("{}: {source}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: FormatError,
    },
    /// An IDX file cannot be read.
    #[error(transparent)]
    Idx(#[from] IdxError),
    /// Rows were asked for that the file does not have.
    #[error("{}: {found} rows, expected {wanted} for --rows", path.display())]
    Rows {
        /// The file.
        path: PathBuf,
        /// Number of rows in the file.
        found: usize,
        /// Number of rows asked for.
        wanted: usize,
    },
    /// An element cannot be encoded.
    #[error("{}: {}", path.display(), describe(first, *count, *limit))]
    Element {
        /// The file.
        path: PathBuf,
        /// The first element that cannot be encoded.
        first: BadElement,
        /// Number of such elements.
        count: usize,
        /// Largest magnitude of an element.
        limit: f32,
    },
    /// The suffix of an output is of no format.
    #[error("--output {}: the suffix is .{found}, expected {wanted}", path.display())]
    Suffix {
        /// The file.
        path: PathBuf,
        /// The suffix.
        found: String,
        /// The suffixes that are known.
        wanted: &'static str,
    },
    /// The codes are not of this quantizer.
    #[error("{}: codes whose {key} is {found}, expected {wanted} as the model has", path.display())]
    OtherCodes {
        /// The file.
        path: PathBuf,
        /// The key of the metadata.
        key: &'static str,
        /// The file's value.
        found: String,
        /// The model's value.
        wanted: String,
    },
    /// The file does not hold codes of the quantizer.
    #[error("{}: {source}", path.display())]
    Codes {
        /// The file.
        path: PathBuf,
        /// What is wrong with the codes.
        source: CodesError,
    },
    /// The output is one of the files to read, or cannot be written.
    #[error(transparent)]
    Place(#[from] OutputError),
    /// The codes could not be read from the device.
    #[error(transparent)]
    Bits(#[from] CodesError),
    /// A file cannot be written.
    #[error(transparent)]
    Unwritten(#[from] Unwritten),
    /// The folder cannot be used for a run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The folder already holds a run.
    #[error("{0}; --overwrite replaces it, and train --resume goes on with it")]
    Taken(RunError),
    /// The configuration of a run is not valid.
    #[error("the configuration of the run: {0}")]
    RunConfig(AutoencoderConfigError),
    /// The images are not those of the run that is to be continued.
    #[error(
        "{}: the images have changed: their hash is {found}, expected {wanted} as at the start",
        run.display()
    )]
    OtherImages {
        /// The folder of the run.
        run: PathBuf,
        /// The hash of the images.
        found: String,
        /// The hash of the run's images.
        wanted: String,
    },
    /// The training was stopped, and can be continued.
    #[error("{error}; bitcodes train --resume {} goes on", run.display())]
    Stopped {
        /// What stopped it.
        error: Box<CliError>,
        /// The folder of the run.
        run: PathBuf,
    },
    /// The training failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// Standard output cannot be written.
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

fn describe(first: &BadElement, count: usize, limit: f32) -> String {
    let BadElement { row, column, value } = first;
    let wanted = match value.is_finite() {
        true => format!("expected at most {limit:e} in magnitude, above which products overflow"),
        false => "expected a finite number; --nan zero takes it as 0".into(),
    };
    let more = match count {
        1 => String::new(),
        more => format!(" ({more} such elements in all)"),
    };
    format!("row {row}, column {column}, counted from 0: {value:e}{more}, {wanted}")
}

const FAILED: u8 = 1;
const WRONG_CALL: u8 = 2;

/// Returns the exit code of a training that a signal stopped.
fn stopped_by(error: &CliError) -> Option<u8> {
    match error {
        CliError::Stopped { error, .. } => stopped_by(error),
        CliError::Train(TrainError::Interrupted { reason, .. }) => signals::exit_code(reason),
        _ => None,
    }
}

/// The exit code of a program that SIGPIPE ends, as shells know it.
const PIPE_CLOSED: u8 = 128 + 13;

/// Returns whether the reader of standard output has gone, as `head -1` does when it has its line.
fn nobody_reads(error: &CliError) -> bool {
    let error = match error {
        CliError::Output(error) => error,
        CliError::Unwritten(Unwritten { what, source }) if what == STDOUT => source,
        _ => return false,
    };
    error.kind() == io::ErrorKind::BrokenPipe
}

/// Prints an error and returns its exit code.
pub(crate) fn exit_for(error: &CliError) -> ExitCode {
    if nobody_reads(error) {
        return ExitCode::from(PIPE_CLOSED);
    }
    if let Some(code) = stopped_by(error) {
        print(&error.to_string());
        return ExitCode::from(code);
    }
    print(&format!("error: {error}"));
    ExitCode::from(match error {
        CliError::Config(_)
        | CliError::NotCompiledIn { .. }
        | CliError::NoAdapters { .. }
        | CliError::Place(OutputError::SameAsInput { .. })
        | CliError::Suffix { .. }
        | CliError::Model(ModelError::Prefix { .. }) => WRONG_CALL,
        _ => FAILED,
    })
}

/// Prints clap's help, or its error in one line, and returns the exit code.
pub(crate) fn exit_for_arguments(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // This is help or the version. An error of printing it cannot be reported.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(WRONG_CALL);
    }
    // Clap's text begins with the error and a tip. Usage and a pointer to the help follow, which
    // are left out.
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
    // An error of writing to standard error cannot be reported.
    let _ = writeln!(io::stderr(), "{}", one_line(line));
}

/// Makes one line of a message, escapes control characters and cuts it to a readable length. A
/// message may quote a file or a name.
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
