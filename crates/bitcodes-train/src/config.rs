//! Configuration of a training and of its run, checked before the training starts.

use bitcodes_core::{BitcodesConfig, ConfigError};
use burn::config::Config;

use crate::autoencoder::AutoencoderConfig;

/// Configuration of a training.
#[derive(Config, Debug, PartialEq)]
pub struct TrainConfig {
    /// Number of passes over the training images.
    #[config(default = 60)]
    pub epochs: usize,
    /// Number of images in one training step.
    #[config(default = 64)]
    pub batch_size: usize,
    /// Learning rate of the first step. It falls to 0 along half a cosine.
    #[config(default = 2e-3)]
    pub learning_rate: f64,
    /// Seed of the weights, of the order of the images and of the noise.
    #[config(default = 0)]
    pub seed: u64,
}

/// Error of a [`TrainConfig`], or of the quantizer to be trained, that is not valid.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TrainConfigError {
    /// A count is 0.
    #[error("{0} is 0, expected at least 1")]
    Zero(&'static str),
    /// A count is larger than the toy allows.
    #[error("{name} is {found}, expected at most {max}")]
    TooMany {
        /// Name of the count.
        name: &'static str,
        /// Value of the count.
        found: usize,
        /// Largest value that is allowed.
        max: usize,
    },
    /// The learning rate is not a number above 0 and at most 1.
    #[error("learning rate is {0}, expected a number above 0 and at most 1")]
    LearningRate(f64),
    /// The quantizer's configuration is not valid.
    #[error(transparent)]
    Quantizer(#[from] ConfigError),
}

impl TrainConfig {
    /// Largest number of bits of a token. bitcodes-pytorch is used with 8 to 32 bits.
    pub const MAX_BITS: usize = AutoencoderConfig::MAX_DIM;
    /// Largest number of epochs. The limit keeps the number of steps from overflowing.
    pub const MAX_EPOCHS: usize = 1_000_000_000;

    /// Checks this configuration and that of the quantizer to be trained.
    ///
    /// # Errors
    ///
    /// Returns the first [`TrainConfigError`] that applies.
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

/// Configuration of a run: of the training and of the model. The model can be made again from it.
#[derive(Config, Debug, PartialEq)]
pub struct RunConfig {
    /// Configuration of the training.
    pub training: TrainConfig,
    /// Configuration of the model that was trained.
    pub model: AutoencoderConfig,
}
