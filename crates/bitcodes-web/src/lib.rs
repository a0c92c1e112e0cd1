//! Bitcodes in browsers: the functions and classes that JavaScript calls.
//!
//! Each build has one backend, which a feature chooses: `cpu` is Flex on the CPU (with vector
//! instructions if `simd` is on), and `webgpu` is WebGPU. `cargo xtask web` builds both. Users
//! install the npm package in `npm/`: its `index.js` loads one of the two builds and gives both the
//! same interface. The arguments that it passes on are checked in this crate.
//!
//! A function starts its computation when it is called and returns a promise of the result, because
//! code in a browser cannot wait for the GPU. Every failure is a JavaScript `Error`.

mod arrays;
mod autoencoder;
mod compute;
mod quantizer;

pub use autoencoder::Autoencoder;
pub use compute::open;
pub use quantizer::Quantizer;
