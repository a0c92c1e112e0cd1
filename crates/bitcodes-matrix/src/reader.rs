//! Reading a matrix block by block.

use std::io::{self, Read};
use std::path::Path;

use crate::error::{MatrixCause, MatrixError};
use crate::layout::{Contents, Layout, Order};
use crate::safetensors::Texts;
use crate::source::Source;
use crate::{Element, fvecs, npy, safetensors};

/// A file that holds a matrix, of which rows are read.
///
/// The file is recognized by its first bytes: `.npy`, safetensors, or `.fvecs`. A pipe can be read too, unless
/// the file is `.fvecs` or is in the order of columns.
#[derive(Debug)]
pub struct MatrixReader {
    /// The path, or the words "standard input".
    name: String,
    source: Source,
    layout: Layout,
    texts: Texts,
    /// The next row.
    row: usize,
    /// Memory for what is not in the order and type wanted.
    raw: Vec<u8>,
}

impl MatrixReader {
    /// Opens a file and reads its header; the path `-` is standard input.
    ///
    /// `tensor` names the tensor of safetensors. Without a name the file has to have one tensor, or one that is
    /// called `vectors` or `codes`, as the contents are.
    ///
    /// # Errors
    ///
    /// Returns [`MatrixError`] if the file cannot be read, or does not hold a matrix of the contents wanted.
    pub fn open(
        path: &Path,
        contents: Contents,
        tensor: Option<&str>,
    ) -> Result<Self, MatrixError> {
        let name = match path == Path::new("-") {
            true => "standard input".to_string(),
            false => path.display().to_string(),
        };
        let source = Source::open(path).map_err(MatrixCause::from);
        let reader = source.and_then(|source| Self::of(source, contents, tensor));
        match reader {
            Ok(reader) => Ok(Self { name, ..reader }),
            Err(cause) => Err(MatrixError { file: name, cause }),
        }
    }

    fn of(
        mut source: Source,
        contents: Contents,
        tensor: Option<&str>,
    ) -> Result<Self, MatrixCause> {
        let size = source.size()?;
        let mut first = [0; 9];
        // The magic number and the version of `.npy`, or the length of the header of safetensors.
        let mut read = read_up_to(&mut source, &mut first[..8])?;
        let mut texts = Texts::new();
        let (layout, header_bytes, end);
        if first.starts_with(npy::MAGIC) && read == 8 {
            if let Some(name) = tensor {
                return Err(MatrixCause::NoNames(name.into()));
            }
            let first = first.first_chunk().expect("there are 9 bytes");
            layout = npy::layout(first, &mut source, contents)?;
            (header_bytes, end) = (layout.start, layout.start + layout.bytes);
        } else {
            read += read_up_to(&mut source, &mut first[read..])?;
            if safetensors::is_beginning(&first[..read]) {
                (layout, header_bytes, end, texts) =
                    safetensors::layout(&first, &mut source, contents, tensor)?;
            } else {
                layout = of_counted_rows(&first[..read], size, contents)?;
                (header_bytes, end) = (0, layout.bytes);
            }
        }
        match size {
            Some(found) if found != end => return Err(MatrixCause::Length { found, wanted: end }),
            None if layout.order == Order::Columns => {
                return Err(MatrixCause::Pipe("an array in the order of columns"));
            }
            None if header_bytes != layout.start || layout.start + layout.bytes != end => {
                return Err(MatrixCause::Pipe("one of several tensors"));
            }
            _ => {}
        }
        source.seek(layout.start)?;
        Ok(Self {
            name: String::new(),
            source,
            layout,
            texts,
            row: 0,
            raw: Vec::new(),
        })
    }

    /// Returns the number of rows in the file.
    pub fn rows(&self) -> usize {
        self.layout.rows
    }

    /// Returns the type of the elements in the file.
    pub fn element(&self) -> Element {
        self.layout.element
    }

    /// Returns the text of a key in the metadata of safetensors.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.texts.get(key).map(String::as_str)
    }

    /// Passes over rows.
    ///
    /// # Errors
    ///
    /// Returns [`MatrixError`] if a pipe ends before.
    ///
    /// # Panics
    ///
    /// Panics if fewer rows are left.
    pub fn skip(&mut self, rows: usize) -> Result<(), MatrixError> {
        self.check(rows);
        self.row += rows;
        let passed = self.pass(rows);
        passed.map_err(|cause| self.error(cause))
    }

    fn pass(&mut self, rows: usize) -> Result<(), MatrixCause> {
        let place = self.layout.start + self.row as u64 * self.layout.row_bytes() as u64;
        if self.layout.order == Order::Columns || self.source.seek(place)? {
            return Ok(());
        }
        let bytes = rows as u64 * self.layout.row_bytes() as u64;
        let passed = io::copy(&mut (&mut self.source).take(bytes), &mut io::sink())?;
        match passed == bytes {
            true => Ok(()),
            false => Err(self.pipe_ends()),
        }
    }

    /// Reads the next rows of vectors as f32. What was in `vectors` is replaced.
    ///
    /// # Errors
    ///
    /// Returns [`MatrixError`] if the file cannot be read, or if a pipe is shorter or longer than its header says.
    ///
    /// # Panics
    ///
    /// Panics if fewer rows are left, or if the file was opened for codes.
    pub fn read_vectors(&mut self, rows: usize, vectors: &mut Vec<f32>) -> Result<(), MatrixError> {
        self.check(rows);
        vectors.resize(rows * self.layout.columns, 0.0);
        let read = self.fill_vectors(rows, vectors);
        self.row += rows;
        let read = read.and_then(|()| self.check_end());
        read.map_err(|cause| self.error(cause))
    }

    fn fill_vectors(&mut self, rows: usize, vectors: &mut [f32]) -> Result<(), MatrixCause> {
        let Layout {
            element,
            order,
            columns,
            ..
        } = self.layout;
        let is_native = element
            == Element::F32 {
                big_endian: cfg!(target_endian = "big"),
            };
        if order == Order::Rows && is_native {
            return self.fill(bytemuck::cast_slice_mut(vectors));
        }
        let mut raw = std::mem::take(&mut self.raw);
        let filled = match order {
            Order::Columns => self.fill_by_columns(rows, &mut raw, vectors),
            Order::Rows | Order::CountedRows => {
                raw.resize(rows * self.layout.row_bytes(), 0);
                self.fill(&mut raw).and_then(|()| match order {
                    Order::CountedRows => fvecs::to_f32(&raw, self.row, columns, vectors),
                    _ => {
                        element.to_f32(&raw, vectors);
                        Ok(())
                    }
                })
            }
        };
        self.raw = raw;
        filled
    }

    fn fill_by_columns(
        &mut self,
        rows: usize,
        raw: &mut Vec<u8>,
        vectors: &mut [f32],
    ) -> Result<(), MatrixCause> {
        let Layout {
            element,
            columns,
            start,
            ..
        } = self.layout;
        raw.resize(rows * element.bytes(), 0);
        let mut elements = vec![0.0; rows];
        for column in 0..columns {
            let first = column as u64 * self.layout.rows as u64 + self.row as u64;
            self.source.seek(start + first * element.bytes() as u64)?;
            self.fill(raw)?;
            element.to_f32(raw, &mut elements);
            let to = vectors[column..].iter_mut().step_by(columns);
            to.zip(&elements).for_each(|(to, &from)| *to = from);
        }
        Ok(())
    }

    /// Reads the next rows of codes. What was in `codes` is replaced.
    ///
    /// # Errors
    ///
    /// As [`read_vectors`](Self::read_vectors).
    ///
    /// # Panics
    ///
    /// Panics if fewer rows are left, or if the file was opened for vectors.
    pub fn read_codes(&mut self, rows: usize, codes: &mut Vec<u8>) -> Result<(), MatrixError> {
        self.check(rows);
        assert_eq!(
            self.layout.element,
            Element::U8,
            "MatrixReader: codes of vectors"
        );
        codes.resize(rows * self.layout.columns, 0);
        let read = match self.layout.order {
            Order::Columns => self.fill_codes_by_columns(rows, codes),
            Order::Rows | Order::CountedRows => self.fill(codes),
        };
        self.row += rows;
        let read = read.and_then(|()| self.check_end());
        read.map_err(|cause| self.error(cause))
    }

    fn fill_codes_by_columns(&mut self, rows: usize, codes: &mut [u8]) -> Result<(), MatrixCause> {
        let Layout { columns, start, .. } = self.layout;
        let mut bytes = vec![0; rows];
        for column in 0..columns {
            let first = column as u64 * self.layout.rows as u64 + self.row as u64;
            self.source.seek(start + first)?;
            self.fill(&mut bytes)?;
            let to = codes[column..].iter_mut().step_by(columns);
            to.zip(&bytes).for_each(|(to, &from)| *to = from);
        }
        Ok(())
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), MatrixCause> {
        match read_up_to(&mut self.source, bytes)? == bytes.len() {
            true => Ok(()),
            false => Err(self.pipe_ends()),
        }
    }

    /// Checks that a pipe ends after its last row.
    fn check_end(&mut self) -> Result<(), MatrixCause> {
        let is_pipe = matches!(self.source, Source::Pipe(_));
        if !is_pipe || self.row < self.layout.rows {
            return Ok(());
        }
        match read_up_to(&mut self.source, &mut [0])? == 0 {
            true => Ok(()),
            false => Err(MatrixCause::PipeLength("more bytes", self.layout.rows)),
        }
    }

    fn pipe_ends(&self) -> MatrixCause {
        MatrixCause::PipeLength("it ends early", self.layout.rows)
    }

    fn check(&self, rows: usize) {
        let left = self.layout.rows - self.row;
        assert!(
            rows <= left,
            "MatrixReader: {rows} rows, expected at most {left}"
        );
    }

    fn error(&self, cause: MatrixCause) -> MatrixError {
        MatrixError {
            file: self.name.clone(),
            cause,
        }
    }
}

/// Returns the layout of `.fvecs`, which no magic number marks.
fn of_counted_rows(
    first: &[u8],
    size: Option<u64>,
    contents: Contents,
) -> Result<Layout, MatrixCause> {
    let columns = contents.columns();
    let unknown = || {
        let said = match first.len() {
            9 => format!("it begins with {first:02x?}"),
            bytes => format!("it has {bytes} bytes"),
        };
        MatrixCause::Unknown(said, columns)
    };
    let Contents::Vectors { features } = contents else {
        return Err(unknown());
    };
    let Some(bytes) = size else {
        // No size is right, so vectors of the wanted size are an error, and others are none.
        let is_fvecs = fvecs::layout(first, u64::MAX, features).is_err();
        return Err(match is_fvecs {
            true => MatrixCause::Pipe(".fvecs"),
            false => unknown(),
        });
    };
    fvecs::layout(first, bytes, features)?.ok_or_else(unknown)
}

/// Reads until the bytes are full or the file ends, and returns how many were read.
fn read_up_to(reader: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match reader.read(&mut bytes[read..]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests;
