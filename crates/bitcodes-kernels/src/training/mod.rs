//! The two passes of a training step: [`forward`] decides bits with noise, [`backward`] computes
//! the gradients of vectors and codebook.

pub mod backward;
pub mod forward;
