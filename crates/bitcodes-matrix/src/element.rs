//! The types of elements, and their conversion to f32.

use std::fmt;

use half::{bf16, f16};

/// A type of elements in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// uint8
    U8,
    /// float16
    F16 {
        /// Whether the most significant byte is the first.
        big_endian: bool,
    },
    /// bfloat16, little-endian
    Bf16,
    /// float32
    F32 {
        /// Whether the most significant byte is the first.
        big_endian: bool,
    },
    /// float64
    F64 {
        /// Whether the most significant byte is the first.
        big_endian: bool,
    },
}

impl Element {
    /// Number of bytes of an element.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F16 { .. } | Self::Bf16 => 2,
            Self::F32 { .. } => 4,
            Self::F64 { .. } => 8,
        }
    }

    /// Converts the bytes of elements to numbers of f32. A number of f64 beyond the range of f32 becomes an
    /// infinity.
    pub(crate) fn to_f32(self, bytes: &[u8], numbers: &mut [f32]) {
        match self {
            Self::U8 => unreachable!("vectors are not u8"),
            Self::F16 { big_endian } => convert(bytes, numbers, big_endian, |bytes| {
                f16::from_le_bytes(bytes).to_f32()
            }),
            Self::Bf16 => convert(bytes, numbers, false, |bytes| {
                bf16::from_le_bytes(bytes).to_f32()
            }),
            Self::F32 { big_endian } => convert(bytes, numbers, big_endian, f32::from_le_bytes),
            Self::F64 { big_endian } => convert(bytes, numbers, big_endian, |bytes| {
                f64::from_le_bytes(bytes) as f32
            }),
        }
    }
}

fn convert<const N: usize>(
    bytes: &[u8],
    numbers: &mut [f32],
    big_endian: bool,
    number: impl Fn([u8; N]) -> f32,
) {
    let (elements, []) = bytes.as_chunks::<N>() else {
        unreachable!("the bytes are whole elements")
    };
    match big_endian {
        false => {
            for (to, &element) in numbers.iter_mut().zip(elements) {
                *to = number(element);
            }
        }
        true => {
            for (to, &element) in numbers.iter_mut().zip(elements) {
                let mut element = element;
                element.reverse();
                *to = number(element);
            }
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::U8 => "uint8",
            Self::F16 { .. } => "float16",
            Self::Bf16 => "bfloat16",
            Self::F32 { .. } => "float32",
            Self::F64 { .. } => "float64",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_gives_the_same_numbers() {
        let wanted = [1.5f32, -0.25, 0.0, 1024.0];
        let little = |bytes: &dyn Fn(f32) -> Vec<u8>| wanted.map(bytes).concat();
        let big = |bytes: &dyn Fn(f32) -> Vec<u8>| {
            let reversed = |x| bytes(x).into_iter().rev().collect::<Vec<u8>>();
            wanted.map(reversed).concat()
        };
        let f16_bytes = |x: f32| f16::from_f32(x).to_le_bytes().to_vec();
        let bf16_bytes = |x: f32| bf16::from_f32(x).to_le_bytes().to_vec();
        let f32_bytes = |x: f32| x.to_le_bytes().to_vec();
        let f64_bytes = |x: f32| f64::from(x).to_le_bytes().to_vec();
        for (element, bytes) in [
            (Element::F16 { big_endian: false }, little(&f16_bytes)),
            (Element::F16 { big_endian: true }, big(&f16_bytes)),
            (Element::Bf16, little(&bf16_bytes)),
            (Element::F32 { big_endian: false }, little(&f32_bytes)),
            (Element::F32 { big_endian: true }, big(&f32_bytes)),
            (Element::F64 { big_endian: false }, little(&f64_bytes)),
            (Element::F64 { big_endian: true }, big(&f64_bytes)),
        ] {
            assert_eq!(bytes.len(), 4 * element.bytes());
            let mut found = [f32::NAN; 4];
            element.to_f32(&bytes, &mut found);
            assert_eq!(found, wanted, "{element}");
        }
        let mut found = [0.0];
        Element::F64 { big_endian: false }.to_f32(&1e300f64.to_le_bytes(), &mut found);
        assert_eq!(found, [f32::INFINITY]);
    }
}
