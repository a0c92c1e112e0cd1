//! Code that depends on the backend.

#[cfg(feature = "autodiff")]
pub(crate) mod autodiff;
pub(crate) mod kernels;
pub(crate) mod known;
pub(crate) mod lend;
#[cfg(feature = "autodiff")]
pub(crate) mod training;
#[cfg(feature = "wgpu")]
pub mod wgpu;

pub use kernels::{Path, path};
