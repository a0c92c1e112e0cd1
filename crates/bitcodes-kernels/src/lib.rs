//! The kernels of [Bitcodes](https://docs.rs/bitcodes-core), on plain slices.
//!
//! Nothing here knows a tensor library: slices go in, slices come out. An [`Encoder`] packs the bits of
//! vectors, a [`Decoder`] makes vectors of them again, [`Encoder::sample`] and [`Backward`] are a
//! training step's; all with the widest instructions that the processor has, a [`Level`], and with the
//! feature `threads` on all of its cores. [`plain`] is what they are held to.
//!
//! [`layout`] is the one place that says which bit of a code lies where; [`distance`] counts the bits in
//! which codes differ, [`columns`] how often bits are set, alone and together, [`joint`] decides bits
//! by their logits, [`signs`] packs them, and [`integers`] has one for each bit.
//!
//! ```
//! use bitcodes_kernels::{Decoder, Encoder, Rows};
//!
//! // Two bits for vectors of three elements: a pair of rows each.
//! let codebook = [0., 0., 0., 1., 0., 0., 0., 0., 0., 0., 2., 2.];
//! let x = [0.9, 0.2, -0.1, 0.7, 1.0, 1.5];
//! let mut packed = [0; 2]; // a byte for each vector
//! Encoder::new(&codebook, 3).encode(Rows::new(&x, 3), &mut packed);
//! assert_eq!(packed, [0b11, 0b11]);
//! assert_eq!(Decoder::new(&codebook, 3).decoded(&packed), [1., 2., 2., 1., 2., 2.]);
//! ```
#![no_std]

extern crate alloc;

mod decode;
mod encode;
mod level;
mod math;
mod memory;
mod product;
mod rows;
mod short_vectors;
mod tasks;
mod training;

pub mod columns;
pub mod distance;
pub mod integers;
pub mod joint;
pub mod layout;
pub mod plain;
pub mod signs;

pub use decode::Decoder;
pub use encode::Encoder;
pub use level::Level;
pub use rows::Rows;
pub use training::backward::{Backward, Gradients};
pub use training::forward::{Noise, Sampled};
