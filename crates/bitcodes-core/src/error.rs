//! Why a quantizer cannot be made.

use crate::{Assignment, Schedule};

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
    /// `temperature` is zero, negative, NaN or infinite somewhere, or would be as an f32.
    #[error("temperature is {0}, expected a finite number above 0, in the range of f32")]
    Temperature(f64),
    /// `noise` is negative, NaN or infinite somewhere, or would be as an f32.
    #[error("noise is {0}, expected a finite number of at least 0, in the range of f32")]
    Noise(f64),
    /// A schedule has no steps.
    #[error("the schedule {0} has 0 steps, expected at least 1")]
    NoSteps(Schedule),
    /// An exponential schedule starts or ends at 0.
    #[error("the schedule {0} cannot reach 0, expected both ends above 0")]
    ExponentialToZero(Schedule),
    /// No beam, or one wider than makes a difference.
    #[error("the beam is {0}, expected 1 to {max}", max = Assignment::MAX_BEAM)]
    Beam(usize),
    /// Bits along the same direction, decided independently, are copies of one another.
    #[error("the initializer is Orthogonal for bits decided independently, expected another")]
    Copies,
    /// The weight of a loss is negative, NaN or infinite.
    #[error("{name} is {found}, expected a finite number of at least 0, in the range of f32")]
    Weight {
        /// Which weight.
        name: &'static str,
        /// What it is.
        found: f64,
    },
    /// The codebook would have more elements than can be addressed.
    #[error("a codebook of 2 x {num_bits} bits x {features} features is too large to address")]
    TooLarge {
        /// Bits that were asked for.
        num_bits: usize,
        /// Features that were asked for.
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
    /// A sample to initialise from has vectors of another length.
    #[error("the sample has {found} features, expected {wanted}")]
    SampleFeatures {
        /// Length of the sample's vectors.
        found: usize,
        /// Features of the configuration.
        wanted: usize,
    },
    /// A sample to initialise from is too small.
    #[error("the sample has {0} vectors, expected at least 2")]
    SampleSize(usize),
    /// A sample to initialise from holds NaN or infinite values.
    #[error("the sample has a mean of {0} somewhere, expected finite numbers")]
    SampleNotFinite(f64),
}
