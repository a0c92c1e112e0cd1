//! The configuration of a quantizer.

use burn::config::Config;
use serde::{Deserialize, Serialize};

use crate::assignment::{Assignment, Independent};
use crate::{ConfigError, Schedule};

/// The configuration of a [`Bitcodes`](crate::Bitcodes) quantizer.
///
/// [`new`](Self::new) has the settings that reconstruct best, [`reference`](Self::reference) those of
/// bitcodes-pytorch. In JSON every field has to be there.
///
/// ```
/// use bitcodes_core::{BitcodesConfig, Joint, Schedule};
///
/// let config = BitcodesConfig::new(64, 32).with_noise_scale(0.1);
/// assert!(config.validate().is_ok());
/// assert!(BitcodesConfig::new(64, 0).validate().is_err());
///
/// let annealed = config
///     .with_noise_scale(Schedule::linear(0.1, 0.0, 10_000))
///     .with_assignment(Joint::new().with_beam(16));
/// assert!(annealed.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BitcodesConfig {
    /// Length of a vector.
    pub features: usize,
    /// Number of bits that a vector is quantized to. The codebook has two rows for each bit.
    pub num_bits: usize,
    /// The method of deciding bits, with its settings. Default: [`Assignment::Joint`] with a beam of
    /// 8; the reference's: [`Assignment::Independent`] with a temperature of 1
    pub assignment: Assignment,
    /// True if vectors are normalized first, by a center for each feature and one scale for all
    /// features, which are learned with the codebook. The normalized vectors lie around the origin
    /// with a standard deviation of 1/2 over all features, and the output is in their units; see
    /// [`Normalization`](crate::Normalization). Default: true; the reference's: false
    pub normalize: bool,
    /// Factor of the noise of training: 1 draws each independent bit as 1 with probability
    /// `sigmoid(logit)`, 0 adds no noise. For joint bits, a noise of 1 moves the
    /// decision by half the distance between the two vectors of a pair. Default: 0.02; the
    /// reference's: 1.0
    pub noise_scale: Schedule,
    /// Weight of the [`CommitmentLoss`](crate::CommitmentLoss) in the loss of an output. A vector that
    /// [passes unquantized](crate::Joint::unquantized_below) adds 0 to the loss. Default: 0.25; the
    /// reference's: 0.0, off
    pub commitment_weight: f64,
    /// Weight of the codebook's loss in the loss of an output: the mean of `(stop_gradient(x) - y)^2`
    /// over all elements, which pulls the codebook towards the vectors
    /// ([van den Oord et al. 2017](https://arxiv.org/abs/1711.00937), the second term of equation 3).
    ///
    /// The loss of joint bits has another term. If a bit has the same value for all vectors of a
    /// batch of at least 32, the loss gains 0.1 times the mean square of the difference of the bit's
    /// pair. This brings the two vectors together until both are chosen. So a batch should hold
    /// vectors of many kinds. Default: 1.0; the reference's: 0.0, off
    pub codebook_weight: f64,
    /// Weight of the [`EntropyLoss`](crate::EntropyLoss) in the loss of an output. Default: 0.0, off
    pub entropy_weight: f64,
    /// Weight of balanced bits against certain bits in the entropy loss. Default: 1.0
    pub diversity: f64,
}

impl Config for BitcodesConfig {}

impl BitcodesConfig {
    /// Returns the configuration that reconstructs best over the rates and models it was chosen on.
    ///
    /// Its codebook learns from the loss of an output alone: a model has to add
    /// [`BitcodesOutput::loss`](crate::BitcodesOutput::loss) to its own loss. If vectors of a batch are
    /// at hand, [`try_init_from_sample`](Self::try_init_from_sample) starts better than
    /// [`init`](Self::init).
    pub fn new(features: usize, num_bits: usize) -> Self {
        Self {
            assignment: Assignment::default(),
            normalize: true,
            noise_scale: Schedule::Constant(0.02),
            commitment_weight: 0.25,
            codebook_weight: 1.0,
            ..Self::reference(features, num_bits)
        }
    }

    /// Returns the configuration of bitcodes-pytorch: independent bits, temperature 1, noise, no
    /// loss.
    pub fn reference(features: usize, num_bits: usize) -> Self {
        Self {
            features,
            num_bits,
            assignment: Independent::new().into(),
            normalize: false,
            noise_scale: Schedule::Constant(1.0),
            commitment_weight: 0.0,
            codebook_weight: 0.0,
            entropy_weight: 0.0,
            diversity: 1.0,
        }
    }

    /// Returns the default configuration of a method: [`new`](Self::new) for joint bits,
    /// [`reference`](Self::reference) for independent bits.
    #[cfg(feature = "std")]
    pub(crate) fn of_method(
        method: crate::assignment::Method,
        features: usize,
        num_bits: usize,
    ) -> Self {
        let new = Self::new(features, num_bits);
        match new.assignment.method() == method {
            true => new,
            false => Self::reference(features, num_bits),
        }
    }

    /// Sets the [`assignment`](Self::assignment): the method of deciding bits, with its settings.
    pub fn with_assignment(mut self, assignment: impl Into<Assignment>) -> Self {
        self.assignment = assignment.into();
        self
    }

    /// Sets [`normalize`](Self::normalize).
    pub fn with_normalize(mut self, normalize: bool) -> Self {
        self.normalize = normalize;
        self
    }

    /// Sets the [`noise_scale`](Self::noise_scale), a number or a [`Schedule`].
    pub fn with_noise_scale(mut self, noise_scale: impl Into<Schedule>) -> Self {
        self.noise_scale = noise_scale.into();
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
    /// Returns the first [`ConfigError`] that applies.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.features == 0 {
            return Err(ConfigError::NoFeatures);
        }
        if self.num_bits == 0 {
            return Err(ConfigError::NoBits);
        }
        self.assignment.validate(self.num_bits)?;
        for end in self.noise_scale.ends() {
            if !is_weight(end) {
                return Err(ConfigError::NoiseScale(end));
            }
        }
        self.noise_scale.validate()?;
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
        // The size is counted in bytes of the widest element, as an allocation may take at most
        // isize::MAX.
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
}

/// Returns whether a number can be a weight: finite and not negative, also as an f32.
fn is_weight(value: f64) -> bool {
    value >= 0.0 && (value as f32).is_finite()
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use crate::Joint;
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
                let independent = Independent::new().with_temperature(schedule);
                let message = message(valid.clone().with_assignment(independent));
                assert!(message.starts_with(&wanted), "{message}");
            }
        }
        for weight in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            for (config, name) in [
                (valid.clone().with_noise_scale(weight), "noise scale"),
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
            message(
                valid
                    .clone()
                    .with_noise_scale(Schedule::cosine(1.0, 0.0, 0))
            ),
            "the schedule cosine:1:0:0 has 0 steps, expected at least 1"
        );
        assert_eq!(
            message(
                valid
                    .clone()
                    .with_noise_scale(Schedule::exponential(1.0, 0.0, 5))
            ),
            "the schedule exponential:1:0:5 cannot reach 0, expected both ends above 0"
        );
        let beam = |beam| valid.clone().with_assignment(Joint::new().with_beam(beam));
        assert_eq!((beam(1).validate(), beam(256).validate()), (Ok(()), Ok(())));
        assert_eq!(message(beam(0)), "the beam is 0, expected 1 to 256");
        assert_eq!(message(beam(257)), "the beam is 257, expected 1 to 256");
        for error in [-0.1, f64::NAN, f64::INFINITY] {
            let settings = Joint::new().with_unquantized_below(error);
            let wanted = format!("unquantized_below is {error}, expected a finite number");
            let message = message(valid.clone().with_assignment(settings));
            assert!(message.starts_with(&wanted), "{message}");
        }
        for weight in [-0.1, f64::NAN, f64::INFINITY] {
            let settings = Joint::new().with_balance_weight(weight);
            let wanted = format!("balance_weight is {weight}, expected a finite number");
            let message = message(valid.clone().with_assignment(settings));
            assert!(message.starts_with(&wanted), "{message}");
        }
        let independent = valid.clone().with_assignment(Independent::new());
        assert_eq!(independent.validate(), Ok(()));
        assert_eq!(BitcodesConfig::new(1, 16_384).validate(), Ok(()));
        assert_eq!(BitcodesConfig::reference(1, 200_000).validate(), Ok(()));
        assert_eq!(
            message(BitcodesConfig::new(1, 200_000)),
            "num_bits is 200000, expected at most 16384 joint bits; independent bits have no such limit"
        );
        for (features, num_bits) in [(usize::MAX, 1), (1, usize::MAX), (1 << 32, 1 << 31)] {
            let message = message(BitcodesConfig::reference(features, num_bits));
            assert!(message.ends_with("too large to address"), "{message}");
        }
    }

    #[test]
    #[should_panic(expected = "BitcodesConfig: num_bits is 0, expected at least 1")]
    fn init_panics_with_the_error() {
        BitcodesConfig::new(3, 0).init::<Flex>(&Default::default());
    }

    #[test]
    fn json_gives_the_same_configuration_and_a_missing_or_unknown_field_is_an_error() {
        for config in [BitcodesConfig::new(16, 8), BitcodesConfig::reference(3, 2)] {
            let json = serde_json::to_string(&config).unwrap();
            let again = BitcodesConfig::load_binary(json.as_bytes()).unwrap();
            assert_eq!(again, config);
        }
        let error = |json: &str| {
            let error = serde_json::from_str::<BitcodesConfig>(json).unwrap_err();
            format!("{error}")
        };
        let json = serde_json::to_string(&BitcodesConfig::new(16, 8)).unwrap();
        let missing = error(&json.replace("\"noise_scale\":0.02,", ""));
        assert!(
            missing.starts_with("missing field `noise_scale`"),
            "{missing}"
        );
        let unknown = error(&json.replace("noise_scale", "noise"));
        assert!(unknown.starts_with("unknown field `noise`"), "{unknown}");
        let of_the_other = error(&json.replace("\"beam\":8", "\"beam\":8,\"temperature\":1.0"));
        let wanted = "temperature is a setting of the method independent, expected those of the method joint";
        assert!(of_the_other.starts_with(wanted), "{of_the_other}");
    }
}
