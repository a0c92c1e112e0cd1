//! The operations that every container of tensors offers.

use std::fmt::Debug;

use crate::{FloatType, FormatError, Method, TensorInfo};

/// Tensors of a file, and the settings that stand beside a codebook.
pub(crate) trait Container: Debug {
    /// Returns the names of all tensors, in any order.
    fn names(&self) -> Vec<&str>;

    /// Returns the description of a tensor, if there is one of this name.
    fn info(&self, name: &str) -> Option<TensorInfo>;

    /// Returns the bytes of a tensor that the file has, in row-major order. `float_type` is its
    /// type by [`info`](Self::info), and there are as many bytes as its shape needs.
    fn bytes(&self, name: &str, float_type: FloatType) -> Result<Vec<u8>, FormatError>;

    /// Returns the settings of the quantizer whose tensors' names begin with `prefix`, last dot
    /// included.
    fn settings(&self, prefix: &str) -> Result<Settings, FormatError>;

    /// Returns whether a quantizer's tensors have to be in single precision.
    fn is_single_precision(&self) -> bool {
        false
    }
}

/// Everything that a file says of a quantizer beside its tensors.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Part of the file that has the settings, for errors; `None` if there is none.
    pub part: Option<&'static str>,
    /// Shape of the codebook, `[2 * num_bits, features]`, if the settings have the dimensions too.
    pub codebook_shape: Option<[usize; 2]>,
    pub method: Option<Method>,
    pub normalizes: bool,
    pub step: usize,
    pub config: Option<String>,
}

impl Settings {
    /// Empty settings, for a state dict of the reference.
    #[cfg(any(feature = "pytorch", feature = "safetensors"))]
    pub const NONE: Self = Self {
        part: None,
        codebook_shape: None,
        method: None,
        normalizes: false,
        step: 0,
        config: None,
    };
}
