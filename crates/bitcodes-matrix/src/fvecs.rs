//! `.fvecs` of the data sets at <http://corpus-texmex.irisa.fr> and of FAISS: vectors one after the other, each
//! after the number of its elements, an i32, little-endian.

use crate::Element;
use crate::error::MatrixCause;
use crate::layout::{Layout, Order};

/// Returns the layout of a file that begins with vectors of `features` elements; `None` if it does not.
pub(crate) fn layout(
    first: &[u8],
    file_bytes: u64,
    features: usize,
) -> Result<Option<Layout>, MatrixCause> {
    let Some(&count) = first.first_chunk() else {
        return Ok(None);
    };
    if i32::from_le_bytes(count) as usize != features {
        return Ok(None);
    }
    let element = Element::F32 { big_endian: false };
    let one = Layout::new(1, features, element, Order::CountedRows, 0)?;
    let rows = file_bytes / one.bytes;
    let layout = Layout::new(rows, features, element, Order::CountedRows, 0)?;
    match layout.bytes == file_bytes {
        true => Ok(Some(layout)),
        false => Err(MatrixCause::Length {
            found: file_bytes,
            wanted: layout.bytes,
        }),
    }
}

/// Returns the number of vectors and of their elements, if all of a file can be such vectors.
pub(crate) fn shape(first: &[u8], file_bytes: u64) -> Option<[u64; 2]> {
    let count = i32::from_le_bytes(*first.first_chunk()?);
    let features = u64::try_from(count).ok().filter(|&features| features > 0)?;
    let row = Layout::COUNT_BYTES as u64 + 4 * features;
    file_bytes
        .is_multiple_of(row)
        .then_some([file_bytes / row, features])
}

/// Copies the elements of rows, without the counts. `first_row` is the number of the first row.
pub(crate) fn to_f32(
    bytes: &[u8],
    first_row: usize,
    features: usize,
    numbers: &mut [f32],
) -> Result<(), MatrixCause> {
    let rows = bytes.chunks_exact(Layout::COUNT_BYTES + 4 * features);
    for (row, (bytes, numbers)) in rows.zip(numbers.chunks_exact_mut(features)).enumerate() {
        let (count, elements) = bytes
            .split_first_chunk()
            .expect("a row begins with a count");
        let found = i32::from_le_bytes(*count);
        if found as usize != features {
            return Err(MatrixCause::Count {
                row: first_row + row,
                found,
                wanted: features,
            });
        }
        Element::F32 { big_endian: false }.to_f32(elements, numbers);
    }
    Ok(())
}
