//! Files of vectors and of packed codes, read and written block by block.
//!
//! [`MatrixReader`] recognizes a file by its first bytes and reads rows of it. [`MatrixWriter`] writes the bytes
//! of a file, in one of the [`Format`]s, to any [`Write`](std::io::Write).
//!
//! ```
//! use bitcodes_matrix::{Contents, Format, MatrixReader, MatrixWriter};
//!
//! let folder = tempfile::tempdir().unwrap();
//! let path = folder.path().join("x.npy");
//! let contents = Contents::Vectors { features: 2 };
//! let file = std::fs::File::create(&path).unwrap();
//! let mut writer = MatrixWriter::begin(file, Format::Npy, contents, 3, &[]).unwrap();
//! writer.write_vectors(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
//!
//! let mut reader = MatrixReader::open(&path, contents, None).unwrap();
//! let mut block = Vec::new();
//! reader.skip(1).unwrap();
//! reader.read_vectors(2, &mut block).unwrap();
//! assert_eq!(block, [3.0, 4.0, 5.0, 6.0]);
//! ```

mod describe;
mod element;
mod error;
mod fvecs;
mod layout;
mod npy;
mod reader;
mod safetensors;
mod source;
mod writer;

pub use describe::{ArrayDescription, Description, describe};
pub use element::Element;
pub use error::{MatrixCause, MatrixError};
pub use layout::Contents;
pub use reader::MatrixReader;
pub use writer::{Format, MatrixWriter};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
