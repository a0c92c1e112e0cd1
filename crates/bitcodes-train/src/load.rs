//! Loading the autoencoder of a run.

use std::path::{Path, PathBuf};
use std::{fs, io};

use bitcodes_core::record::{self, RecordError};
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use crate::autoencoder::{Autoencoder, AutoencoderConfig, AutoencoderConfigError};
use crate::files;

/// Error of a run whose autoencoder cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", path.display())]
pub struct LoadError {
    /// The file.
    pub path: PathBuf,
    /// The reason why it cannot be loaded.
    pub cause: LoadCause,
}

/// The reason why the autoencoder of a run cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadCause {
    /// A file cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file is not the configuration of a run.
    #[error("not the configuration of a run: {0}")]
    Config(String),
    /// The autoencoder's configuration is not valid.
    #[error(transparent)]
    Model(#[from] AutoencoderConfigError),
    /// The file is not a record, or is the record of another autoencoder than the configuration's.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// The last epoch of a run whose checkpoint is whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct WholeEpoch {
    /// Number of the epoch, from 1; 0 if there is none.
    pub epoch: usize,
    /// Time of the training up to its end, in seconds.
    pub seconds: f64,
}

/// The autoencoder of a run.
#[derive(Debug)]
pub struct LoadedRun<B: Backend> {
    /// Its configuration.
    pub config: AutoencoderConfig,
    /// The autoencoder.
    pub model: Autoencoder<B>,
    /// The epoch whose checkpoint it is, if the training has not finished.
    pub unfinished: Option<WholeEpoch>,
}

/// The model's part of a run's configuration. The training's part is not read, because another
/// version may have had other settings.
#[derive(Deserialize)]
struct ModelOfRun {
    model: AutoencoderConfig,
}

/// Returns the last whole epoch of a run; epoch 0 if there is none.
///
/// # Errors
///
/// Returns [`LoadError`] if the file [`files::WHOLE_EPOCH`] is broken.
pub fn whole_epoch(run: &Path) -> Result<WholeEpoch, LoadError> {
    let path = run.join(files::CHECKPOINTS).join(files::WHOLE_EPOCH);
    let read = || match fs::read(&path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map_err(|error| LoadCause::Config(error.to_string()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(WholeEpoch::default()),
        Err(error) => Err(error.into()),
    };
    read().map_err(|cause| LoadError {
        path: path.clone(),
        cause,
    })
}

/// Returns the path of the model in the checkpoint of an epoch.
pub(crate) fn checkpoint_model(run: &Path, epoch: usize) -> PathBuf {
    run.join(files::CHECKPOINTS)
        .join(format!("model-{epoch}.mpk"))
}

/// Loads the autoencoder from the files [`files::CONFIG`] and [`files::MODEL`] in the folder of a
/// run. If the training has not finished, it takes the model of the last whole checkpoint.
///
/// # Errors
///
/// Returns [`LoadError`] if a file is missing or broken, or if the two files do not match.
pub fn load_model<B: Backend>(run: &Path, device: &B::Device) -> Result<LoadedRun<B>, LoadError> {
    let at = |name: &str| {
        let path = run.join(name);
        move |cause| LoadError { path, cause }
    };
    let read = |name: &str| fs::read(run.join(name)).map_err(|error| at(name)(error.into()));
    let config = read_config(&read(files::CONFIG)?).map_err(at(files::CONFIG))?;
    let (path, bytes, unfinished) = model_of_run(run)?;
    let model = config.to_be_loaded::<B>(device);
    let model = model.map_err(|error| at(files::CONFIG)(error.into()))?;
    let model = record::load(&model, &bytes, device);
    let model = model.map_err(|error| LoadError {
        path,
        cause: error.into(),
    })?;
    Ok(LoadedRun {
        config,
        model,
        unfinished,
    })
}

/// Reads the record of a run's model, or of its last whole checkpoint if there is no model yet.
fn model_of_run(run: &Path) -> Result<(PathBuf, Vec<u8>, Option<WholeEpoch>), LoadError> {
    let finished = run.join(files::MODEL);
    let missing = match fs::read(&finished) {
        Ok(bytes) => return Ok((finished, bytes, None)),
        Err(error) => error,
    };
    let mut epoch = whole_epoch(run)?;
    while missing.kind() == io::ErrorKind::NotFound && epoch.epoch > 0 {
        let path = checkpoint_model(run, epoch.epoch);
        match fs::read(&path) {
            Ok(bytes) => return Ok((path, bytes, Some(epoch))),
            Err(error) => {
                // A training that goes on may have written a newer checkpoint and removed this one.
                let newer = whole_epoch(run)?;
                if newer == epoch {
                    let cause = error.into();
                    return Err(LoadError { path, cause });
                }
                epoch = newer;
            }
        }
    }
    Err(LoadError {
        path: finished,
        cause: missing.into(),
    })
}

/// Reads the configuration of the autoencoder from the bytes of [`files::CONFIG`].
///
/// # Errors
///
/// Returns [`LoadCause::Config`] if the bytes are not the configuration of a run, and
/// [`LoadCause::Model`] if the autoencoder's configuration is not valid.
pub fn read_config(bytes: &[u8]) -> Result<AutoencoderConfig, LoadCause> {
    let config = serde_json::from_slice(bytes);
    let ModelOfRun { model: config } =
        config.map_err(|error| LoadCause::Config(error.to_string()))?;
    config.validate()?;
    Ok(config)
}

/// Reads an autoencoder of this configuration from the bytes of [`files::MODEL`].
///
/// It is for use and not for further training, see [`record::load_parameters`]. It works on a GPU
/// in a browser too.
///
/// # Errors
///
/// Returns [`LoadCause::Model`] if the configuration is not valid, and [`LoadCause::Record`] if the
/// bytes are not a record of this autoencoder.
pub fn read_model<B: Backend>(
    config: &AutoencoderConfig,
    bytes: &[u8],
    device: &B::Device,
) -> Result<Autoencoder<B>, LoadCause> {
    let model = config.to_be_loaded::<B>(device)?;
    Ok(record::load_parameters(&model, bytes, device)?)
}
