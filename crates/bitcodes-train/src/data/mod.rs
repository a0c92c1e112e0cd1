//! Image data: MNIST's file format, the embedded digits, and a loader of batches.

mod idx;
mod images;
mod loader;

pub use idx::{IdxCause, IdxError, describe_idx};
pub use images::{DataError, ImageSet, Images, data_files};
pub use loader::{ImageBatch, ImageLoader};
