//! Loading the quantizer that encodes and decodes.

use std::path::{Path, PathBuf};
use std::{fs, io};

use bitcodes_core::record::RecordError;
use bitcodes_core::{Bitcodes, Checkpoint, CheckpointError};
use bitcodes_train::{LoadError, load_model};
use burn::tensor::backend::Backend;
use clap::Args;

/// Options that name the quantizer.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// Quantizer: a .safetensors or .pt file, a .mpk record, or the folder of a run of
    /// `bitcodes train`
    #[arg(long, value_name = "FILE|DIR")]
    model: PathBuf,

    /// Name of the quantizer in a .safetensors or .pt file with several: the part of the tensor's
    /// name before .codebook [default: the only quantizer in the file]
    #[arg(long)]
    prefix: Option<String>,
}

/// Error of a quantizer that cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModelError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// The file is not a checkpoint, or holds no quantizer.
    #[error("{}: {source}", path.display())]
    Checkpoint {
        path: PathBuf,
        source: CheckpointError,
    },
    /// The file is not the record of a quantizer.
    #[error("{}: {source}{}", path.display(), hint(source))]
    Record { path: PathBuf, source: RecordError },
    /// The run's autoencoder cannot be loaded.
    #[error(transparent)]
    Run(#[from] LoadError),
    /// A prefix was given for a model that has no names.
    #[error("--prefix {prefix}: {} is no .safetensors or .pt file, expected one", path.display())]
    Prefix { prefix: String, path: PathBuf },
}

impl ModelArgs {
    pub fn path(&self) -> &Path {
        &self.model
    }

    pub fn load<B: Backend>(&self, device: &B::Device) -> Result<Bitcodes<B>, ModelError> {
        let path = &self.model;
        let is_run = path.is_dir();
        let is_record = path.extension().is_some_and(|extension| extension == "mpk");
        if let (Some(prefix), true) = (&self.prefix, is_run || is_record) {
            return Err(ModelError::Prefix {
                prefix: prefix.clone(),
                path: path.clone(),
            });
        }
        if is_run {
            let (_, model) = load_model::<B>(path, device)?;
            return Ok(model.quantizer);
        }
        let bytes = read(path)?;
        if is_record {
            return Bitcodes::from_record_bytes(&bytes, device).map_err(|source| {
                let path = path.clone();
                ModelError::Record { path, source }
            });
        }
        let checkpoint = Checkpoint::from_bytes(&bytes);
        let quantizer =
            checkpoint.and_then(|checkpoint| checkpoint.quantizer(self.prefix.as_deref(), device));
        quantizer.map_err(|source| ModelError::Checkpoint {
            path: path.clone(),
            source,
        })
    }
}

/// Returns a hint for users who gave the record of an autoencoder.
fn hint(error: &RecordError) -> &'static str {
    match error {
        RecordError::NoCodebook => " (an autoencoder's is used by the folder of its run)",
        _ => "",
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    fs::read(path).map_err(|source| ModelError::Io {
        path: path.to_path_buf(),
        source,
    })
}
