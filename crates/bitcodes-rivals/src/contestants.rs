//! Who is compared, and with which settings.

use bitcodes_core::BitcodesConfig;
use burn::tensor::backend::Backend;
use rand::rngs::StdRng;

use crate::autoencoder::{FEATURES, TOKENS};
use crate::quantizer::{
    FiniteScalarConfig, Identity, LookupFreeConfig, Quantizer, ResidualVectorConfig,
};

/// A quantizer with its settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Contestant {
    /// What it is called in the table.
    pub name: String,
    /// How it is made.
    pub settings: Settings,
}

/// How a quantizer is made.
#[derive(Debug, Clone, PartialEq)]
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
