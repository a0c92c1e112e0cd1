//! The header of safetensors.

use std::collections::HashMap;
use std::io::{self, Read};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::Element;
use crate::error::MatrixCause;
use crate::layout::{Contents, Layout, Order};

/// The name of the tensor that is written.
const CODES: &str = "codes";
const VECTORS: &str = "vectors";

/// A header with thousands of tensors is shorter.
const MAX_LENGTH: u64 = 1_000_000;

/// The texts in the metadata of a file.
pub(crate) type Texts = HashMap<String, String>;

/// Returns whether a file begins as safetensors do: the length of the header, then JSON. In `.fvecs` the upper half of
/// the length is the first element, and the brace a part of the second.
pub(crate) fn is_beginning(first: &[u8]) -> bool {
    let length = first
        .first_chunk()
        .map(|&length| u64::from_le_bytes(length));
    first.get(8) == Some(&b'{') && length.is_some_and(|length| length < 1 << 32)
}

/// Reads the header after its first 9 bytes, which are its length and an opening brace. Returns it with the number
/// of bytes before the data.
pub(crate) fn read_header(
    first: &[u8; 9],
    reader: &mut impl Read,
) -> Result<(Metadata, u64), MatrixCause> {
    let broken = |message: String| MatrixCause::SafetensorsHeader(message);
    let (length, brace) = first.split_first_chunk().expect("there are 9 bytes");
    let text_bytes = u64::from_le_bytes(*length);
    if !(1..=MAX_LENGTH).contains(&text_bytes) {
        let message = format!("a header of {text_bytes} bytes, expected 1 to {MAX_LENGTH}");
        return Err(broken(message));
    }
    let mut text = brace.to_vec();
    let rest = text_bytes - brace.len() as u64;
    let read = reader.take(rest).read_to_end(&mut text)? as u64;
    if read < rest {
        return Err(broken("it ends within its header".into()));
    }
    // This checks that each tensor has the bytes of its shape, and that there are no gaps.
    let header = serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))?;
    Ok((header, length.len() as u64 + text_bytes))
}

/// Returns the layout of a tensor of a file, of which the first 9 bytes are read.
///
/// Without a name, the tensor is the only one of the file, or the one that is called as those that are written.
/// Returns the layout, the number of bytes of the header and of the file, and the texts of the metadata.
pub(crate) fn layout(
    first: &[u8; 9],
    reader: &mut impl Read,
    contents: Contents,
    name: Option<&str>,
) -> Result<(Layout, u64, u64, Texts), MatrixCause> {
    let (header, header_bytes) = read_header(first, reader)?;
    let tensor = tensor(&header, contents, name)?;
    let element = match tensor.dtype {
        Dtype::U8 => Some(Element::U8),
        Dtype::F16 => Some(Element::F16 { big_endian: false }),
        Dtype::BF16 => Some(Element::Bf16),
        Dtype::F32 => Some(Element::F32 { big_endian: false }),
        Dtype::F64 => Some(Element::F64 { big_endian: false }),
        _ => None,
    };
    let shape: Vec<u64> = tensor.shape.iter().map(|&size| size as u64).collect();
    let start = header_bytes.saturating_add(tensor.data_offsets.0 as u64);
    let type_name = tensor.dtype.to_string();
    let layout = contents.layout(&shape, element, &type_name, Order::Rows, start)?;
    let end = header_bytes.saturating_add(header.data_len() as u64);
    let texts = header.metadata().clone().unwrap_or_default();
    Ok((layout, header_bytes, end, texts))
}

fn tensor<'a>(
    header: &'a Metadata,
    contents: Contents,
    name: Option<&str>,
) -> Result<&'a TensorInfo, MatrixCause> {
    let mut names = header.offset_keys();
    let usual = name_of(contents);
    let found = match name {
        Some(name) => header.info(name),
        None => header.info(usual).or_else(|| match &names[..] {
            [only] => header.info(only),
            _ => None,
        }),
    };
    found.ok_or_else(|| {
        names.sort_unstable();
        let shown: Vec<&str> = names.iter().map(String::as_str).take(20).collect();
        let found = match names.len() {
            0 => "none".into(),
            more @ 21.. => format!("{} and {} more", shown.join(", "), more - 20),
            _ => shown.join(", "),
        };
        let wanted = match name {
            Some(name) => format!("no tensor {name}"),
            None => format!("expected one tensor, or one called {usual}, or a name"),
        };
        MatrixCause::Tensor { wanted, found }
    })
}

/// Returns the header of a file of these rows.
///
/// # Errors
///
/// Returns an error if there are more rows than can be addressed.
pub(crate) fn header(
    contents: Contents,
    rows: usize,
    texts: &[(&str, &str)],
) -> io::Result<Vec<u8>> {
    let layout = Layout::new(
        rows as u64,
        contents.columns(),
        contents.element(),
        Order::Rows,
        0,
    );
    let too_large = |message: String| io::Error::new(io::ErrorKind::InvalidInput, message);
    let layout = layout.map_err(|error| too_large(error.to_string()))?;
    let tensor = TensorInfo {
        dtype: match contents {
            Contents::Vectors { .. } => Dtype::F32,
            Contents::Codes { .. } => Dtype::U8,
        },
        shape: vec![layout.rows, layout.columns],
        data_offsets: (0, layout.bytes as usize),
    };
    let texts: Texts = texts
        .iter()
        .map(|&(key, text)| (key.into(), text.into()))
        .collect();
    let header = Metadata::new(Some(texts), vec![(name_of(contents).into(), tensor)]);
    let header = header.map_err(|error| too_large(error.to_string()))?;
    let mut text = serde_json::to_vec(&header).expect("a header serializes to JSON");
    // Readers want the data aligned.
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    Ok(bytes)
}

fn name_of(contents: Contents) -> &'static str {
    match contents {
        Contents::Vectors { .. } => VECTORS,
        Contents::Codes { .. } => CODES,
    }
}
