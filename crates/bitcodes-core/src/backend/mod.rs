//! What Bitcodes knows of single backends.

#[cfg(feature = "autodiff")]
pub(crate) mod autodiff;
#[cfg(feature = "wgpu")]
pub mod wgpu;
