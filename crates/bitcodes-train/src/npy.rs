//! Arrays as files of NumPy's.

use std::io;

use npyz::{AutoSerialize, WriterBuilder};

/// An array as the bytes of a file of NumPy's, the last axis fastest.
///
/// # Errors
///
/// Where the elements are more or fewer than the shape's; writing to memory gives no other.
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
