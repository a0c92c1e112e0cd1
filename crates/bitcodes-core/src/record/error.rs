//! Reasons why a record cannot be saved or loaded.

use alloc::string::String;
use alloc::vec::Vec;

use bitcodes_format::FormatError;

/// Error of a record that cannot be saved or loaded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The bytes are not a whole record, or a tensor has more or fewer bytes than its shape needs.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A tensor of the module is not in the record.
    #[error("the record has no tensor {path}, expected one of shape {shape:?}")]
    Missing {
        /// Path of the tensor.
        path: String,
        /// Its shape in the module.
        shape: Vec<u64>,
    },
    /// A tensor of the record is not in the module.
    #[error("the record has a tensor {path} of shape {shape:?}, expected none")]
    Unexpected {
        /// Path of the tensor.
        path: String,
        /// Its shape in the record.
        shape: Vec<u64>,
    },
    /// A tensor has another shape in the record than in the module.
    #[error("{path} has shape {found:?} in the record, expected {wanted:?}")]
    Shape {
        /// Path of the tensor.
        path: String,
        /// Its shape in the record.
        found: Vec<u64>,
        /// Its shape in the module.
        wanted: Vec<u64>,
    },
    /// A tensor has another precision than the tensors of a record of full precision.
    #[error("{path} has precision {found} in the record, expected {wanted}")]
    Precision {
        /// Path of the tensor.
        path: String,
        /// Its type.
        found: String,
        /// The type of such tensors in a record of full precision.
        wanted: String,
    },
    /// A tensor has a value that is no finite number.
    #[error("{path} has the value {found} in the record, expected finite numbers")]
    NotFinite {
        /// Path of the tensor.
        path: String,
        /// The first such value.
        found: f32,
    },
    /// A list of modules has another length in the record than in the module.
    #[error("{path} has {found} parts in the record, expected {wanted}")]
    Parts {
        /// Path of the list.
        path: String,
        /// Its length in the record.
        found: usize,
        /// Its length in the module.
        wanted: usize,
    },
    /// A quantizer of the record decides bits by another method than the module's.
    #[error("the record decides bits by the method {found} at {path}, expected {wanted}")]
    Method {
        /// Path of the assignment.
        path: String,
        /// Name of the method in the record.
        found: String,
        /// Name of the module's method.
        wanted: String,
    },
    /// The record has a beam that no configuration may have.
    #[error("{path} has a beam of {found} in the record, expected 1 to {max}")]
    Beam {
        /// Path of the assignment.
        path: String,
        /// The beam in the record.
        found: usize,
        /// The widest beam.
        max: usize,
    },
    /// The id of a tensor is not one that Burn writes.
    #[error("{path} has the id {found:?}, expected one that Burn wrote")]
    Id {
        /// Path of the tensor.
        path: String,
        /// The id in the record.
        found: String,
    },
    /// Burn refuses the record for another reason.
    #[error("not a record: {0}")]
    Burn(String),
}
