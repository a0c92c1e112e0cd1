//! What a file holds, and where.

use crate::Element;
use crate::error::MatrixCause;

/// What a matrix holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// A vector in each row.
    Vectors {
        /// Number of elements of a vector.
        features: usize,
    },
    /// A packed code in each row.
    Codes {
        /// Number of bytes of a code.
        bytes: usize,
    },
}

impl Contents {
    /// Number of columns of the matrix.
    pub fn columns(self) -> usize {
        match self {
            Self::Vectors { features } => features,
            Self::Codes { bytes } => bytes,
        }
    }

    /// The type of elements that is written.
    pub(crate) fn element(self) -> Element {
        match self {
            Self::Vectors { .. } => Element::F32 { big_endian: false },
            Self::Codes { .. } => Element::U8,
        }
    }

    /// Returns the layout of an array in a file, if it is a matrix of these contents.
    pub(crate) fn layout(
        self,
        shape: &[u64],
        element: Option<Element>,
        type_name: &str,
        order: Order,
        start: u64,
    ) -> Result<Layout, MatrixCause> {
        let is_float = |element: &Element| *element != Element::U8;
        let (element, wanted) = match self {
            Self::Vectors { .. } => (element.filter(is_float), "float32, float16 or float64"),
            Self::Codes { .. } => (element.filter(|element| !is_float(element)), "uint8"),
        };
        let element = element.ok_or_else(|| MatrixCause::Type {
            found: type_name.into(),
            wanted,
        })?;
        let columns = self.columns();
        let rows = match *shape {
            [rows, found] if found == columns as u64 => rows,
            _ => {
                return Err(MatrixCause::Shape {
                    found: shape.to_vec(),
                    wanted: columns,
                });
            }
        };
        Layout::new(rows, columns, element, order, start)
    }
}

/// The rows of a matrix in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub rows: usize,
    pub columns: usize,
    pub element: Element,
    pub order: Order,
    /// Number of bytes before the first row.
    pub start: u64,
    /// Number of bytes of all rows.
    pub bytes: u64,
}

/// The order of a matrix's elements in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Row by row.
    Rows,
    /// Column by column, as NumPy writes a transposed array.
    Columns,
    /// Row by row, each after the number of its elements.
    CountedRows,
}

impl Layout {
    /// Number of bytes of the number of elements before a row.
    pub const COUNT_BYTES: usize = size_of::<i32>();

    pub fn new(
        rows: u64,
        columns: usize,
        element: Element,
        order: Order,
        start: u64,
    ) -> Result<Self, MatrixCause> {
        let too_large = || MatrixCause::TooLarge { rows, columns };
        let layout = Self {
            rows: usize::try_from(rows).map_err(|_| too_large())?,
            columns,
            element,
            order,
            start,
            bytes: 0,
        };
        let row_bytes = layout.row_bytes() as u64;
        let bytes = rows
            .checked_mul(row_bytes)
            .filter(|bytes| bytes.checked_add(start).is_some());
        Ok(Self {
            bytes: bytes.ok_or_else(too_large)?,
            ..layout
        })
    }

    /// Number of bytes of a row, with what precedes it.
    pub fn row_bytes(&self) -> usize {
        let count = match self.order {
            Order::CountedRows => Self::COUNT_BYTES,
            Order::Rows | Order::Columns => 0,
        };
        count + self.columns * self.element.bytes()
    }
}
