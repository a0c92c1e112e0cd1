//! Writing a matrix block by block.

use std::io::{self, Write};
use std::path::Path;

use crate::layout::Contents;
use crate::{Element, npy, safetensors};

/// A format of files that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// NumPy's `.npy`.
    Npy,
    /// Safetensors with one tensor, `vectors` or `codes`.
    Safetensors,
    /// `.fvecs`, for vectors alone.
    Fvecs,
}

impl Format {
    /// Returns the format that the suffix of a path stands for; `.npy` if there is none. The inner `Err` is a
    /// suffix of no format.
    pub fn of_path(path: &Path, contents: Contents) -> Result<Self, String> {
        let Some(suffix) = path.extension() else {
            return Ok(Self::Npy);
        };
        match (suffix.to_ascii_lowercase().to_str(), contents) {
            (Some("npy"), _) => Ok(Self::Npy),
            (Some("safetensors"), _) => Ok(Self::Safetensors),
            (Some("fvecs"), Contents::Vectors { .. }) => Ok(Self::Fvecs),
            _ => Err(suffix.to_string_lossy().into_owned()),
        }
    }
}

/// Writes the bytes of a file with a matrix, row by row.
#[derive(Debug)]
pub struct MatrixWriter<W> {
    to: W,
    /// The bytes before each row.
    before_row: Vec<u8>,
    columns: usize,
}

impl<W: Write> MatrixWriter<W> {
    /// Writes the header of a file of `rows` rows. `texts` are keys and texts of the metadata of safetensors, and
    /// are left out of other formats.
    ///
    /// # Errors
    ///
    /// Returns the error of the writer.
    ///
    /// # Panics
    ///
    /// Panics if the format is [`Format::Fvecs`] and the contents are codes.
    pub fn begin(
        mut to: W,
        format: Format,
        contents: Contents,
        rows: usize,
        texts: &[(&str, &str)],
    ) -> io::Result<Self> {
        let columns = contents.columns();
        let mut before_row = Vec::new();
        match format {
            Format::Npy => to.write_all(&npy::header(contents, rows as u64))?,
            Format::Safetensors => to.write_all(&safetensors::header(contents, rows, texts)?)?,
            Format::Fvecs => {
                assert_ne!(
                    contents.element(),
                    Element::U8,
                    "MatrixWriter: .fvecs of codes"
                );
                let count = i32::try_from(columns).map_err(|_| {
                    let message = format!(
                        "{columns} features, expected at most {} in .fvecs",
                        i32::MAX
                    );
                    io::Error::new(io::ErrorKind::InvalidInput, message)
                })?;
                before_row = count.to_le_bytes().to_vec();
            }
        }
        Ok(Self {
            to,
            before_row,
            columns,
        })
    }

    /// Writes rows of vectors.
    ///
    /// # Errors
    ///
    /// Returns the error of the writer.
    pub fn write_vectors(&mut self, vectors: &[f32]) -> io::Result<()> {
        if self.before_row.is_empty() && cfg!(target_endian = "little") {
            return self.to.write_all(bytemuck::cast_slice(vectors));
        }
        let mut bytes = Vec::with_capacity(size_of_val(vectors));
        for row in vectors.chunks_exact(self.columns) {
            bytes.extend_from_slice(&self.before_row);
            bytes.extend(row.iter().flat_map(|number| number.to_le_bytes()));
        }
        self.to.write_all(&bytes)
    }

    /// Writes rows of codes.
    ///
    /// # Errors
    ///
    /// Returns the error of the writer.
    pub fn write_codes(&mut self, codes: &[u8]) -> io::Result<()> {
        self.to.write_all(codes)
    }

    /// Returns what is written to, after the last row.
    pub fn into_inner(self) -> W {
        self.to
    }
}
