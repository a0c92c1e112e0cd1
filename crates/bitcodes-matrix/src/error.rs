//! The errors of files that are read.

use std::io;

/// Error of a file that does not hold the matrix wanted.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {cause}")]
pub struct MatrixError {
    /// The path, or the words "standard input".
    pub file: String,
    /// What is wrong.
    pub cause: MatrixCause,
}

/// The reason why a file does not hold the matrix wanted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MatrixCause {
    /// The file cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file is none of those that can be read.
    #[error("{0}, expected a .npy file, safetensors or .fvecs with vectors of {1}")]
    Unknown(String, usize),
    /// The file begins as NumPy's, but its header is not one.
    #[error("not a file of NumPy's: {0}")]
    NpyHeader(String),
    /// The file begins as safetensors, but its header is not one.
    #[error("not safetensors: {0}")]
    SafetensorsHeader(String),
    /// The elements have another type.
    #[error("elements of type {found}, expected {wanted}")]
    Type {
        /// The type in the file.
        found: String,
        /// The types that can be read.
        wanted: &'static str,
    },
    /// The array has another shape.
    #[error("an array of shape {found:?}, expected [n, {wanted}]")]
    Shape {
        /// The shape in the file.
        found: Vec<u64>,
        /// The number of columns wanted.
        wanted: usize,
    },
    /// The matrix is larger than anything that can be addressed.
    #[error("{rows} rows of {columns}, expected fewer than can be addressed")]
    TooLarge {
        /// Number of rows in the header.
        rows: u64,
        /// Number of columns in the header.
        columns: usize,
    },
    /// The file is shorter or longer than its header says.
    #[error("{found} bytes, expected {wanted} by its header")]
    Length {
        /// Number of bytes of the file.
        found: u64,
        /// Number of bytes that the header asks for.
        wanted: u64,
    },
    /// A pipe ended before the last row, or went on after it.
    #[error("{0}, expected the end after row {1}")]
    PipeLength(&'static str, usize),
    /// A row of `.fvecs` has another number of elements.
    #[error("row {row} has {found} elements, expected {wanted}")]
    Count {
        /// The row.
        row: usize,
        /// The number in the file.
        found: i32,
        /// The number wanted.
        wanted: usize,
    },
    /// The order of the file needs jumps, and a pipe has none.
    #[error("{0} cannot be read from a pipe, expected a file")]
    Pipe(&'static str),
    /// The file has several tensors, or not the one that was asked for.
    #[error("{wanted}, found {found}")]
    Tensor {
        /// What was asked for.
        wanted: String,
        /// The names of the tensors.
        found: String,
    },
    /// A tensor was named, but the file has no names.
    #[error("a tensor {0} is asked for, but the file is not safetensors")]
    NoNames(String),
}
