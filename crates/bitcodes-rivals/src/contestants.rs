//! Who is compared, and with which settings.

use bitcodes_core::BitcodesConfig;
use burn::tensor::backend::Backend;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use crate::autoencoder::{FEATURES, TOKENS};
use crate::quantizer::{
    FiniteScalarConfig, Identity, LookupFreeConfig, Quantizer, ResidualVectorConfig,
};

/// A quantizer with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contestant {
    /// What it is called in the table.
    pub name: String,
    /// The standard deviation that vectors are brought to before, and their mean to 0; as they
    /// are if none. Bitcodes has its own.
    #[serde(default)]
    pub deviation: Option<f64>,
    /// How it is made.
    pub settings: Settings,
}

/// How a quantizer is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Settings {
    /// Vectors stay as they are.
    None,
    /// Ours.
    Bitcodes(BitcodesConfig),
    /// One codebook of vectors or several.
    Vector(ResidualVectorConfig),
    /// A grid.
    Scalar(FiniteScalarConfig),
    /// Signs.
    LookupFree(LookupFreeConfig),
}

impl Contestant {
    /// Whether it can be trained.
    ///
    /// # Errors
    ///
    /// What is wrong with the settings.
    pub fn validate(&self) -> Result<(), String> {
        let of_name = |error: String| format!("{}: {error}", self.name);
        if let Some(deviation) = self.deviation
            && !(deviation.is_finite() && deviation > 0.0)
        {
            return Err(of_name(format!("deviation {deviation}, expected above 0")));
        }
        match &self.settings {
            Settings::None => Ok(()),
            Settings::Bitcodes(config) if config.features != FEATURES => {
                let found = config.features;
                Err(format!("features {found}, expected {FEATURES}"))
            }
            Settings::Bitcodes(config) => config.validate().map_err(|error| error.to_string()),
            Settings::Vector(config) if config.codebooks == 0 || config.size < 2 => {
                let (codebooks, size) = (config.codebooks, config.size);
                let found = format!("{codebooks} codebooks of {size} vectors");
                Err(format!("{found}, expected at least 1 of at least 2"))
            }
            Settings::Scalar(config) if config.levels.is_empty() => {
                Err("no levels, expected at least one number".into())
            }
            Settings::Scalar(config) if config.levels.iter().any(|&levels| levels < 2) => {
                let found = &config.levels;
                Err(format!("levels {found:?}, expected at least 2 of each"))
            }
            Settings::LookupFree(config) if config.num_bits == 0 => {
                Err("num_bits 0, expected at least 1".into())
            }
            Settings::LookupFree(config) if config.entropy != 0.0 && config.num_bits > 12 => {
                let found = config.num_bits;
                Err(format!(
                    "an entropy loss of {found} bits, expected at most 12"
                ))
            }
            Settings::Vector(_) | Settings::Scalar(_) | Settings::LookupFree(_) => Ok(()),
        }
        .map_err(of_name)
    }
}

impl Settings {
    /// Bits that an image takes; none where it is not quantized.
    pub fn bits_per_image(&self) -> Option<f64> {
        let bits_per_token = match self {
            Self::None => return None,
            Self::Bitcodes(config) => config.num_bits as f64,
            Self::Vector(config) => config.codebooks as f64 * (config.size as f64).log2(),
            Self::Scalar(config) => config.levels.iter().map(|&l| (l as f64).log2()).sum(),
            Self::LookupFree(config) => config.num_bits as f64,
        };
        Some(TOKENS as f64 * bits_per_token)
    }

    /// The quantizer, as it is started before it has seen a vector.
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

/// All of them, by bits.
pub fn contestants() -> Vec<Contestant> {
    let named = |name: &str, settings| Contestant {
        name: name.into(),
        deviation: None,
        settings,
    };
    let vector = |codebooks, size| ResidualVectorConfig {
        codebooks,
        size,
        commitment: 1.0,
        k_means: true,
        dead_below: 0.0,
    };
    let mut all = vec![named("none", Settings::None)];
    let vq = ResidualVectorConfig {
        commitment: 0.25,
        dead_below: 1.0,
        ..vector(1, 256)
    };
    all.push(named("VQ 256", Settings::Vector(vq)));
    for (codebooks, size) in [(2, 16), (2, 256), (4, 16), (4, 256), (8, 16)] {
        let name = format!("RVQ {codebooks}x{size}");
        all.push(named(&name, Settings::Vector(vector(codebooks, size))));
    }
    for levels in [vec![8, 6, 5], vec![8, 8, 8, 5, 5, 5]] {
        let shown: Vec<String> = levels.iter().map(usize::to_string).collect();
        let name = format!("FSQ {}", shown.join(" "));
        all.push(named(
            &name,
            Settings::Scalar(FiniteScalarConfig { levels }),
        ));
    }
    for num_bits in [8, 16, 32] {
        let config = LookupFreeConfig {
            num_bits,
            commitment: 0.05,
            entropy: 0.0,
        };
        all.push(named(
            &format!("LFQ {num_bits}"),
            Settings::LookupFree(config),
        ));
    }
    for num_bits in [4, 8, 16, 32, 64, 128] {
        let config = BitcodesConfig::reference(FEATURES, num_bits);
        let name = format!("bitcodes-pytorch {num_bits}");
        all.push(named(&name, Settings::Bitcodes(config)));
        let config = BitcodesConfig::new(FEATURES, num_bits);
        let name = format!("Bitcodes {num_bits}");
        all.push(named(&name, Settings::Bitcodes(config)));
    }
    all
}
