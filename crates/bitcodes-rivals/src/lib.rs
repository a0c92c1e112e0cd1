//! Bitcodes and other quantizers in the same two autoencoders, trained alike.
//!
//! It is how it is found out whether our codes are as good as others', and nothing here is for use
//! elsewhere.

pub mod autoencoder;
pub mod contestants;
pub mod outcomes;
pub mod plot;
pub mod quantizer;
pub mod strokes;
pub mod table;
pub mod train;
