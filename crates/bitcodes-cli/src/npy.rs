//! Matrices in files of NumPy's.

use std::path::{Path, PathBuf};
use std::{fs, io};

use npyz::{DType, Deserialize, NpyFile, Order};

/// A file that holds no matrix of the kind wanted.
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

/// A type of elements that files are read of.
pub(crate) trait Element: Deserialize + Copy + Default {
    /// What NumPy calls it, without the order of its bytes.
    const NAME: &'static str;
    /// What its description in a file begins or ends with.
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

/// Reads a matrix of `columns` columns, row by row: how many rows there are, and their elements.
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

/// The reader of headers takes a time that grows by a power with the depth of their brackets.
fn check_header(bytes: &[u8]) -> Result<(), String> {
    // NumPy itself reads no longer ones unasked.
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
    // With '<', '>' or '|' for the order of its bytes before it.
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
