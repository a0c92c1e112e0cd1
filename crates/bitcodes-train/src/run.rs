//! The folder of a run, with the results of a training.
//!
//! Each file is whole or missing, whenever the program is killed. The file of metrics grows by
//! whole epochs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use burn::record::{
    FileRecorder, FullPrecisionSettings, NamedMpkBytesRecorder, Recorder, RecorderError,
};
use burn::tensor::backend::Backend;
use serde::{Serialize, de::DeserializeOwned};

use crate::files;
use crate::whole_file::{Unwritten, write_file};

/// Error of a folder that cannot be used for a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The folder already holds a file of a run.
    #[error("{}: a file of a run is there already, expected none", .0.display())]
    Taken(PathBuf),
    /// The folder cannot be made or cleared.
    #[error(transparent)]
    Unwritten(#[from] Unwritten),
}

/// The folder of a run, ready to be written to.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes the folder and its parents. The folder may exist if it holds no run.
    ///
    /// With `overwrite` it may hold a run: the files of that run are removed, and other files stay.
    ///
    /// # Errors
    ///
    /// Returns [`RunError::Taken`] if the folder holds a file of a run and `overwrite` is not set,
    /// and [`RunError::Unwritten`] if the folder cannot be written to.
    pub fn at(path: &Path, overwrite: bool) -> Result<Self, RunError> {
        let there = run_files(path).map_err(Unwritten::to(path))?;
        if let (Some(file), false) = (there.first(), overwrite) {
            return Err(RunError::Taken(file.clone()));
        }
        for file in there {
            fs::remove_file(&file).map_err(Unwritten::to(&file))?;
        }
        fs::create_dir_all(path).map_err(Unwritten::to(path))?;
        Ok(Self {
            path: path.to_path_buf(),
        })
    }

    /// Makes the folder `parent/N`, where N is the first free number from 1.
    ///
    /// # Errors
    ///
    /// Returns [`RunError::Unwritten`] if the folder cannot be made.
    pub fn next_in(parent: &Path) -> Result<Self, RunError> {
        fs::create_dir_all(parent).map_err(Unwritten::to(parent))?;
        let mut number = 1u64;
        loop {
            let path = parent.join(number.to_string());
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(Unwritten::to(&path)(error).into()),
            }
        }
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
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

/// Returns the files of a run that exist in a folder.
///
/// The model is the first, so that a removal that is interrupted leaves a run without a model.
///
/// # Errors
///
/// Returns the error of reading the folder of checkpoints.
pub fn run_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    use files::*;
    let names = [MODEL, SUMMARY, RECONSTRUCTIONS, PICTURE, METRICS, CONFIG];
    let mut found: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    found.retain(|path| path.exists());

    let checkpoints = folder.join(CHECKPOINTS);
    if checkpoints.is_dir() {
        for entry in fs::read_dir(&checkpoints)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let kinds = ["model-", "optim-", "scheduler-"];
            if kinds.iter().any(|kind| name.starts_with(kind)) && name.ends_with(".mpk") {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

/// A recorder of Burn that writes each file whole or not at all, in full precision.
///
/// The bytes are those of Burn's `NamedMpkFileRecorder<FullPrecisionSettings>`. That recorder
/// deletes the old file and writes in place, and it takes the text after a dot in a file's name for
/// the extension. Clones share the first error of writing, because Burn's learner passes on only
/// the error's text.
#[derive(Debug, Default, Clone)]
pub struct WholeFileRecorder {
    bytes: NamedMpkBytesRecorder<FullPrecisionSettings>,
    error: Arc<Mutex<Option<Unwritten>>>,
}

impl WholeFileRecorder {
    /// Takes the first error of writing, if there was one.
    pub fn take_error(&self) -> Option<Unwritten> {
        self.error
            .lock()
            .expect("no thread panics while it holds the lock")
            .take()
    }
}

impl<B: Backend> FileRecorder<B> for WholeFileRecorder {
    fn file_extension() -> &'static str {
        "mpk"
    }
}

impl<B: Backend> Recorder<B> for WholeFileRecorder {
    type Settings = FullPrecisionSettings;
    type RecordArgs = PathBuf;
    type RecordOutput = ();
    type LoadArgs = PathBuf;

    fn save_item<I: Serialize>(&self, item: I, path: PathBuf) -> Result<(), RecorderError> {
        let bytes = Recorder::<B>::save_item(&self.bytes, item, ())?;
        let path = with_extension(path);
        write_file(&path, &bytes).map_err(|error| {
            let text = error.to_string();
            let mut first = self
                .error
                .lock()
                .expect("no thread panics while it holds the lock");
            first.get_or_insert(error);
            RecorderError::Unknown(text)
        })
    }

    fn load_item<I: DeserializeOwned>(&self, path: &mut PathBuf) -> Result<I, RecorderError> {
        let path = with_extension(path.clone());
        let mut bytes = fs::read(&path).map_err(|error| {
            let message = format!("{}: {error}", path.display());
            match error.kind() {
                io::ErrorKind::NotFound => RecorderError::FileNotFound(message),
                _ => RecorderError::Unknown(message),
            }
        })?;
        Recorder::<B>::load_item(&self.bytes, &mut bytes)
    }
}

/// Appends the extension `.mpk` if the path does not have it.
fn with_extension(path: PathBuf) -> PathBuf {
    if path.extension().is_some_and(|extension| extension == "mpk") {
        return path;
    }
    let mut path = path.into_os_string();
    path.push(".mpk");
    path.into()
}
