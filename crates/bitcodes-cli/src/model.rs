//! The quantizer that encodes and decodes.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bitcodes_core::{Bitcodes, Checkpoint, CheckpointError};
use bitcodes_train::{LoadError, LoadedRun, WholeEpoch, load_model, run_files};
use burn::tensor::backend::Backend;
use clap::Args;

use crate::output::Input;

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
    /// Returns the files that must not be overwritten: those of the model, and the file to read.
    pub fn inputs(&self, input: &Path) -> Vec<Input> {
        let mut inputs = model_files(&self.model);
        inputs.push(("--input", input.to_path_buf()));
        inputs
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
            let run = load_model::<B>(path, device)?;
            say_unfinished(path, &run);
            return Ok(run.model.quantizer);
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

/// Says that the model of a run is not its last one.
pub(crate) fn say_unfinished<B: Backend>(path: &Path, run: &LoadedRun<B>) {
    if let Some(WholeEpoch { epoch, .. }) = run.unfinished {
        // Standard output is for results only. An error of writing to standard error cannot be reported.
        let _ = writeln!(
            io::stderr(),
            "{}: the training has not finished, this is its model after epoch {epoch}",
            path.display()
        );
    }
}

/// Returns the files of a model: all those of a run, or the one file.
pub(crate) fn model_files(model: &Path) -> Vec<Input> {
    let files = match model.is_dir() {
        // If the folder cannot be read, loading the model says so.
        true => run_files(model).unwrap_or_default(),
        false => vec![model.to_path_buf()],
    };
    files.into_iter().map(|file| ("--model", file)).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    fs::read(path).map_err(|source| ModelError::Io {
        path: path.to_path_buf(),
        source,
    })
}
