//! Reading matrices from NumPy files.

use std::path::{Path, PathBuf};
use std::{fs, io};

use npyz::{DType, Deserialize, NpyFile, Order};

/// Error of a file that does not hold a matrix of the type and size wanted.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", path.display())]
pub(crate) struct NpyError {
    path: PathBuf,
    cause: NpyCause,
}

#[derive(Debug, thiserror::Error)]
enum NpyCause {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("not a file of NumPy's: {0}")]
    Header(String),
    #[error("elements of type {found}, expected {wanted}")]
    Type { found: String, wanted: &'static str },
    #[error("an array of shape {found:?}, expected [n, {wanted}]")]
    Shape { found: Vec<u64>, wanted: usize },
    #[error("{found} bytes of data, expected {wanted} for shape {shape:?}")]
    Length {
        found: usize,
        wanted: String,
        shape: Vec<u64>,
    },
}

/// A type of elements that can be read.
pub(crate) trait Element: Deserialize + Copy + Default {
    /// NumPy's name of the type.
    const NAME: &'static str;
    /// The type's code in a file, without the byte order.
    const CODE: &'static str;
}

impl Element for f32 {
    const NAME: &'static str = "float32";
    const CODE: &'static str = "f4";
}

impl Element for u8 {
    const NAME: &'static str = "uint8";
    const CODE: &'static str = "u1";
}

/// Reads a matrix with `columns` columns and returns the number of rows and the elements, row by
/// row.
pub(crate) fn read<T: Element>(path: &Path, columns: usize) -> Result<(usize, Vec<T>), NpyError> {
    let parse = || {
        let bytes = fs::read(path)?;
        check_header(&bytes).map_err(NpyCause::Header)?;
        let mut data = &bytes[..];
        let file = NpyFile::new(&mut data).map_err(|error| NpyCause::Header(error.to_string()))?;
        let header = file.header().clone();
        drop(file);
        check_type::<T>(&header.dtype())?;

        let shape = header.shape().to_vec();
        let rows = match shape[..] {
            [rows, found] if found == columns as u64 => usize::try_from(rows).ok(),
            _ => {
                return Err(NpyCause::Shape {
                    found: shape,
                    wanted: columns,
                });
            }
        };
        let count = rows.and_then(|rows| rows.checked_mul(columns));
        let wanted = count.and_then(|count| count.checked_mul(size_of::<T>()));
        let (Some(rows), Some(wanted)) = (rows, wanted) else {
            return Err(NpyCause::Length {
                found: data.len(),
                wanted: "fewer than can be addressed".into(),
                shape,
            });
        };
        if data.len() != wanted {
            return Err(NpyCause::Length {
                found: data.len(),
                wanted: wanted.to_string(),
                shape,
            });
        }
        let order = header.order();
        let elements = NpyFile::with_header(header, data).into_vec::<T>()?;
        Ok((rows, by_rows(elements, order, rows, columns)))
    };
    parse().map_err(|cause| NpyError {
        path: path.to_path_buf(),
        cause,
    })
}

/// Refuses headers that are too long or too deeply nested, because the time to parse a header grows
/// quickly with the depth of its brackets.
fn check_header(bytes: &[u8]) -> Result<(), String> {
    // NumPy refuses longer headers by default.
    const MAX_LENGTH: usize = 10_000;
    const MAX_DEPTH: usize = 4;
    let after_magic = bytes
        .strip_prefix(b"\x93NUMPY")
        .ok_or("its magic number is not there")?;
    let (length, start) = match after_magic {
        [1, _, a, b, ..] => (usize::from(u16::from_le_bytes([*a, *b])), 10),
        [2 | 3, _, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 12),
        _ => return Err("its version is not 1, 2 or 3".into()),
    };
    if length > MAX_LENGTH {
        return Err(format!(
            "a header of {length} bytes, expected at most {MAX_LENGTH}"
        ));
    }
    let Some(header) = bytes[start..].get(..length) else {
        let found = bytes.len() - start;
        return Err(format!(
            "it ends after {found} bytes of a header of {length}"
        ));
    };
    let mut depth = 0usize;
    for byte in header {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(format!("brackets more than {MAX_DEPTH} deep in its header"));
        }
    }
    Ok(())
}

fn check_type<T: Element>(dtype: &DType) -> Result<(), NpyCause> {
    let found = dtype.descr();
    let found = found.trim_matches('\'');
    // The first character is the byte order: '<', '>' or '|'.
    match found.get(1..) == Some(T::CODE) {
        true => Ok(()),
        false => Err(NpyCause::Type {
            found: found.into(),
            wanted: T::NAME,
        }),
    }
}

fn by_rows<T: Element>(elements: Vec<T>, order: Order, rows: usize, columns: usize) -> Vec<T> {
    match order {
        Order::C => elements,
        Order::Fortran => (0..rows * columns)
            .map(|at| elements[at % columns * rows + at / columns])
            .collect(),
    }
}
