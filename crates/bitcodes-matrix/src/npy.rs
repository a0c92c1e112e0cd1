//! The header of NumPy's files.

use std::io::Read;

use npyz::{DType, NpyHeader, WriterBuilder};

use crate::Element;
use crate::error::MatrixCause;
use crate::layout::{Contents, Layout, Order};

pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

/// NumPy refuses longer headers by default.
const MAX_LENGTH: usize = 10_000;

/// What a header says.
pub(crate) struct Header {
    pub shape: Vec<u64>,
    /// `None` if the elements have a type that is not read.
    pub element: Option<Element>,
    /// NumPy's name of the type, with the order of bytes.
    pub type_name: String,
    pub order: Order,
    /// Number of bytes before the elements.
    pub bytes: u64,
}

/// Returns the layout of a file, of which the first 8 bytes are read.
pub(crate) fn layout(
    first: &[u8; 8],
    reader: &mut impl Read,
    contents: Contents,
) -> Result<Layout, MatrixCause> {
    let header = read_header(first, reader)?;
    let Header {
        element,
        type_name,
        order,
        bytes,
        ..
    } = &header;
    contents.layout(&header.shape, *element, type_name, *order, *bytes)
}

/// Reads the header after its first 8 bytes, which are the magic number and the version.
pub(crate) fn read_header(first: &[u8; 8], reader: &mut impl Read) -> Result<Header, MatrixCause> {
    let length_bytes = match first[6] {
        1 => 2,
        2 | 3 => 4,
        other => {
            return Err(MatrixCause::NpyHeader(format!(
                "its version is {other}, expected 1, 2 or 3"
            )));
        }
    };
    let mut length = [0; 4];
    fill(reader, &mut length[..length_bytes])?;
    let text_bytes = u32::from_le_bytes(length) as usize;
    if text_bytes > MAX_LENGTH {
        return Err(MatrixCause::NpyHeader(format!(
            "a header of {text_bytes} bytes, expected at most {MAX_LENGTH}"
        )));
    }
    let mut text = vec![0; text_bytes];
    fill(reader, &mut text)?;
    check_depth(&text)?;
    let text = with_plain_type(&text);

    let mut header = first.to_vec();
    // The text may have another length than in the file.
    let length = text.len() as u32;
    header.extend_from_slice(&length.to_le_bytes()[..length_bytes]);
    header.extend_from_slice(&text);
    let header = NpyHeader::from_reader(&header[..])
        .map_err(|error| MatrixCause::NpyHeader(error.to_string()))?;
    let descr = header.dtype().descr();
    Ok(Header {
        shape: header.shape().to_vec(),
        element: element(&header.dtype()),
        type_name: descr.trim_matches('\'').into(),
        order: match header.order() {
            npyz::Order::C => Order::Rows,
            npyz::Order::Fortran => Order::Columns,
        },
        bytes: (first.len() + length_bytes + text_bytes) as u64,
    })
}

/// Returns the header of a file of these rows.
pub(crate) fn header(contents: Contents, rows: u64) -> Vec<u8> {
    let shape = [rows, contents.columns() as u64];
    let mut bytes = Vec::new();
    let begun = match contents {
        Contents::Vectors { .. } => begin::<f32>(&shape, &mut bytes),
        Contents::Codes { .. } => begin::<u8>(&shape, &mut bytes),
    };
    begun.expect("memory can be written to");
    bytes
}

fn begin<T: npyz::AutoSerialize>(shape: &[u64], bytes: &mut Vec<u8>) -> std::io::Result<()> {
    let options = npyz::WriteOptions::<T>::new().default_dtype();
    options.shape(shape).writer(bytes).begin_nd().map(drop)
}

fn fill(reader: &mut impl Read, bytes: &mut [u8]) -> Result<(), MatrixCause> {
    reader.read_exact(bytes).map_err(|error| {
        match error.kind() == std::io::ErrorKind::UnexpectedEof {
            true => MatrixCause::NpyHeader("it ends within its header".into()),
            false => error.into(),
        }
    })
}

/// Refuses deeply nested headers, because the time to parse a header grows quickly with the depth of its
/// brackets.
fn check_depth(header: &[u8]) -> Result<(), MatrixCause> {
    const MAX_DEPTH: usize = 4;
    let mut depth = 0usize;
    for byte in header {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            let message = format!("brackets more than {MAX_DEPTH} deep in its header");
            return Err(MatrixCause::NpyHeader(message));
        }
    }
    Ok(())
}

/// Replaces names of types that NumPy reads and never writes.
fn with_plain_type(header: &[u8]) -> Vec<u8> {
    let native = if cfg!(target_endian = "big") {
        '>'
    } else {
        '<'
    };
    let mut text = String::from_utf8_lossy(header).into_owned();
    for (name, code) in [("float16", "f2"), ("float32", "f4"), ("float64", "f8")] {
        for other in [name.to_string(), code.to_string(), format!("={code}")] {
            text = text.replace(&format!("'{other}'"), &format!("'{native}{code}'"));
        }
    }
    for other in ["uint8", "u1", "=u1", "B"] {
        text = text.replace(&format!("'{other}'"), "'|u1'");
    }
    text.into_bytes()
}

fn element(dtype: &DType) -> Option<Element> {
    let descr = dtype.descr();
    let descr = descr.trim_matches('\'');
    let big_endian = descr.starts_with('>');
    // The first character is the order of bytes: '<', '>' or '|'.
    Some(match descr.get(1..)? {
        "u1" => Element::U8,
        "f2" => Element::F16 { big_endian },
        "f4" => Element::F32 { big_endian },
        "f8" => Element::F64 { big_endian },
        _ => return None,
    })
}
