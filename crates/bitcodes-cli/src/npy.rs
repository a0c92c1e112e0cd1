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
