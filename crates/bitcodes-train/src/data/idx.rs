//! IDX, the file format of MNIST: a big-endian header, then unsigned bytes.
//!
//! ```text
//! 0x0000080D      magic number: type 08 (u8), D axes
//! u32 x D         length of each axis
//! u8 x product    the data, last axis fastest
//! ```

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

/// The array of bytes that an IDX file holds.
#[derive(Debug, PartialEq)]
pub(crate) struct Idx<const D: usize> {
    pub shape: [usize; D],
    pub data: Vec<u8>,
}

/// Limit on the bytes of a file, of which gzip can make a thousand times as many as it has. All images of EMNIST
/// have 640 MB.
const MAX_BYTES: usize = 1 << 30;

/// Error of an IDX file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", path.display())]
pub struct IdxError {
    /// The file.
    pub path: PathBuf,
    /// The reason why it cannot be read.
    pub cause: IdxCause,
}

/// The reason why an IDX file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdxCause {
    /// The file cannot be opened, read or decompressed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file does not exist in any form.
    #[error("no such file, nor with .gz appended, with a dot before idx, or in raw or MNIST/raw")]
    Missing,
    /// The file ends within the header.
    #[error("the file ends after {found} bytes, expected a header of {wanted}")]
    Header {
        /// Bytes in the file.
        found: usize,
        /// Bytes of a header.
        wanted: usize,
    },
    /// The file does not begin with the magic number of an IDX file of this rank.
    #[error("the magic number is {found:#010x}, expected {wanted:#010x}")]
    Magic {
        /// The number that the file begins with.
        found: u32,
        /// The magic number.
        wanted: u32,
    },
    /// The product of the sizes in the header is larger than any set of images that fits into memory.
    #[error("the header gives sizes {0:?}, expected at most {MAX_BYTES} bytes in all")]
    TooLarge(Vec<usize>),
    /// The file has more or fewer bytes of data than the header says.
    #[error("{found} bytes of data{}, expected {wanted} by the header", if *.more { " and more" } else { "" })]
    Length {
        /// Bytes that were read.
        found: usize,
        /// Bytes that the header announces.
        wanted: usize,
        /// True if more bytes follow after `found`.
        more: bool,
    },
}

/// Returns the paths that the file `name` may have: in the folder or in that of torchvision, with a dot for the last
/// hyphen as some archives unpack it, gzipped or not. The first that exists is read.
pub(crate) fn paths(folder: &Path, name: &str) -> Vec<PathBuf> {
    let dotted = name.replace("-idx", ".idx");
    let in_folder = |folder: PathBuf| {
        let names = [name, &dotted].map(String::from);
        let both = |name: String| [name.clone(), name + ".gz"];
        let names: Vec<String> = names.into_iter().flat_map(both).collect();
        names.into_iter().map(move |name| folder.join(name))
    };
    let folders = [
        folder.to_path_buf(),
        folder.join("raw"),
        folder.join("MNIST/raw"),
    ];
    folders.into_iter().flat_map(in_folder).collect()
}

/// A file whose header is read, so that its sizes can be checked before its data are.
pub(crate) struct IdxFile<const D: usize> {
    pub path: PathBuf,
    pub shape: [usize; D],
    data: Box<dyn Read>,
}

/// Opens the file `name` in `folder`, see [`paths`].
///
/// The first bytes of a file tell whether it is gzipped, not its name.
pub(crate) fn open<const D: usize>(folder: &Path, name: &str) -> Result<IdxFile<D>, IdxError> {
    let mut existing = paths(folder, name).into_iter().filter(|path| path.exists());
    let path = existing.next().unwrap_or_else(|| folder.join(name));
    let open = || match File::open(&path) {
        Ok(file) => unpacked(BufReader::new(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(IdxCause::Missing),
        Err(error) => Err(error.into()),
    };
    let header = open().and_then(|mut data| Ok((read_header(&mut data)?, data)));
    match header {
        Ok((shape, data)) => Ok(IdxFile { path, shape, data }),
        Err(cause) => Err(IdxError { path, cause }),
    }
}

/// Returns the shape of an IDX file of images or labels, gzipped or not, by its header.
///
/// # Errors
///
/// Returns [`IdxError`] if the file cannot be read or is not one.
pub fn describe_idx(path: &Path) -> Result<Vec<usize>, IdxError> {
    let shape = || {
        let open = || unpacked(BufReader::new(File::open(path)?));
        match read_header::<3>(&mut open()?) {
            Ok(shape) => Ok(shape.to_vec()),
            Err(IdxCause::Magic { .. }) => Ok(read_header::<1>(&mut open()?)?.to_vec()),
            Err(error) => Err(error),
        }
    };
    shape().map_err(|cause| IdxError {
        path: path.to_path_buf(),
        cause,
    })
}

impl<const D: usize> IdxFile<D> {
    /// Reads the data.
    pub fn read(self) -> Result<Idx<D>, IdxError> {
        let data = read_data(&self.shape, self.data);
        match data {
            Ok(data) => Ok(Idx {
                shape: self.shape,
                data,
            }),
            Err(cause) => Err(IdxError {
                path: self.path,
                cause,
            }),
        }
    }
}

/// Reads one array, gzipped or not.
pub(crate) fn read<const D: usize>(source: impl BufRead) -> Result<Idx<D>, IdxCause> {
    let mut source = unpacked(source)?;
    let shape = read_header(&mut source)?;
    let data = read_data(&shape, source)?;
    Ok(Idx { shape, data })
}

fn unpacked<'a>(mut source: impl BufRead + 'a) -> Result<Box<dyn Read + 'a>, IdxCause> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    Ok(match source.fill_buf()?.starts_with(&GZIP) {
        true => Box::new(MultiGzDecoder::new(source)),
        false => Box::new(source),
    })
}

fn read_header<const D: usize>(source: &mut impl Read) -> Result<[usize; D], IdxCause> {
    let mut header = Vec::new();
    let header_bytes = 4 * (1 + D);
    source.take(header_bytes as u64).read_to_end(&mut header)?;
    let mut fields = header
        .chunks_exact(4)
        .map(|field| u32::from_be_bytes([field[0], field[1], field[2], field[3]]));
    let wanted = 0x0800 + D as u32;
    match fields.next() {
        Some(found) if found != wanted => return Err(IdxCause::Magic { found, wanted }),
        _ if header.len() < header_bytes => {
            return Err(IdxCause::Header {
                found: header.len(),
                wanted: header_bytes,
            });
        }
        _ => {}
    }

    let mut shape = [0; D];
    for (size, field) in shape.iter_mut().zip(fields) {
        *size = field as usize;
    }
    Ok(shape)
}

fn read_data(shape: &[usize], source: impl Read) -> Result<Vec<u8>, IdxCause> {
    let wanted = shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size))
        .filter(|&bytes| bytes <= MAX_BYTES)
        .ok_or_else(|| IdxCause::TooLarge(shape.to_vec()))?;

    // Reading one byte more than wanted detects a file that is too long. Memory grows with the
    // bytes that are read, not with the size that the header claims.
    let mut data = Vec::new();
    source.take(wanted as u64 + 1).read_to_end(&mut data)?;
    if data.len() != wanted {
        return Err(IdxCause::Length {
            found: data.len().min(wanted),
            wanted,
            more: data.len() > wanted,
        });
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn file(magic: u32, sizes: &[u32], data: &[u8]) -> Vec<u8> {
        let header = [&[magic], sizes].concat();
        let mut bytes: Vec<u8> = header
            .iter()
            .flat_map(|field| field.to_be_bytes())
            .collect();
        bytes.extend(data);
        bytes
    }

    fn error<const D: usize>(bytes: &[u8]) -> String {
        read::<D>(bytes).unwrap_err().to_string()
    }

    #[test]
    fn reads_plain_and_gzipped() {
        let plain = file(0x803, &[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&plain).unwrap();
        let wanted = Idx {
            shape: [2, 1, 3],
            data: vec![1, 2, 3, 4, 5, 6],
        };
        assert_eq!(read::<3>(&plain[..]).unwrap(), wanted);
        assert_eq!(read::<3>(&encoder.finish().unwrap()[..]).unwrap(), wanted);
    }

    #[test]
    fn errors_name_what_was_found_and_what_was_wanted() {
        let short = file(0x803, &[2, 1, 3], &[1, 2, 3]);
        assert_eq!(
            error::<3>(&short),
            "3 bytes of data, expected 6 by the header"
        );
        let long = file(0x801, &[2], &[1, 2, 3]);
        assert_eq!(
            error::<1>(&long),
            "2 bytes of data and more, expected 2 by the header"
        );
        let labels = file(0x801, &[2], &[1, 2]);
        assert_eq!(
            error::<3>(&labels),
            "the magic number is 0x00000801, expected 0x00000803"
        );
        assert_eq!(
            error::<3>(&short[..7]),
            "the file ends after 7 bytes, expected a header of 16"
        );
        assert_eq!(
            error::<3>(&[]),
            "the file ends after 0 bytes, expected a header of 16"
        );
        let huge = file(0x803, &[u32::MAX; 3], &[]);
        assert!(error::<3>(&huge).contains("expected at most 1073741824 bytes in all"));
        let claims = file(0x801, &[1 << 30], &[1]);
        assert_eq!(
            error::<1>(&claims),
            "1 bytes of data, expected 1073741824 by the header"
        );
    }

    #[test]
    fn a_broken_gzip_stream_is_an_error() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder
            .write_all(&file(0x801, &[4], &[1, 2, 3, 4]))
            .unwrap();
        let packed = encoder.finish().unwrap();
        assert!(read::<1>(&packed[..packed.len() - 9]).is_err());
    }
}
