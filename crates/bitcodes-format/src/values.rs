//! Types and values of tensors.

use std::fmt;

use half::{bf16, f16};

/// Floating-point type of a tensor in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloatType {
    /// IEEE 754 half precision.
    F16,
    /// The upper half of an [`F32`](Self::F32).
    Bf16,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 double precision.
    F64,
}

impl FloatType {
    /// Returns the number of bytes of one number.
    pub const fn size_bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

/// Writes the name that safetensors give the type: `F16`, `BF16`, `F32` or `F64`.
impl fmt::Display for FloatType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::F32 => "F32",
            Self::F64 => "F64",
        })
    }
}

/// Type of the elements of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ElementType {
    /// A type whose values [`File::values`](crate::File::values) reads.
    Float(FloatType),
    /// Any other type, by the name that the file gives it.
    Other(String),
}

/// Writes the name of the type.
impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(float) => float.fmt(f),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// Description of a tensor, which is known before its values are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// Type of the elements.
    pub element_type: ElementType,
}

/// Values of a tensor in row-major order and in the type that the file has them in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    float_type: FloatType,
    bytes: Vec<u8>,
}

impl Values {
    /// Makes values of this type from their bytes, each number little-endian.
    ///
    /// # Panics
    ///
    /// Panics if the last number is not whole.
    pub fn new(float_type: FloatType, bytes: Vec<u8>) -> Self {
        let size = float_type.size_bytes();
        assert!(
            bytes.len().is_multiple_of(size),
            "Values: {} bytes, expected a multiple of {size} for {float_type}",
            bytes.len()
        );
        Self { float_type, bytes }
    }

    /// Makes values in single precision.
    pub fn from_f32(values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        Self::new(FloatType::F32, bytes.collect())
    }

    /// Returns the type of the numbers.
    pub fn float_type(&self) -> FloatType {
        self.float_type
    }

    /// Returns the number of values.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.float_type.size_bytes()
    }

    /// Returns whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns the bytes of all values, each number little-endian.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the bytes of all values, without a copy.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns the values in double precision, which represents each of them exactly.
    pub fn to_f64(&self) -> Vec<f64> {
        let bytes = &self.bytes;
        match self.float_type {
            FloatType::F16 => each(bytes, |b| f16::from_le_bytes(b).to_f64()),
            FloatType::Bf16 => each(bytes, |b| bf16::from_le_bytes(b).to_f64()),
            FloatType::F32 => each(bytes, |b| f32::from_le_bytes(b).into()),
            FloatType::F64 => each(bytes, f64::from_le_bytes),
        }
    }

    /// Returns the values in single precision: exact, unless the file has them in double precision.
    pub fn to_f32(&self) -> Vec<f32> {
        let bytes = &self.bytes;
        match self.float_type {
            FloatType::F16 => each(bytes, |b| f16::from_le_bytes(b).to_f32()),
            FloatType::Bf16 => each(bytes, |b| bf16::from_le_bytes(b).to_f32()),
            FloatType::F32 => each(bytes, f32::from_le_bytes),
            FloatType::F64 => each(bytes, |b| f64::from_le_bytes(b) as f32),
        }
    }
}

/// Reads each number of `N` bytes.
fn each<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|&number| read(number))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_widened_to_the_same_numbers() {
        let wanted = [0.0, -1.5, 2.0, -0.25];
        for (float_type, bytes) in [
            (
                FloatType::F16,
                wanted.map(|v| f16::from_f64(v).to_le_bytes().to_vec()),
            ),
            (
                FloatType::Bf16,
                wanted.map(|v| bf16::from_f64(v).to_le_bytes().to_vec()),
            ),
            (
                FloatType::F32,
                wanted.map(|v| (v as f32).to_le_bytes().to_vec()),
            ),
            (FloatType::F64, wanted.map(|v| v.to_le_bytes().to_vec())),
        ] {
            let values = Values::new(float_type, bytes.concat());
            assert_eq!(values.len(), 4);
            assert_eq!(values.to_f64(), wanted, "{float_type}");
            assert_eq!(values.to_f32(), wanted.map(|v| v as f32), "{float_type}");
        }
    }

    #[test]
    #[should_panic(expected = "Values: 7 bytes, expected a multiple of 4 for F32")]
    fn a_number_that_is_not_whole_panics() {
        Values::new(FloatType::F32, vec![0; 7]);
    }
}
