//! Images to train on: MNIST's files, the embedded digits, and batches of either.

mod idx;
mod images;
mod loader;

pub use idx::{IdxCause, IdxError};
pub use images::{DataError, ImageSet, Images};
pub use loader::{ImageBatch, ImageLoader};
