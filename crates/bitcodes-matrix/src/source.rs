//! The bytes of a file or of a pipe.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// A file that can be read from any place, or a pipe that is read from its beginning to its end.
pub(crate) enum Source {
    File(File),
    Pipe(Box<dyn Read + Send>),
}

impl Source {
    /// Opens a file; `-` is standard input.
    pub fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Pipe(Box::new(io::stdin())));
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::IsADirectory,
                "a folder, expected a file",
            ));
        }
        Ok(match metadata.is_file() {
            true => Self::File(file),
            false => Self::Pipe(Box::new(file)),
        })
    }

    /// Returns the size of a file; `None` for a pipe.
    pub fn size(&self) -> io::Result<Option<u64>> {
        match self {
            Self::File(file) => Ok(Some(file.metadata()?.len())),
            Self::Pipe(_) => Ok(None),
        }
    }

    /// Goes to a place of a file; returns false for a pipe, which cannot.
    pub fn seek(&mut self, place: u64) -> io::Result<bool> {
        match self {
            Self::File(file) => file.seek(SeekFrom::Start(place)).map(|_| true),
            Self::Pipe(_) => Ok(false),
        }
    }
}

impl Read for Source {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(bytes),
            Self::Pipe(pipe) => pipe.read(bytes),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File(_) => "a file",
            Self::Pipe(_) => "a pipe",
        })
    }
}
