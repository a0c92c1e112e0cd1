//! The bit layout of [Bitcodes](https://docs.rs/bitcodes-core), on plain slices.
//!
//! Nothing here knows a tensor library: slices go in, slices come out. [`layout`] is the one place
//! that says which bit of a code lies where; [`distance`] counts the bits in which codes differ,
//! [`columns`] how often bits are set, alone and together, [`residual`] decides bits by their logits,
//! and [`signs`] packs them.
//!
//! ```
//! use bitcodes_kernels::layout;
//!
//! let bits = [1, 1, 0, 1, 0, 0, 0, 0, 1];
//! let mut bytes = vec![0; layout::row_bytes(bits.len())];
//! layout::pack_row(&bits, &mut bytes).unwrap();
//! assert_eq!(bytes, [0b0000_1011, 0b0000_0001]);
//! ```
#![no_std]

extern crate alloc;

mod decode;
mod encode;
mod gradient;
mod level;
mod math;
mod memory;
mod product;
mod rows;
mod sample;
mod tasks;

pub mod columns;
pub mod distance;
pub mod integers;
pub mod layout;
pub mod plain;
pub mod residual;
pub mod signs;

pub use decode::Decoder;
pub use encode::Encoder;
pub use gradient::{Backward, Gradients};
pub use level::Level;
pub use rows::Rows;
pub use sample::{Noise, Sampled};
