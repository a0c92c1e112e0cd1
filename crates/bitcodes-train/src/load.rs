//! Loading the autoencoder of a run.

use std::path::{Path, PathBuf};
use std::{fs, io};

use bitcodes_core::record::{self, RecordError};
use burn::tensor::backend::Backend;
use serde::Deserialize;

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

/// The model's part of a run's configuration. The training's part is not read, because another
/// version may have had other settings.
#[derive(Deserialize)]
struct ModelOfRun {
    model: AutoencoderConfig,
}

/// Loads the autoencoder from the files [`files::CONFIG`] and [`files::MODEL`] in the folder of a
/// run.
///
/// # Errors
///
/// Returns [`LoadError`] if a file is missing or broken, or if the two files do not match.
pub fn load_model<B: Backend>(
    run: &Path,
    device: &B::Device,
) -> Result<(AutoencoderConfig, Autoencoder<B>), LoadError> {
    let at = |name: &str| {
        let path = run.join(name);
        move |cause| LoadError { path, cause }
    };
    let read = |name: &str| fs::read(run.join(name)).map_err(|error| at(name)(error.into()));
    let config = read_config(&read(files::CONFIG)?).map_err(at(files::CONFIG))?;
    let bytes = read(files::MODEL)?;
    let model = config.to_be_loaded::<B>(device);
    let model = model.map_err(|error| at(files::CONFIG)(error.into()))?;
    let model = record::load(&model, &bytes, device);
    let model = model.map_err(|error| at(files::MODEL)(error.into()))?;
    Ok((config, model))
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
