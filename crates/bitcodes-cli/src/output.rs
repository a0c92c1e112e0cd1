//! The place that a result is written to, checked before any work.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bitcodes_train::{Unwritten, WholeFile};

/// Error of a place that cannot be written to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    /// The output is one of the files to read.
    #[error("{name} {}: the same file as {option}, expected another", path.display())]
    SameAsInput {
        /// The option that names the output.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// The option that names the same file as an input.
        option: &'static str,
    },
    /// The place cannot be written to.
    #[error(transparent)]
    Unwritten(#[from] Unwritten),
}

/// A file that is read, with the option that names it.
pub(crate) type Input = (&'static str, PathBuf);

/// A place that is ready to be written to.
#[derive(Debug)]
pub(crate) enum Output {
    /// A file, which gets its name when it is whole.
    File(WholeFile),
    /// A pipe or a device.
    Pipe(File),
    Stdout(io::Stdout),
}

/// Returns a function that adds the path to an error.
pub(crate) fn unwritten(path: &Path) -> impl FnOnce(io::Error) -> Unwritten {
    Unwritten::to(match is_stdout(path) {
        true => Path::new(STDOUT),
        false => path,
    })
}

/// The name of standard output in errors.
pub(crate) const STDOUT: &str = "standard output";

/// Returns whether a path stands for standard output.
pub(crate) fn is_stdout(path: &Path) -> bool {
    const NAMES: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
    NAMES.into_iter().any(|name| path == Path::new(name))
}

/// Returns whether two paths are of one file. A pipe is not opened for it, as that would wait for its other end.
fn is_same_file(a: &Path, b: &Path) -> bool {
    let is_file = |path: &Path| fs::metadata(path).is_ok_and(|there| there.is_file());
    is_file(a) && is_file(b) && same_file::is_same_file(a, b).unwrap_or(false)
}

/// Returns whether standard output has been directed to a file that is read.
fn is_read_by_stdout(input: &Path) -> bool {
    let is_file = fs::metadata(input).is_ok_and(|there| there.is_file());
    let same = |stdout| Ok::<_, io::Error>(stdout == same_file::Handle::from_path(input)?);
    is_file && same_file::Handle::stdout().and_then(same).unwrap_or(false)
}

impl Output {
    /// Opens the place; the path `-` is standard output. `name` is the option that names the path.
    ///
    /// # Errors
    ///
    /// Returns [`OutputError::SameAsInput`] if the file is one of `inputs`, whatever the two are called, and
    /// [`OutputError::Unwritten`] if it cannot be written.
    pub fn open(path: &Path, name: &'static str, inputs: &[Input]) -> Result<Self, OutputError> {
        let stdout = is_stdout(path);
        for (option, input) in inputs {
            let is_same = match stdout {
                true => is_read_by_stdout(input),
                false => is_same_file(path, input),
            };
            if is_same {
                return Err(OutputError::SameAsInput {
                    name,
                    path: path.to_path_buf(),
                    option,
                });
            }
        }
        if stdout {
            return Ok(Self::Stdout(io::stdout()));
        }
        if fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
            let file = OpenOptions::new().write(true).open(path);
            return Ok(Self::Pipe(file.map_err(Unwritten::to(path))?));
        }
        Ok(Self::File(WholeFile::create(path)?))
    }

    /// Gives a file its name. Everything is written before.
    pub fn finish(self) -> Result<(), Unwritten> {
        match self {
            Self::File(file) => file.finish(),
            Self::Pipe(_) => Ok(()),
            Self::Stdout(mut stdout) => stdout.flush().map_err(Unwritten::to(STDOUT)),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Pipe(pipe) => pipe.write(bytes),
            Self::Stdout(stdout) => stdout.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Pipe(pipe) => pipe.flush(),
            Self::Stdout(stdout) => stdout.flush(),
        }
    }
}
