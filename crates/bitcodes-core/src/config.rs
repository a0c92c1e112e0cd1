//! What a quantizer is made from, checked before it is made.

use burn::config::Config;
use burn::tensor::{Distribution, Tensor, backend::Backend};

use crate::Bitcodes;

/// Configuration of a [`Bitcodes`] quantizer.
///
/// ```
/// use bitcodes_core::BitcodesConfig;
///
/// let config = BitcodesConfig::new(64, 32).with_temperature(0.5);
/// assert!(config.validate().is_ok());
/// assert!(BitcodesConfig::new(64, 0).validate().is_err());
/// ```
#[derive(Config, Debug, PartialEq)]
pub struct BitcodesConfig {
    /// Length of a vector.
    pub features: usize,
    /// Bits that a vector is quantized to; the codebook has two rows for each.
    pub num_bits: usize,
    /// Temperature of the sigmoid whose gradient stands in for the step's in training. Finite and
    /// above zero. Default: 1.0
    #[config(default = 1.0)]
    pub temperature: f64,
}

/// A configuration that no quantizer can have.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// `features` is zero.
    #[error("features is 0, expected at least 1")]
    NoFeatures,
    /// `num_bits` is zero.
    #[error("num_bits is 0, expected at least 1")]
    NoBits,
    /// `temperature` is zero, negative, NaN or infinite.
    #[error("temperature is {0}, expected a finite number above 0")]
    Temperature(f64),
    /// The codebook would have more elements than can be addressed.
    #[error("a codebook of 2 x {num_bits} bits x {features} features is too large to address")]
    TooLarge {
        /// Bits that were asked for.
        num_bits: usize,
        /// Features that were asked for.
        features: usize,
    },
}

impl BitcodesConfig {
    /// Checks the values.
    ///
    /// # Errors
    ///
    /// The first [`ConfigError`] that applies.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.features == 0 {
            return Err(ConfigError::NoFeatures);
        }
        if self.num_bits == 0 {
            return Err(ConfigError::NoBits);
        }
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            return Err(ConfigError::Temperature(self.temperature));
        }
        // In bytes of the widest element, as an allocation may take at most isize::MAX.
        self.num_bits
            .checked_mul(2 * size_of::<f64>())
            .and_then(|row_pair| row_pair.checked_mul(self.features))
            .filter(|&bytes| isize::try_from(bytes).is_ok())
            .map(|_| ())
            .ok_or(ConfigError::TooLarge {
                num_bits: self.num_bits,
                features: self.features,
            })
    }

    /// Makes the quantizer, its codebook drawn from N(0, 1) as the reference does.
    ///
    /// # Panics
    ///
    /// Where [`validate`](Self::validate) gives an error; [`try_init`](Self::try_init) returns it.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Bitcodes<B> {
        self.try_init(device)
            .unwrap_or_else(|error| panic!("BitcodesConfig: {error}"))
    }

    /// Makes the quantizer, its codebook drawn from N(0, 1) as the reference does.
    ///
    /// # Errors
    ///
    /// Where [`validate`](Self::validate) gives one.
    pub fn try_init<B: Backend>(&self, device: &B::Device) -> Result<Bitcodes<B>, ConfigError> {
        self.validate()?;
        let normal = Distribution::Normal(0.0, 1.0);
        let codebook = Tensor::random([2 * self.num_bits, self.features], normal, device);
        Ok(Bitcodes::new(codebook, self.temperature))
    }
}
