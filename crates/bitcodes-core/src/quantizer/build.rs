//! Quantizers from configurations.

use burn::module::Param;
use burn::tensor::{Tensor, backend::Backend};

use super::{Bitcodes, PlainField};
use crate::init::Sample;
use crate::losses::Weights;
use crate::{BitcodesConfig, ConfigError, Normalization};

impl BitcodesConfig {
    /// Makes the quantizer, with a codebook that is drawn as the method asks.
    ///
    /// # Panics
    ///
    /// Panics if [`validate`](Self::validate) returns an error; [`try_init`](Self::try_init) returns
    /// it.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Bitcodes<B> {
        self.try_init(device)
            .unwrap_or_else(|error| panic!("BitcodesConfig: {error}"))
    }

    /// Makes the quantizer, with a codebook that is drawn as the method asks.
    ///
    /// # Errors
    ///
    /// Returns the error of [`validate`](Self::validate).
    pub fn try_init<B: Backend>(&self, device: &B::Device) -> Result<Bitcodes<B>, ConfigError> {
        self.validate()?;
        let (bits, features, normalize) = (self.num_bits, self.features, self.normalize);
        let normalization = normalize.then(|| Normalization::unit(features, device));
        let codebook = self
            .assignment
            .draw_codebook(bits, features, normalize, device);
        Ok(Bitcodes::new(codebook, normalization, self))
    }

    /// Makes the quantizer from a sample of the vectors that it is to quantize: with their
    /// normalization, if it normalizes, and a codebook made for them. The module
    /// [`init`](crate::init) explains how.
    ///
    /// # Shapes
    ///
    /// - sample: `[.., features]`, at least two vectors; more than `num_bits` is better
    ///
    /// # Errors
    ///
    /// Returns the error of [`validate`](Self::validate), [`ConfigError::SampleFeatures`] if the
    /// sample has other features, [`ConfigError::SampleSize`] if it has fewer than two vectors, and
    /// [`ConfigError::SampleNotFinite`] if a value is not finite.
    ///
    /// # Panics
    ///
    /// Panics on a GPU in a browser: the check for finite values reads a number back from the device,
    /// and a page cannot wait for it.
    pub fn try_init_from_sample<B: Backend, const D: usize>(
        &self,
        sample: Tensor<B, D>,
    ) -> Result<Bitcodes<B>, ConfigError> {
        self.validate()?;
        let dims = sample.dims();
        let (vectors, features) = (dims[..D - 1].iter().product(), dims[D - 1]);
        if features != self.features {
            return Err(ConfigError::SampleFeatures {
                found: features,
                wanted: self.features,
            });
        }
        if vectors < 2 {
            return Err(ConfigError::SampleSize(vectors));
        }
        let sample = Sample::new(sample.reshape([vectors, features]))?;
        let (sample, normalization) = match self.normalize {
            true => {
                let (sample, normalization) = sample.normalized();
                (sample, Some(normalization))
            }
            false => (sample, None),
        };
        let codebook = self.assignment.codebook_for(sample, self.num_bits);
        Ok(Bitcodes::new(codebook, normalization, self))
    }

    /// Makes the quantizer with a codebook that is given.
    ///
    /// If the configuration [normalizes](Self::normalize), it does so as if the vectors lay around the
    /// origin with a standard deviation of 1; the field `normalization` can be set afterwards.
    ///
    /// # Shapes
    ///
    /// - codebook: `[2 * num_bits, features]`
    ///
    /// # Errors
    ///
    /// Returns the error of [`validate`](Self::validate), and [`ConfigError::CodebookShape`] if the
    /// codebook has other dimensions.
    pub fn try_init_from_codebook<B: Backend>(
        &self,
        codebook: Tensor<B, 2>,
    ) -> Result<Bitcodes<B>, ConfigError> {
        self.validate()?;
        let (found, wanted) = (codebook.dims(), [2 * self.num_bits, self.features]);
        if found != wanted {
            return Err(ConfigError::CodebookShape { found, wanted });
        }
        let normalization = self
            .normalize
            .then(|| Normalization::unit(self.features, &codebook.device()));
        // A parameter is the start of a graph.
        Ok(Bitcodes::new(codebook.detach(), normalization, self))
    }
}

impl<B: Backend> Bitcodes<B> {
    /// Makes a quantizer of its parts. A normalization has to be given if and only if the
    /// configuration [normalizes](BitcodesConfig::normalize).
    fn new(
        codebook: Tensor<B, 2>,
        normalization: Option<Normalization<B>>,
        config: &BitcodesConfig,
    ) -> Self {
        Self {
            codebook: Param::from_tensor(codebook),
            normalization,
            step: PlainField::new(0),
            assignment: PlainField::new(config.assignment),
            noise_scale: config.noise_scale,
            weights: Weights {
                commitment: config.commitment_weight,
                codebook: config.codebook_weight,
                entropy: config.entropy_weight,
                diversity: config.diversity,
            },
        }
    }

    /// Returns the same quantizer at another step of its schedules.
    #[cfg(feature = "std")]
    pub(crate) fn at_step(self, step: usize) -> Self {
        Self {
            step: PlainField::new(step),
            ..self
        }
    }

    /// Returns the same quantizer with another normalization.
    #[cfg(feature = "std")]
    pub(crate) fn normalized_by(self, normalization: Normalization<B>) -> Self {
        Self {
            normalization: Some(normalization),
            ..self
        }
    }
}
