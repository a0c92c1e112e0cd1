//! What Bitcodes knows of single backends.

#[cfg(feature = "wgpu")]
pub mod wgpu;
