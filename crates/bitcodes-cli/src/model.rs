//! The quantizer that encodes and decodes.

use std::path::{Path, PathBuf};
use std::{fs, io};

use bitcodes_core::{Bitcodes, Checkpoint, CheckpointError};
use bitcodes_train::{LoadError, files, load_model};
use burn::tensor::backend::Backend;
use clap::Args;

/// Options that say where the quantizer comes from.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// The quantizer: a .safetensors file of the reference or of ours, a .pt file of the reference,
    /// a .mpk record, or the folder of a run, whose autoencoder has one
    #[arg(long, value_name = "FILE|DIR")]
    model: PathBuf,

    /// Name of the quantizer in the file of a larger model, as in PREFIX.codebook [default: the
    /// only quantizer there is]
    #[arg(long)]
    prefix: Option<String>,
}

/// A quantizer that cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModelError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// The file is damaged, or has no quantizer.
    #[error("{}: {source}", path.display())]
    Checkpoint {
        path: PathBuf,
        source: CheckpointError,
    },
    /// The run has no autoencoder that could be loaded.
    #[error(transparent)]
    Run(#[from] LoadError),
    /// A prefix names a quantizer in the folder of a run, which has one only.
    #[error("--prefix {prefix}: {} is the folder of a run, expected a .safetensors, .pt or .mpk file", path.display())]
    Prefix { prefix: String, path: PathBuf },
}

impl ModelArgs {
    /// Returns the files that are read.
    pub fn files(&self) -> Vec<PathBuf> {
        match self.model.is_dir() {
            true => run_files(&self.model).into(),
            false => vec![self.model.clone()],
        }
    }

    pub fn load<B: Backend>(&self, device: &B::Device) -> Result<Bitcodes<B>, ModelError> {
        let path = &self.model;
        if path.is_dir() {
            if let Some(prefix) = &self.prefix {
                return Err(ModelError::Prefix {
                    prefix: prefix.clone(),
                    path: path.clone(),
                });
            }
            let (_, model) = load_model::<B>(path, device)?;
            return Ok(model.quantizer);
        }
        let bytes = read(path)?;
        let checkpoint = Checkpoint::from_bytes(&bytes);
        let quantizer =
            checkpoint.and_then(|checkpoint| checkpoint.quantizer(self.prefix.as_deref(), device));
        quantizer.map_err(|source| ModelError::Checkpoint {
            path: path.clone(),
            source,
        })
    }
}

/// Returns the files of a run from which its autoencoder is read.
pub(crate) fn run_files(run: &Path) -> [PathBuf; 2] {
    [files::CONFIG, files::MODEL].map(|name| run.join(name))
}

fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    fs::read(path).map_err(|source| ModelError::Io {
        path: path.to_path_buf(),
        source,
    })
}
