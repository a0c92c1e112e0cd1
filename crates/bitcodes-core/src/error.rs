//! The errors of configurations.

use crate::schedule::ScheduleError;

/// The error of a configuration that no quantizer can have.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// `features` is zero.
    #[error("features is 0, expected at least 1")]
    NoFeatures,
    /// `num_bits` is zero.
    #[error("num_bits is 0, expected at least 1")]
    NoBits,
    /// `temperature` is zero, negative, NaN or infinite at some step, in f64 or after conversion to
    /// f32.
    #[error("temperature is {0}, expected a finite number above 0, in the range of f32")]
    Temperature(f64),
    /// `noise_scale` is negative, NaN or infinite at some step, in f64 or after conversion to
    /// f32.
    #[error("noise scale is {0}, expected a finite number of at least 0, in the range of f32")]
    NoiseScale(f64),
    /// A schedule is not valid.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The beam is 0, or wider than the limit.
    #[error("the beam is {found}, expected 1 to {max}")]
    Beam {
        /// The beam that was asked for.
        found: usize,
        /// The widest beam.
        max: usize,
    },
    /// The error below which vectors are left unquantized is negative or not finite.
    #[error("unquantized_below is {0}, expected a finite number that is not negative")]
    UnquantizedBelow(f64),
    /// `balance_weight` is negative, NaN or infinite.
    #[error("balance_weight is {0}, expected a finite number that is not negative")]
    BalanceWeight(f64),
    /// There are more bits than can be decided jointly.
    #[error(
        "num_bits is {found}, expected at most {max} joint bits; independent bits have no such limit"
    )]
    JointBits {
        /// Number of bits that was asked for.
        found: usize,
        /// Most bits that are decided jointly.
        max: usize,
    },
    /// The weight of a loss is negative, NaN or infinite.
    #[error("{name} is {found}, expected a finite number of at least 0, in the range of f32")]
    Weight {
        /// Name of the weight.
        name: &'static str,
        /// The weight that was asked for.
        found: f64,
    },
    /// The codebook would have more elements than can be addressed.
    #[error("a codebook of 2 x {num_bits} bits x {features} features is too large to address")]
    TooLarge {
        /// Number of bits that was asked for.
        num_bits: usize,
        /// Number of features that was asked for.
        features: usize,
    },
    /// A codebook has other dimensions than the configuration.
    #[error("the codebook has shape {found:?}, expected {wanted:?} (2 x bits, features)")]
    CodebookShape {
        /// Shape of the codebook.
        found: [usize; 2],
        /// Shape by the configuration.
        wanted: [usize; 2],
    },
    /// A sample to start from has vectors of another length.
    #[error("the sample has {found} features, expected {wanted}")]
    SampleFeatures {
        /// Length of the sample's vectors.
        found: usize,
        /// Features of the configuration.
        wanted: usize,
    },
    /// A sample to start from is too small.
    #[error("the sample has {0} vectors, expected at least 2")]
    SampleSize(usize),
    /// The mean magnitude of a sample to start from is NaN or infinite.
    #[error("the mean magnitude of the sample is {0}, expected finite numbers")]
    SampleNotFinite(f64),
}
