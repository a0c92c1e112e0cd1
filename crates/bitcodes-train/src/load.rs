//! The autoencoder that a training left behind.

use std::path::{Path, PathBuf};
use std::{fs, io};

use bitcodes_core::record::{self, RecordError};
use burn::tensor::backend::Backend;
use serde::Deserialize;

use crate::autoencoder::{Autoencoder, AutoencoderConfig, AutoencoderConfigError};
use crate::run::files;

/// A run whose autoencoder cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", path.display())]
pub struct LoadError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub cause: LoadCause,
}

/// Why the autoencoder of a run cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadCause {
    /// A file cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The configuration is not one of a run.
    #[error("not the configuration of a run: {0}")]
    Config(String),
    /// There can be no such autoencoder.
    #[error(transparent)]
    Model(#[from] AutoencoderConfigError),
    /// The record is none, or of another autoencoder than the configuration's.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Of a run's configuration what the model was made from; how it was trained may have had other
/// settings in another version.
#[derive(Deserialize)]
struct ModelOfRun {
    model: AutoencoderConfig,
}

/// Loads the autoencoder from the folder of a run, [`files::CONFIG`] and [`files::MODEL`].
///
/// # Errors
///
/// [`LoadError`] names the file that is missing or broken, or how the two do not match.
pub fn load_model<B: Backend>(
    run: &Path,
    device: &B::Device,
) -> Result<(AutoencoderConfig, Autoencoder<B>), LoadError> {
    let at = |name: &str| {
        let path = run.join(name);
        move |cause| LoadError { path, cause }
    };
    let read = |name: &str| fs::read(run.join(name)).map_err(|error| at(name)(error.into()));
    let config = serde_json::from_slice(&read(files::CONFIG)?);
    let ModelOfRun { model: config } =
        config.map_err(|error| at(files::CONFIG)(LoadCause::Config(error.to_string())))?;
    let valid = config.validate();
    valid.map_err(|error| at(files::CONFIG)(error.into()))?;

    let bytes = read(files::MODEL)?;
    let model = record::load(&config.init::<B>(device), &bytes, device);
    let model = model.map_err(|error| at(files::MODEL)(error.into()))?;
    Ok((config, model))
}
