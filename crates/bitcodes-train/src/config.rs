//! What a training is made from, checked before it starts.

use bitcodes_core::{BitcodesConfig, ConfigError};
use burn::config::Config;

use crate::autoencoder::AutoencoderConfig;

/// How to train.
#[derive(Config, Debug, PartialEq)]
pub struct TrainConfig {
    /// Passes over the images to train on.
    #[config(default = 60)]
    pub epochs: usize,
    /// Images of a step.
    #[config(default = 64)]
    pub batch_size: usize,
    /// Learning rate of the first step; it falls to 0 along half a cosine.
    #[config(default = 2e-3)]
    pub learning_rate: f64,
    /// Seed of the weights, of the order of the images and of the noise.
    #[config(default = 0)]
    pub seed: u64,
}

/// A way to train that cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TrainConfigError {
    /// There is nothing to do, or nothing to do it with.
    #[error("{0} is 0, expected at least 1")]
    Zero(&'static str),
    /// More than a toy has use for.
    #[error("{name} is {found}, expected at most {max}")]
    TooMany {
        /// Bits or epochs.
        name: &'static str,
        /// What was asked for.
        found: usize,
        /// The most.
        max: usize,
    },
    /// The learning rate is not a number above 0 and at most 1.
    #[error("learning rate is {0}, expected a number above 0 and at most 1")]
    LearningRate(f64),
    /// The quantizer cannot be made.
    #[error(transparent)]
    Quantizer(#[from] ConfigError),
}

impl TrainConfig {
    /// The most bits of a token; the reference is used with 8 to 32.
    pub const MAX_BITS: usize = AutoencoderConfig::MAX_DIM;
    /// The most epochs, so that the number of steps can be counted.
    pub const MAX_EPOCHS: usize = 1_000_000_000;

    /// Checks the values, and the quantizer that is to be trained.
    ///
    /// # Errors
    ///
    /// The first [`TrainConfigError`] that applies.
    pub fn validate(&self, quantizer: &BitcodesConfig) -> Result<(), TrainConfigError> {
        let counts = [
            ("bits", quantizer.num_bits, Self::MAX_BITS),
            ("epochs", self.epochs, Self::MAX_EPOCHS),
            ("batch size", self.batch_size, usize::MAX),
        ];
        for (name, found, max) in counts {
            if found == 0 {
                return Err(TrainConfigError::Zero(name));
            }
            if found > max {
                return Err(TrainConfigError::TooMany { name, found, max });
            }
        }
        if !(self.learning_rate > 0.0 && self.learning_rate <= 1.0) {
            return Err(TrainConfigError::LearningRate(self.learning_rate));
        }
        Ok(quantizer.validate()?)
    }
}

/// What a run was made from; with it the model can be made again.
#[derive(Config, Debug, PartialEq)]
pub struct RunConfig {
    /// How it was trained.
    pub training: TrainConfig,
    /// What was trained.
    pub model: AutoencoderConfig,
}
