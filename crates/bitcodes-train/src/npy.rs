//! Writing arrays as NumPy files.

use std::io;

use npyz::{AutoSerialize, WriterBuilder};

/// Returns an array as the bytes of a NumPy file (`.npy`). The elements are in row-major order.
///
/// # Errors
///
/// Returns [`io::Error`] if the number of elements is not the shape's.
pub fn npy<T: AutoSerialize + Copy>(shape: &[u64], elements: &[T]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(shape)
        .writer(&mut bytes)
        .begin_nd()?;
    writer.extend(elements.iter().copied())?;
    writer.finish()?;
    Ok(bytes)
}
