//! The folder of a run, with the results of a training.
//!
//! Each file is whole or missing, whenever the program is killed. The file of metrics grows by
//! whole epochs.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::checkpoints::{checkpoint_files, part_of};
use crate::config::RunConfig;
use crate::files;
use crate::load::{LoadCause, LoadError};
use crate::whole_file::{Unwritten, name_when_whole, write_file};

/// Error of a folder that cannot be used for a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The folder already holds a run.
    #[error("{}: a run is there already, expected none", .0.display())]
    Taken(PathBuf),
    /// The folder holds a file that a run would write, but no run.
    #[error(
        "{}: a file of this name is there, but no run with a {}; choose another folder",
        .0.display(), files::RUN
    )]
    NotARun(PathBuf),
    /// Another training writes to the folder.
    #[error("{}: another training writes to this run", .0.display())]
    Busy(PathBuf),
    /// The folder holds no run that could be continued.
    #[error("{}: not the {} of a run: {reason}", path.display(), files::RUN)]
    NoRun {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The folder cannot be made or cleared.
    #[error(transparent)]
    Unwritten(#[from] Unwritten),
}

/// What a run is of, beside its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Name of the backend.
    pub backend: String,
    /// Folder of the images; `None` for the digits that are built in.
    pub data: Option<PathBuf>,
    /// [`Images::hash`](crate::data::Images::hash) in hexadecimal.
    pub images: String,
}

/// The contents of [`files::RUN`].
#[derive(Serialize, Deserialize)]
struct Marker {
    /// Tells our file from another program's.
    program: String,
    #[serde(flatten)]
    origin: Origin,
}

const PROGRAM: &str = "bitcodes train";

/// The folder of a run, ready to be written to. No other training can write to it meanwhile.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    origin: Origin,
    /// The file [`files::RUN`], locked.
    _lock: File,
}

impl RunFolder {
    /// Makes the folder and its parents. The folder may exist if it holds no run.
    ///
    /// With `overwrite` it may hold a run: the files of that run are removed, and other files stay.
    ///
    /// # Errors
    ///
    /// Returns:
    /// - [`RunError::Taken`] if the folder holds a run and `overwrite` is not set
    /// - [`RunError::NotARun`] if a file has the name of one of ours, but the folder holds no run
    /// - [`RunError::Busy`] if another training writes to the folder
    /// - [`RunError::Unwritten`] if the folder cannot be written to
    pub fn at(path: &Path, overwrite: bool, origin: Origin) -> Result<Self, RunError> {
        let marker = path.join(files::RUN);
        let text = marker_text(&origin).map_err(Unwritten::to(&marker))?;
        let lock = if marker.exists() {
            let mut lock = lock(&marker)?;
            let there = others(path)?;
            // A training that was killed at once leaves an empty file.
            match read_marker(&mut lock, &marker) {
                Ok(None) if there.is_empty() => {}
                Ok(_) if overwrite => {
                    remove_unfinished(path).map_err(Unwritten::to(path))?;
                    for file in there {
                        fs::remove_file(&file).map_err(Unwritten::to(&file))?;
                    }
                }
                Ok(_) => return Err(RunError::Taken(path.to_path_buf())),
                Err(_) => return Err(RunError::NotARun(marker)),
            }
            lock
        } else {
            if let Some(file) = others(path)?.into_iter().next() {
                return Err(RunError::NotARun(file));
            }
            fs::create_dir_all(path).map_err(Unwritten::to(path))?;
            create(&marker)?
        };
        Self::begin(path, origin, &text, lock)
    }

    /// Makes the folder `parent/N`, where N is the first free number from 1.
    ///
    /// # Errors
    ///
    /// Returns [`RunError::Unwritten`] if the folder cannot be made.
    pub fn next_in(parent: &Path, origin: Origin) -> Result<Self, RunError> {
        let text = marker_text(&origin).map_err(Unwritten::to(parent))?;
        fs::create_dir_all(parent).map_err(Unwritten::to(parent))?;
        let mut number = 1u64;
        loop {
            let path = parent.join(number.to_string());
            match fs::create_dir(&path) {
                Ok(()) => {
                    let lock = create(&path.join(files::RUN))?;
                    return Self::begin(&path, origin, &text, lock);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(Unwritten::to(&path)(error).into()),
            }
        }
    }

    fn begin(path: &Path, origin: Origin, text: &[u8], mut lock: File) -> Result<Self, RunError> {
        let mut write = || {
            lock.rewind()?;
            lock.write_all(text)?;
            lock.set_len(text.len() as u64)?;
            lock.sync_all()
        };
        write().map_err(Unwritten::to(path.join(files::RUN)))?;
        Ok(Self {
            path: path.to_path_buf(),
            origin,
            _lock: lock,
        })
    }

    /// Opens the folder of a run that is to be continued.
    ///
    /// # Errors
    ///
    /// Returns [`RunError::NoRun`] if the folder holds no run, and [`RunError::Busy`] if another training
    /// writes to it.
    pub fn resume(path: &Path) -> Result<Self, RunError> {
        let marker = path.join(files::RUN);
        let mut lock = lock(&marker)?;
        let Some(origin) = read_marker(&mut lock, &marker)? else {
            return Err(RunError::NoRun {
                path: marker,
                reason: "it is empty, as nothing was trained yet".into(),
            });
        };
        remove_unfinished(path).map_err(Unwritten::to(path))?;
        Ok(Self {
            path: path.to_path_buf(),
            origin,
            _lock: lock,
        })
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns what the run is of.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Writes a file of the run, whole or not at all.
    ///
    /// # Errors
    ///
    /// Returns [`Unwritten`] if the file cannot be written.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<(), Unwritten> {
        write_file(&self.path.join(name), contents)
    }

    /// Writes a value as a JSON file of the run, whole or not at all.
    ///
    /// # Errors
    ///
    /// Returns [`Unwritten`] if the file cannot be written.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), Unwritten> {
        let json = serde_json::to_vec_pretty(value);
        let mut json = json.map_err(|error| Unwritten::to(self.path.join(name))(error.into()))?;
        json.push(b'\n');
        self.write(name, &json)
    }
}

/// Removes what a training that was killed has left. No other training writes to the folder.
fn remove_unfinished(run: &Path) -> io::Result<()> {
    for folder in [run.to_path_buf(), run.join(files::CHECKPOINTS)] {
        if folder.is_dir() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if name_when_whole(&path).is_some_and(is_of_a_run) {
                    fs::remove_file(path)?;
                }
            }
        }
    }
    Ok(())
}

/// Makes the file that marks a folder as a run, and locks it.
fn create(marker: &Path) -> Result<File, RunError> {
    let made = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(marker);
    let file = match made {
        Ok(file) => file,
        // Another training made it after we had looked.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(RunError::Busy(marker.to_path_buf()));
        }
        Err(error) => return Err(Unwritten::to(marker)(error).into()),
    };
    locked(file, marker)
}

fn lock(marker: &Path) -> Result<File, RunError> {
    let file = OpenOptions::new().read(true).write(true).open(marker);
    match file {
        Ok(file) => locked(file, marker),
        Err(error) => Err(RunError::NoRun {
            path: marker.to_path_buf(),
            reason: error.to_string(),
        }),
    }
}

/// Locks a file. Where a file system has no locks, nothing keeps two trainings from one folder.
fn locked(file: File, marker: &Path) -> Result<File, RunError> {
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RunError::Busy(marker.to_path_buf())),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(error)) => Err(Unwritten::to(marker)(error).into()),
    }
}

fn marker_text(origin: &Origin) -> io::Result<Vec<u8>> {
    let marker = Marker {
        program: PROGRAM.into(),
        origin: origin.clone(),
    };
    // A path that is not UTF-8 has no JSON.
    Ok(serde_json::to_vec_pretty(&marker)?)
}

/// Reads what a run is of; `None` if the file is empty.
fn read_marker(file: &mut File, path: &Path) -> Result<Option<Origin>, RunError> {
    let no_run = |reason: String| RunError::NoRun {
        path: path.to_path_buf(),
        reason,
    };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .map_err(|error| no_run(error.to_string()))?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let marker: Marker =
        serde_json::from_slice(&bytes).map_err(|error| no_run(error.to_string()))?;
    match marker.program == PROGRAM {
        true => Ok(Some(marker.origin)),
        false => Err(no_run(format!("it is of {:?}", marker.program))),
    }
}

/// Returns the files of a run in a folder, without the one that marks it.
fn others(run: &Path) -> Result<Vec<PathBuf>, Unwritten> {
    let mut found = run_files(run).map_err(Unwritten::to(run))?;
    found.retain(|file| *file != run.join(files::RUN));
    Ok(found)
}

/// Reads the configuration of a run from the file [`files::CONFIG`] in its folder.
///
/// # Errors
///
/// Returns [`LoadError`] if the file is missing or broken.
pub fn read_run_config(run: &Path) -> Result<RunConfig, LoadError> {
    let path = run.join(files::CONFIG);
    let bytes = fs::read(&path).map_err(LoadCause::from);
    let config = bytes.and_then(|bytes| {
        serde_json::from_slice(&bytes).map_err(|error| LoadCause::Config(error.to_string()))
    });
    config.map_err(|cause| LoadError { path, cause })
}

/// The files of a run, apart from its checkpoints.
///
/// The model is the first, so that a removal that is interrupted leaves a run without a model.
const NAMES: [&str; 8] = [
    files::MODEL,
    files::SUMMARY,
    files::RECONSTRUCTIONS,
    files::PICTURE,
    files::CURVES,
    files::METRICS,
    files::CONFIG,
    files::RUN,
];

/// Returns whether a run has files of this name.
fn is_of_a_run(name: &str) -> bool {
    NAMES.contains(&name) || name == files::WHOLE_EPOCH || part_of(Path::new(name)).is_some()
}

/// Returns the files that a run may have and that exist in a folder.
///
/// # Errors
///
/// Returns the error of reading the folder of checkpoints.
pub fn run_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let checkpoints = folder.join(files::CHECKPOINTS);
    let mut found: Vec<PathBuf> = NAMES.iter().map(|name| folder.join(name)).collect();
    found.push(checkpoints.join(files::WHOLE_EPOCH));
    found.retain(|path| path.exists());
    let of_checkpoints = checkpoint_files(&checkpoints)?.into_iter();
    found.extend(of_checkpoints.map(|(path, _)| path));
    Ok(found)
}
