//! The folder that a training leaves behind. Each file is whole or not there.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::record::{
    FileRecorder, FullPrecisionSettings, NamedMpkBytesRecorder, Recorder, RecorderError,
};
use burn::tensor::backend::Backend;
use serde::{Serialize, de::DeserializeOwned};

use crate::autoencoder::Autoencoder;

/// Names of the files of a run.
pub mod files {
    /// The trained autoencoder, a record of Burn's in MessagePack.
    pub const MODEL: &str = "model.mpk";
    /// [`RunConfig`](crate::RunConfig) as JSON.
    pub const CONFIG: &str = "config.json";
    /// MSE and PSNR of each epoch: `epoch,split,mse,psnr_db`.
    pub const METRICS: &str = "metrics.csv";
    /// [`Summary`](crate::Summary) as JSON.
    pub const SUMMARY: &str = "summary.json";
    /// The test images as decoded from their packed bits, f32 `[images, height, width]`.
    pub const RECONSTRUCTIONS: &str = "test_reconstructions.npy";
    /// Test images over their reconstructions.
    pub const PICTURE: &str = "reconstructions.png";
    /// Folder of the checkpoints.
    pub const CHECKPOINTS: &str = "checkpoint";
}

/// A folder for a run that cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It holds a model already.
    #[error("{}: a model is there already, expected none (or to be told to overwrite it)", .0.display())]
    ModelExists(PathBuf),
    /// A file or folder cannot be written or removed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

impl RunError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        |source| Self::Io { path, source }
    }
}

/// The folder of a run.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes the folder and what lies above it, or takes one that holds no model.
    ///
    /// # Errors
    ///
    /// [`RunError::ModelExists`] where there is a model and `overwrite` is not set,
    /// [`RunError::Io`] where the folder cannot be written to.
    pub fn at(path: &Path, overwrite: bool) -> Result<Self, RunError> {
        let model = path.join(files::MODEL);
        if model.exists() && !overwrite {
            return Err(RunError::ModelExists(model));
        }
        fs::create_dir_all(path).map_err(RunError::at(path))?;
        let run = Self {
            path: path.to_path_buf(),
        };
        run.clear()?;
        Ok(run)
    }

    /// Makes `parent/N`, with the first N from 1 that is free.
    ///
    /// # Errors
    ///
    /// [`RunError::Io`] where it cannot be made.
    pub fn next_in(parent: &Path) -> Result<Self, RunError> {
        fs::create_dir_all(parent).map_err(RunError::at(parent))?;
        let mut number = 1u64;
        loop {
            let path = parent.join(number.to_string());
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(RunError::at(&path)(error)),
            }
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what an earlier run left, the model first: what remains of a clearing that is cut
    /// short is a run without a model.
    fn clear(&self) -> Result<(), RunError> {
        use files::*;
        for name in [
            MODEL,
            SUMMARY,
            RECONSTRUCTIONS,
            PICTURE,
            METRICS,
            CONFIG,
            CHECKPOINTS,
        ] {
            let path = self.path.join(name);
            let removed = if path.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(RunError::at(&path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes a file of the run, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`RunError::Io`] where it cannot be written.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<(), RunError> {
        let path = self.path.join(name);
        write_whole(&path, contents).map_err(RunError::at(&path))
    }

    /// Writes the model.
    ///
    /// # Errors
    ///
    /// [`RunError::Io`] where it cannot be written.
    pub fn write_model<B: Backend>(&self, model: Autoencoder<B>) -> Result<(), RunError> {
        let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::default();
        let bytes = Recorder::<B>::record(&recorder, model.into_record(), ())
            .map_err(|error| RunError::at(&self.path)(io::Error::other(error)))?;
        self.write(files::MODEL, &bytes)
    }

    /// Writes a value as JSON.
    ///
    /// # Errors
    ///
    /// [`RunError::Io`] where it cannot be written.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), RunError> {
        let path = self.path.join(name);
        let mut json =
            serde_json::to_vec_pretty(value).map_err(|error| RunError::at(&path)(error.into()))?;
        json.push(b'\n');
        self.write(name, &json)
    }
}

/// Writes under another name in the same folder, then renames.
fn write_whole(path: &Path, contents: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".unfinished-");
    // As any new file's: the umask takes away what it takes away elsewhere.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(contents)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Records to files that are whole or not there, in full precision.
///
/// The bytes are those of Burn's `NamedMpkFileRecorder<FullPrecisionSettings>`, which deletes the
/// old file and writes in place, and takes what follows a dot in a file's name for its extension.
#[derive(Debug, Default, Clone)]
pub struct WholeFileRecorder {
    bytes: NamedMpkBytesRecorder<FullPrecisionSettings>,
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
        write_whole(&path, &bytes)
            .map_err(|error| RecorderError::Unknown(format!("{}: {error}", path.display())))
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

/// Appends the extension where it is not there.
fn with_extension(path: PathBuf) -> PathBuf {
    if path.extension().is_some_and(|extension| extension == "mpk") {
        return path;
    }
    let mut path = path.into_os_string();
    path.push(".mpk");
    path.into()
}
