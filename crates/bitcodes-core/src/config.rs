//! What a quantizer is made from, checked before it is made.

mod error;

use burn::config::Config;
use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

pub use self::error::ConfigError;
use crate::init::{Initializer, Sample};
use crate::{Assignment, Bitcodes, Normalization, Schedule};

/// Configuration of a [`Bitcodes`] quantizer.
///
/// [`new`](Self::new) has the defaults that reconstruct best, [`reference`](Self::reference) those
/// of bitcodes-pytorch. A field that is missing where a configuration is read is the reference's,
/// so that what earlier versions wrote means what it meant.
///
/// ```
/// use bitcodes_core::{BitcodesConfig, Schedule};
///
/// let config = BitcodesConfig::new(64, 32).with_noise(0.1);
/// assert!(config.validate().is_ok());
/// assert!(BitcodesConfig::new(64, 0).validate().is_err());
///
/// let annealed = config.with_noise(Schedule::linear(0.1, 0.0, 10_000));
/// assert!(annealed.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BitcodesConfig {
    /// Length of a vector.
    pub features: usize,
    /// Bits that a vector is quantized to; the codebook has two rows for each.
    pub num_bits: usize,
    /// How bits are decided. Default: [`Assignment::Residual`] with a beam of 8; the reference's:
    /// [`Assignment::Independent`]
    #[serde(default = "Assignment::of_the_reference")]
    pub assignment: Assignment,
    /// Whether vectors are normalized first, by a center for each feature and one scale for all
    /// that are learned with the codebook: what is quantized then lies around the origin, with a
    /// standard deviation of 1/2 over all features, and what comes out is in the same units; see
    /// [`Normalization`](crate::Normalization) for how they learn.
    /// Default: true; the reference's: false
    #[serde(default)]
    pub normalize: bool,
    /// Temperature of the sigmoid whose gradient stands in for the step's in training, where bits
    /// are decided independently. Above zero and finite, also as an f32. Default: 1.0
    #[serde(default = "one")]
    pub temperature: Schedule,
    /// What the noise of training is multiplied by: 1 samples each bit by its logit, 0 makes
    /// training deterministic. Logits of a residual assignment are in units of half the distance
    /// of a pair. Default: 0.05; the reference's: 1.0
    #[serde(default = "one")]
    pub noise: Schedule,
    /// How the codebook is drawn. Default: [`Initializer::Orthogonal`]; the reference's:
    /// [`Initializer::Normal`]
    #[serde(default)]
    pub initializer: Initializer,
    /// Weight of the [`CommitmentLoss`](crate::CommitmentLoss) in the loss of an output.
    /// Default: 0.3; the reference's: 0.0, off
    #[serde(default)]
    pub commitment_weight: f64,
    /// Weight, in the loss of an output, of the codebook's loss: the mean of
    /// `(stop_gradient(x) - y)^2` over all elements, which pulls the codebook towards the vectors
    /// ([van den Oord et al. 2017](https://arxiv.org/abs/1711.00937), the second term of equation
    /// 3). Where bits are decided together, a bit that is the same for all of 32 vectors or more
    /// adds a tenth of the mean square of its pair's difference, which brings the pair nearer to
    /// where both are chosen; so a batch should hold vectors of many kinds. Default: 1.0; the
    /// reference's: 0.0, off
    #[serde(default)]
    pub codebook_weight: f64,
    /// Weight of the [`EntropyLoss`](crate::EntropyLoss) in the loss of an output.
    /// Default: 0.0, off
    #[serde(default)]
    pub entropy_weight: f64,
    /// How much the entropy loss asks for balanced bits, against certain ones. Default: 1.0
    #[serde(default = "one_f64")]
    pub diversity: f64,
}

fn one() -> Schedule {
    Schedule::Constant(1.0)
}

fn one_f64() -> f64 {
    1.0
}

impl Config for BitcodesConfig {}

impl BitcodesConfig {
    /// The configuration that reconstructs best over the rates and models it was chosen on.
    ///
    /// Its codebook learns from the loss of an output alone: a model has to add
    /// [`BitcodesOutput::loss`](crate::BitcodesOutput::loss) to its own. Where vectors of a batch
    /// are at hand, [`init_from_sample`](Self::init_from_sample) starts better than
    /// [`init`](Self::init).
    pub fn new(features: usize, num_bits: usize) -> Self {
        Self {
            assignment: Assignment::default(),
            normalize: true,
            noise: Schedule::Constant(0.05),
            initializer: Initializer::Orthogonal,
            commitment_weight: 0.3,
            codebook_weight: 1.0,
            ..Self::reference(features, num_bits)
        }
    }

    /// The configuration of bitcodes-pytorch: independent bits, temperature 1, noise, no loss.
    pub fn reference(features: usize, num_bits: usize) -> Self {
        Self {
            features,
            num_bits,
            assignment: Assignment::Independent,
            normalize: false,
            temperature: one(),
            noise: one(),
            initializer: Initializer::Normal,
            commitment_weight: 0.0,
            codebook_weight: 0.0,
            entropy_weight: 0.0,
            diversity: 1.0,
        }
    }

    /// Sets the [`assignment`](Self::assignment).
    pub fn with_assignment(mut self, assignment: Assignment) -> Self {
        self.assignment = assignment;
        self
    }

    /// Sets [`normalize`](Self::normalize).
    pub fn with_normalize(mut self, normalize: bool) -> Self {
        self.normalize = normalize;
        self
    }

    /// Sets the [`temperature`](Self::temperature), a number or a [`Schedule`].
    pub fn with_temperature(mut self, temperature: impl Into<Schedule>) -> Self {
        self.temperature = temperature.into();
        self
    }

    /// Sets the [`noise`](Self::noise), a number or a [`Schedule`].
    pub fn with_noise(mut self, noise: impl Into<Schedule>) -> Self {
        self.noise = noise.into();
        self
    }

    /// Sets the [`initializer`](Self::initializer).
    pub fn with_initializer(mut self, initializer: Initializer) -> Self {
        self.initializer = initializer;
        self
    }

    /// Sets the [`commitment_weight`](Self::commitment_weight).
    pub fn with_commitment_weight(mut self, weight: f64) -> Self {
        self.commitment_weight = weight;
        self
    }

    /// Sets the [`codebook_weight`](Self::codebook_weight).
    pub fn with_codebook_weight(mut self, weight: f64) -> Self {
        self.codebook_weight = weight;
        self
    }

    /// Sets the [`entropy_weight`](Self::entropy_weight).
    pub fn with_entropy_weight(mut self, weight: f64) -> Self {
        self.entropy_weight = weight;
        self
    }

    /// Sets the [`diversity`](Self::diversity).
    pub fn with_diversity(mut self, diversity: f64) -> Self {
        self.diversity = diversity;
        self
    }

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
        match (self.assignment, self.initializer) {
            (Assignment::Residual { beam }, _) if !(1..=Assignment::MAX_BEAM).contains(&beam) => {
                return Err(ConfigError::Beam(beam));
            }
            (Assignment::Independent, Initializer::Orthogonal) => return Err(ConfigError::Copies),
            _ => {}
        }
        for end in self.temperature.ends() {
            let single = end as f32;
            if !(single.is_normal() && single > 0.0) {
                return Err(ConfigError::Temperature(end));
            }
        }
        for end in self.noise.ends() {
            if !is_weight(end) {
                return Err(ConfigError::Noise(end));
            }
        }
        for schedule in [self.temperature, self.noise] {
            schedule.validate()?;
        }
        for (name, found) in [
            ("commitment weight", self.commitment_weight),
            ("codebook weight", self.codebook_weight),
            ("entropy weight", self.entropy_weight),
            ("diversity", self.diversity),
        ] {
            if !is_weight(found) {
                return Err(ConfigError::Weight { name, found });
            }
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

    /// Makes the quantizer, its codebook drawn by the [`initializer`](Self::initializer).
    ///
    /// # Panics
    ///
    /// Where [`validate`](Self::validate) gives an error; [`try_init`](Self::try_init) returns it.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Bitcodes<B> {
        self.try_init(device)
            .unwrap_or_else(|error| panic!("BitcodesConfig: {error}"))
    }

    /// Makes the quantizer, its codebook drawn by the [`initializer`](Self::initializer).
    ///
    /// # Errors
    ///
    /// Where [`validate`](Self::validate) gives one.
    pub fn try_init<B: Backend>(&self, device: &B::Device) -> Result<Bitcodes<B>, ConfigError> {
        self.validate()?;
        let (bits, features, normalize) = (self.num_bits, self.features, self.normalize);
        let normalization = normalize.then(|| Normalization::unit(features, device));
        let codebook = self.initializer.draw(bits, features, normalize, device);
        Ok(Bitcodes::new(codebook, normalization, self))
    }

    /// Makes the quantizer from a sample of the vectors that it is to quantize: normalized as they
    /// are, if at all, and with a codebook made for them; see [`init`](crate::init) for how. The
    /// [`initializer`](Self::initializer) is not used.
    ///
    /// # Shapes
    ///
    /// - sample: `[.., features]`, at least two vectors; more than `num_bits` is better
    ///
    /// # Errors
    ///
    /// Where [`validate`](Self::validate) gives one, and for a sample of other features, of fewer
    /// than two vectors, or with values that are not finite, which is read back from the device.
    pub fn init_from_sample<B: Backend, const D: usize>(
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
        let codebook = match self.assignment {
            Assignment::Independent => sample.mixed(self.num_bits),
            Assignment::Residual { .. } => sample.along_principal_directions(self.num_bits),
        };
        Ok(Bitcodes::new(codebook, normalization, self))
    }
}

/// Whether a number can be a weight: finite and not negative, also as an f32.
fn is_weight(value: f64) -> bool {
    value >= 0.0 && (value as f32).is_finite()
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use alloc::format;
    use burn::backend::Flex;

    #[test]
    fn what_no_quantizer_can_have_is_an_error_that_names_it() {
        let valid = BitcodesConfig::new(3, 2);
        assert_eq!(valid.validate(), Ok(()));
        let message = |config: BitcodesConfig| {
            let error = config.try_init::<Flex>(&Default::default()).unwrap_err();
            let message = format!("{error}");
            assert_eq!(format!("{}", config.validate().unwrap_err()), message);
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
            let wanted = format!("temperature is {temperature}, expected");
            for schedule in [
                Schedule::from(temperature),
                Schedule::linear(1.0, temperature, 9),
            ] {
                let message = message(valid.clone().with_temperature(schedule));
                assert!(message.starts_with(&wanted), "{message}");
            }
        }
        for weight in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            for (config, name) in [
                (valid.clone().with_noise(weight), "noise"),
                (
                    valid.clone().with_commitment_weight(weight),
                    "commitment weight",
                ),
                (
                    valid.clone().with_codebook_weight(weight),
                    "codebook weight",
                ),
                (valid.clone().with_entropy_weight(weight), "entropy weight"),
                (valid.clone().with_diversity(weight), "diversity"),
            ] {
                let message = message(config);
                let wanted = format!("{name} is {weight}, expected a finite number");
                assert!(message.starts_with(&wanted), "{message}");
            }
        }
        assert_eq!(
            message(valid.clone().with_noise(Schedule::cosine(1.0, 0.0, 0))),
            "the schedule cosine:1:0:0 has 0 steps, expected at least 1"
        );
        assert_eq!(
            message(valid.clone().with_noise(Schedule::exponential(1.0, 0.0, 5))),
            "the schedule exponential:1:0:5 cannot reach 0, expected both ends above 0"
        );
        let beam = |beam| valid.clone().with_assignment(Assignment::Residual { beam });
        assert_eq!((beam(1).validate(), beam(256).validate()), (Ok(()), Ok(())));
        assert_eq!(message(beam(0)), "the beam is 0, expected 1 to 256");
        assert_eq!(message(beam(257)), "the beam is 257, expected 1 to 256");
        assert_eq!(
            message(valid.clone().with_assignment(Assignment::Independent)),
            "the initializer is Orthogonal for bits decided independently, expected another"
        );
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

    #[test]
    fn a_configuration_of_the_first_fields_alone_is_read_with_the_defaults() {
        let json = r#"{"features": 16, "num_bits": 8, "temperature": 1.0}"#;
        let config = BitcodesConfig::load_binary(json.as_bytes()).unwrap();
        assert_eq!(config, BitcodesConfig::reference(16, 8));
    }
}
