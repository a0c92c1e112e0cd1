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
    /// Temperature of the sigmoid whose gradient stands in for the step's in training. Above zero
    /// and finite, also as an f32. Default: 1.0
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
    /// `temperature` is zero, negative, NaN or infinite, or would be as an f32.
    #[error("temperature is {0}, expected a finite number above 0, in the range of f32")]
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
        let temperature = self.temperature as f32;
        if !(temperature.is_normal() && temperature > 0.0) {
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

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use burn::backend::Flex;

    #[test]
    fn what_no_quantizer_can_have_is_an_error_that_names_it() {
        let valid = BitcodesConfig::new(3, 2);
        assert_eq!(valid.validate(), Ok(()));
        let message = |config: BitcodesConfig| {
            let error = config.try_init::<Flex>(&Default::default()).unwrap_err();
            let message = alloc::format!("{error}");
            assert_eq!(
                alloc::format!("{}", config.validate().unwrap_err()),
                message
            );
            message
        };
        assert_eq!(
            message(BitcodesConfig::new(0, 2)),
            "features is 0, expected at least 1"
        );
        assert_eq!(
            message(BitcodesConfig::new(3, 0)),
            "num_bits is 0, expected at least 1"
        );
        let wrong = [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        for temperature in wrong.into_iter().chain([1e-50, 1e300]) {
            let message = message(valid.clone().with_temperature(temperature));
            assert!(
                message.starts_with(&alloc::format!("temperature is {temperature}, expected")),
                "{message}"
            );
        }
        for (features, num_bits) in [(usize::MAX, 1), (1, usize::MAX), (1 << 32, 1 << 31)] {
            let message = message(BitcodesConfig::new(features, num_bits));
            assert!(message.ends_with("too large to address"), "{message}");
        }
    }

    #[test]
    #[should_panic(expected = "BitcodesConfig: num_bits is 0, expected at least 1")]
    fn init_panics_with_the_error() {
        BitcodesConfig::new(3, 0).init::<Flex>(&Default::default());
    }
}
