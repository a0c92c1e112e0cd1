//! What Bitcodes knows of single backends.

#[cfg(feature = "autodiff")]
pub(crate) mod autodiff;
pub(crate) mod host;
#[cfg(feature = "wgpu")]
pub mod wgpu;
