//! Tests of reading and writing, and of damaged files.

use super::*;
use crate::{Format, MatrixWriter};
use proptest::prelude::*;

const VECTORS: Contents = Contents::Vectors { features: 3 };
const CODES: Contents = Contents::Codes { bytes: 2 };

fn from_pipe(bytes: &[u8], contents: Contents) -> Result<MatrixReader, MatrixCause> {
    let pipe = io::Cursor::new(bytes.to_vec());
    MatrixReader::of(Source::Pipe(Box::new(pipe)), contents, None)
}

fn from_file(bytes: &[u8], contents: Contents) -> Result<MatrixReader, MatrixCause> {
    let mut file = tempfile::tempfile()?;
    std::io::Write::write_all(&mut file, bytes)?;
    let mut source = Source::File(file);
    source.seek(0)?;
    MatrixReader::of(source, contents, None)
}

fn written(format: Format, rows: usize, vectors: &[f32]) -> Vec<u8> {
    let writer = MatrixWriter::begin(Vec::new(), format, VECTORS, rows, &[]);
    let mut writer = writer.unwrap();
    for block in vectors.chunks(2 * 3) {
        writer.write_vectors(block).unwrap();
    }
    writer.into_inner()
}

#[test]
fn what_is_written_is_read_in_blocks_of_any_size() {
    let vectors: Vec<f32> = (0..21).map(|i| i as f32 - 10.5).collect();
    for format in [Format::Npy, Format::Safetensors, Format::Fvecs] {
        let bytes = written(format, 7, &vectors);
        for block in [1, 2, 3, 7] {
            let mut readers = vec![from_file(&bytes, VECTORS).unwrap()];
            if format != Format::Fvecs {
                readers.push(from_pipe(&bytes, VECTORS).unwrap());
            }
            for mut reader in readers {
                assert_eq!(reader.rows(), 7);
                reader.skip(1).unwrap();
                let (mut read, mut part) = (Vec::new(), Vec::new());
                for start in (1..7).step_by(block) {
                    reader
                        .read_vectors(block.min(7 - start), &mut part)
                        .unwrap();
                    read.extend_from_slice(&part);
                }
                assert_eq!(read, vectors[3..], "{format:?} in blocks of {block}");
            }
        }
    }
}

#[test]
fn codes_are_read_by_rows_and_by_columns() {
    let rows = [1u8, 2, 3, 4, 5, 6];
    let header = "{'descr': '|u1', 'fortran_order': True, 'shape': (3, 2), }";
    let mut columns = b"\x93NUMPY\x01\x00".to_vec();
    columns.extend((header.len() as u16).to_le_bytes());
    columns.extend(header.as_bytes());
    columns.extend([1, 3, 5, 2, 4, 6]);
    let mut writer = MatrixWriter::begin(Vec::new(), Format::Npy, CODES, 3, &[]).unwrap();
    writer.write_codes(&rows).unwrap();
    for bytes in [columns, writer.into_inner()] {
        let mut reader = from_file(&bytes, CODES).unwrap();
        let (mut first, mut rest) = (Vec::new(), Vec::new());
        reader.read_codes(1, &mut first).unwrap();
        reader.read_codes(2, &mut rest).unwrap();
        assert_eq!([first, rest].concat(), rows);
    }
}

/// The first byte of the second element is that of a brace.
#[test]
fn vectors_that_look_like_safetensors_are_read() {
    let vectors = [1.5, f32::from_le_bytes([b'{', b'"', 0, 0x40]), 0.25];
    let bytes = written(Format::Fvecs, 1, &vectors);
    assert_eq!(bytes[8], b'{');
    let mut block = Vec::new();
    from_file(&bytes, VECTORS)
        .unwrap()
        .read_vectors(1, &mut block)
        .unwrap();
    assert_eq!(block, vectors);
}

#[test]
fn rows_of_another_length_in_fvecs_are_named() {
    let mut bytes = written(Format::Fvecs, 4, &[0.0; 12]);
    bytes[2 * 16] = 7;
    let mut reader = from_file(&bytes, VECTORS).unwrap();
    let mut block = Vec::new();
    reader.read_vectors(1, &mut block).unwrap();
    let error = reader.read_vectors(3, &mut block).unwrap_err();
    assert_eq!(error.cause.to_string(), "row 2 has 7 elements, expected 3");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Bytes are flipped, cut and added. What opens has the size that its header says, so it can be read.
    #[test]
    fn damaged_files_are_errors_or_are_read(
        format in prop::sample::select(vec![Format::Npy, Format::Safetensors, Format::Fvecs]),
        flips in prop::collection::vec((0usize..200, any::<u8>()), 0..4),
        length in 0usize..220,
    ) {
        let mut bytes = written(format, 4, &[1.0; 12]);
        for (at, value) in flips {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        bytes.resize(length.max(bytes.len() / 2), 0);
        for contents in [VECTORS, CODES] {
            for reader in [from_file(&bytes, contents), from_pipe(&bytes, contents)] {
                let Ok(mut reader) = reader else { continue };
                let rows = reader.rows().min(100);
                let read = match contents {
                    Contents::Vectors { .. } => reader.read_vectors(rows, &mut Vec::new()),
                    Contents::Codes { .. } => reader.read_codes(rows, &mut Vec::new()),
                };
                prop_assert!(read.is_ok() || !read.unwrap_err().to_string().is_empty());
            }
        }
    }
}
