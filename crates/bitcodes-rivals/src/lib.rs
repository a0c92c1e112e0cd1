//! A comparison of Bitcodes with other quantizers in the same two autoencoders, trained in the same
//! way.
//!
//! It tells whether our codes are as good as those of other quantizers. Nothing here is meant for
//! use elsewhere.

pub mod autoencoder;
pub mod contestants;
pub mod outcomes;
pub mod plot;
pub mod quantizer;
mod seeded;
pub mod sets;
pub mod strokes;
pub mod table;
pub mod train;
pub mod tuning;
