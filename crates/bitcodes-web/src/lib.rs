//! Bitcodes in browsers: what JavaScript calls.
//!
//! One build computes on one backend, by its feature: Flex on the CPU with `cpu`, with vector
//! instructions by `simd`, or WebGPU with `webgpu`. The package that people install,
//! `npm/index.js`, loads one of the two and puts a common face on them; what it hands on is checked
//! here. `cargo xtask web` builds both.
//!
//! Whatever computes does so when it is called, and is a promise for what is read back: on WebGPU
//! nothing can wait for the GPU. Every failure is a JavaScript `Error`.

mod arrays;
mod autoencoder;
mod compute;
mod quantizer;

pub use autoencoder::Autoencoder;
pub use compute::open;
pub use quantizer::Quantizer;
