#![doc = include_str!("../README.md")]
//!
//! ## Map
//!
//! - [`Codebook`] checks the shape of a codebook; [`Rows`] views vectors in memory.
//! - [`Quantizer`] normalizes, encodes, decodes and reconstructs, of either method.
//! - [`Encoder`] encodes independent bits; [`Decoder`] decodes the codes of either method.
//! - [`Encoder::encode_with_noise`] and [`Backward`] are the two passes of a training step.
//! - [`JointEncoder`] decides the bits of a vector together, by beam search; [`joint`] specifies it.
//!   [`JointPass`] and [`gradients`] are the two passes of a training step; between them, [`Balance`]
//!   computes a loss of unbalanced bits, and [`leave_unquantized`] takes some vectors out.
//! - [`layout`] defines the bit order of packed codes and packs single rows; [`integers`] packs and
//!   unpacks many rows.
//! - [`distance`] and [`columns`] compute distances and statistics of packed codes.
//! - [`plain`] specifies logits and decoding in plain loops.
//! - [`Level`] is a set of vector instructions.
#![no_std]

extern crate alloc;

mod codebook;
mod decode;
mod encode;
mod level;
mod look_up;
mod math;
mod memory;
mod noise;
mod product;
mod quantizer;
mod rows;
mod short_vectors;
mod tasks;
mod training;
mod transpose;

pub mod columns;
pub mod distance;
pub mod integers;
pub mod joint;
pub mod layout;
pub mod plain;

pub use codebook::Codebook;
pub use decode::Decoder;
pub use encode::Encoder;
pub use joint::JointEncoder;
pub use level::Level;
pub use noise::Noise;
pub use quantizer::Quantizer;
pub use rows::Rows;
pub use training::backward::{Backward, Gradients};
pub use training::balance::Balance;
pub use training::forward::NoisyBits;
pub use training::gradients;
pub use training::joint::{JointPass, JointSums, JointTraining};
pub use training::unquantized::leave_unquantized;
