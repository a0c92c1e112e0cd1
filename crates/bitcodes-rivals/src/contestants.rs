//! The quantizers that are compared, and their settings.

use std::ops::RangeInclusive;

use bitcodes_core::BitcodesConfig;
use burn::tensor::backend::Backend;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::autoencoder::{Architecture, FEATURES};
use crate::quantizer::{
    FiniteScalarConfig, Identity, LookupFreeConfig, Quantizer, ResidualVectorConfig,
};

/// A quantizer with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contestant {
    /// Name in the table.
    pub name: String,
    /// Standard deviation to which vectors are normalized before the quantizer, with a mean of 0.
    /// `None` leaves them as they are. Bitcodes has a normalization of its own.
    #[serde(default)]
    pub deviation: Option<f64>,
    /// Settings of the quantizer.
    pub settings: Settings,
}

/// Settings of a quantizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Settings {
    /// No quantizer: vectors stay as they are.
    None,
    /// Our quantizer, of either method.
    Bitcodes(BitcodesConfig),
    /// Vector quantization with one codebook, or residual vector quantization with several.
    Vector(ResidualVectorConfig),
    /// Finite scalar quantization.
    Scalar(FiniteScalarConfig),
    /// Lookup-free quantization.
    LookupFree(LookupFreeConfig),
}

impl Contestant {
    /// Checks that the quantizer can be trained with these settings.
    ///
    /// # Errors
    ///
    /// Returns a message that names the quantizer and what is wrong with its settings.
    pub fn validate(&self) -> Result<(), String> {
        let settings = self.settings.validate();
        let deviation = self.deviation.map_or(Ok(()), |deviation| {
            match deviation.is_finite() && deviation > 0.0 {
                true => Ok(()),
                false => Err(format!("deviation is {deviation}, expected above 0")),
            }
        });
        let both = settings.and(deviation);
        both.map_err(|error| format!("{}: {error}", self.name))
    }
}

impl Settings {
    fn validate(&self) -> Result<(), String> {
        let weight = |name, value: f64| match value.is_finite() && (0.0..=1e6).contains(&value) {
            true => Ok(()),
            false => Err(format!("{name} is {value}, expected 0 to 1000000")),
        };
        let number = |name, value: usize, range: RangeInclusive<usize>| {
            let (least, most) = (range.start(), range.end());
            match range.contains(&value) {
                true => Ok(()),
                false => Err(format!("{name} is {value}, expected {least} to {most}")),
            }
        };
        match self {
            Self::None => Ok(()),
            Self::Bitcodes(config) => {
                number("features", config.features, FEATURES..=FEATURES)?;
                config.validate().map_err(|error| error.to_string())
            }
            Self::Vector(config) => {
                number("codebooks", config.codebooks, 1..=1024)?;
                number("size", config.size, 2..=1 << 16)?;
                weight("commitment", config.commitment)?;
                weight("dead_below", config.dead_below)
            }
            Self::Scalar(config) => {
                number("the number of levels", config.levels.len(), 1..=1024)?;
                let mut levels = config.levels.iter();
                levels.try_for_each(|&levels| number("a level", levels, 2..=1 << 16))
            }
            Self::LookupFree(config) => {
                // The entropy loss holds a probability for each of the 2^num_bits codes.
                let most = if config.entropy == 0.0 { 1024 } else { 12 };
                number("num_bits", config.num_bits, 1..=most)?;
                weight("commitment", config.commitment)?;
                weight("entropy", config.entropy)
            }
        }
    }

    /// Number of bits of a token's code; `None` if the token is not quantized.
    pub fn bits_per_token(&self) -> Option<f64> {
        Some(match self {
            Self::None => return None,
            Self::Bitcodes(config) => config.num_bits as f64,
            Self::Vector(config) => config.codebooks as f64 * (config.size as f64).log2(),
            Self::Scalar(config) => config.levels.iter().map(|&l| (l as f64).log2()).sum(),
            Self::LookupFree(config) => config.num_bits as f64,
        })
    }

    /// Returns whether the quantizer is one with which Bitcodes is compared.
    pub fn is_rival(&self) -> bool {
        match self {
            Self::None | Self::Bitcodes(_) => false,
            Self::Vector(_) | Self::Scalar(_) | Self::LookupFree(_) => true,
        }
    }

    /// Makes the quantizer as it is before it has seen a vector.
    pub fn init<B: Backend>(&self, random: &mut StdRng, device: &B::Device) -> Quantizer<B> {
        match self {
            Self::None => Quantizer::Identity(Identity),
            Self::Bitcodes(config) => Quantizer::Bitcodes(config.init(device)),
            Self::Vector(config) => Quantizer::Vector(config.init(FEATURES, random, device)),
            Self::Scalar(config) => Quantizer::Scalar(config.init(FEATURES, device)),
            Self::LookupFree(config) => Quantizer::LookupFree(config.init(FEATURES, device)),
        }
    }
}

/// Reads quantizers from JSON, `[{"name": .., "settings": ..}, ..]`.
///
/// # Errors
///
/// Returns a message if the text is not such JSON, has an unknown field or the same name twice, or
/// if a quantizer cannot be trained.
pub fn read(text: &str) -> Result<Vec<Contestant>, String> {
    let given: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let all: Vec<Contestant> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let known = serde_json::to_value(&all).expect("the value serializes to JSON");
    if let Some(unknown) = unknown_field(&given, &known) {
        return Err(format!("there is no field {unknown:?} where it stands"));
    }
    for (index, contestant) in all.iter().enumerate() {
        contestant.validate()?;
        let name = &contestant.name;
        if all[..index].iter().any(|other| other.name == *name) {
            return Err(format!("the name {name:?} is there twice"));
        }
    }
    Ok(all)
}

/// Finds a field of `given` that `known` does not have. Without this check a misspelled field would
/// go unnoticed, because its default replaces it.
fn unknown_field<'a>(given: &'a Value, known: &Value) -> Option<&'a str> {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => {
            given
                .iter()
                .find_map(|(name, given)| match known.get(name) {
                    Some(known) => unknown_field(given, known),
                    None => Some(name.as_str()),
                })
        }
        (Value::Array(given), Value::Array(known)) => {
            let both = given.iter().zip(known);
            both.into_iter()
                .find_map(|(given, known)| unknown_field(given, known))
        }
        _ => None,
    }
}

/// Returns all quantizers of the comparison.
///
/// Each rival has those settings of `settings/rivals.json` that did best on held-out images in this
/// architecture. Rivals with more bits than were tuned have the settings of the nearest number of
/// bits that was tuned.
pub fn contestants(architecture: Architecture) -> Vec<Contestant> {
    let place = match architecture {
        Architecture::Mixer => 0,
        Architecture::Conv => 1,
    };
    let named = |name: &str, deviation, settings| Contestant {
        name: name.into(),
        deviation,
        settings,
    };
    let mut all = vec![named("none", None, Settings::None)];
    for (codebooks, size, commitment) in [
        (1, 256, [1.0, 0.05][place]),
        (2, 16, [1.0, 0.05][place]),
        (2, 256, [0.25, 0.05][place]),
        (4, 16, [0.25, 0.05][place]),
        (4, 256, [0.05, 0.02][place]),
        (8, 16, [0.05, 0.02][place]),
    ] {
        let name = match codebooks {
            1 => format!("VQ {size}"),
            _ => format!("RVQ {codebooks}x{size}"),
        };
        let config = ResidualVectorConfig {
            codebooks,
            size,
            commitment,
            k_means: true,
            dead_below: if codebooks == 1 { 1.0 } else { 0.0 },
        };
        all.push(named(&name, None, Settings::Vector(config)));
    }
    let six = [8, 8, 8, 5, 5, 5];
    for (levels, deviation) in [
        (vec![8, 6, 5], [Some(0.5), Some(0.5)][place]),
        (six.to_vec(), [Some(1.0), Some(2.0)][place]),
        ([six, six].concat(), [None, Some(1.0)][place]),
    ] {
        let shown: Vec<String> = levels.iter().map(usize::to_string).collect();
        let name = format!("FSQ {}", shown.join(" "));
        let config = FiniteScalarConfig { levels };
        all.push(named(&name, deviation, Settings::Scalar(config)));
    }
    let config = LookupFreeConfig {
        num_bits: 8,
        commitment: 0.05,
        entropy: [0.01, 0.0][place],
    };
    all.push(named("LFQ 8", None, Settings::LookupFree(config)));
    for num_bits in [4, 8, 16, 32, 64, 128] {
        let config = BitcodesConfig::reference(FEATURES, num_bits);
        let name = format!("bitcodes-pytorch {num_bits}");
        all.push(named(&name, None, Settings::Bitcodes(config)));
        let config = BitcodesConfig::new(FEATURES, num_bits);
        let name = format!("Bitcodes {num_bits}");
        all.push(named(&name, None, Settings::Bitcodes(config)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_they_are_printed() {
        let all = contestants(Architecture::Conv);
        let text = serde_json::to_string_pretty(&all).expect("the value serializes to JSON");
        assert_eq!(read(&text), Ok(all));
        for text in [
            include_str!("../settings/rivals.json"),
            include_str!("../settings/collapse.json"),
        ] {
            assert!(read(text).expect("settings").len() >= 10);
        }
    }

    #[test]
    fn settings_that_no_quantizer_can_have_are_errors_that_name_them() {
        let one = |settings: &str| read(&format!(r#"[{{"name": "a", "settings": {settings}}}]"#));
        let vector = |fields: &str| one(&format!(r#"{{"vector": {{"k_means": true, {fields}}}}}"#));
        let fine = r#""codebooks": 2, "size": 4, "commitment": 1, "dead_below": 0"#;
        assert!(vector(fine).is_ok());
        for (fields, wanted) in [
            (
                fine.replace("2", "0"),
                "a: codebooks is 0, expected 1 to 1024",
            ),
            (fine.replace("4", "1"), "a: size is 1, expected 2 to 65536"),
            (
                fine.replace("1,", "-1,"),
                "a: commitment is -1, expected 0 to 1000000",
            ),
            (
                format!(r#"{fine}, "comitment": 1"#),
                "there is no field \"comitment\" where it stands",
            ),
        ] {
            assert_eq!(vector(&fields), Err(wanted.into()));
        }
        let bitcodes = |features: usize, more: &str| {
            let config = serde_json::to_string(&BitcodesConfig::new(features, 8)).unwrap();
            let fields = config.strip_suffix('}').unwrap();
            format!(r#"{{"bitcodes": {fields}{more}}}}}"#)
        };
        for (settings, wanted) in [
            (
                r#"{"scalar": {"levels": [3, 1]}}"#,
                "a: a level is 1, expected 2 to 65536",
            ),
            (
                r#"{"lookup-free": {"num_bits": 16, "commitment": 0, "entropy": 1}}"#,
                "a: num_bits is 16, expected 1 to 12",
            ),
            (&bitcodes(3, ""), "a: features is 3, expected 16 to 16"),
        ] {
            assert_eq!(one(settings), Err(wanted.into()));
        }
        let unknown = one(&bitcodes(16, r#", "normalise": true"#)).unwrap_err();
        assert!(
            unknown.starts_with("unknown field `normalise`"),
            "{unknown}"
        );
        let twice = r#"[{"name": "a", "settings": "none"}, {"name": "a", "settings": "none"}]"#;
        assert_eq!(read(twice), Err("the name \"a\" is there twice".into()));
        let deviation = r#"[{"name": "a", "deviation": 0, "settings": "none"}]"#;
        assert_eq!(
            read(deviation),
            Err("a: deviation is 0, expected above 0".into())
        );
    }
}
