//! The golden files, which hold results of the reference; see `tests/golden/generate.py`.

use std::path::PathBuf;

use safetensors::SafeTensors;

/// Names of all golden files.
pub const NAMES: [&str; 6] = ["tiny", "readme", "odd", "words", "wide", "large"];

/// A golden file.
pub struct Golden {
    /// Size of the batch and number of tokens.
    pub leading: [usize; 2],
    /// Number of features of a vector.
    pub features: usize,
    /// Number of bits of a code.
    pub num_bits: usize,
    /// Temperature of training.
    pub temperature: f64,
    bytes: Vec<u8>,
}

impl Golden {
    /// Reads `tests/golden/NAME.safetensors`.
    ///
    /// # Panics
    ///
    /// If the file is not as `generate.py` writes it.
    pub fn load(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join(format!("tests/golden/{name}.safetensors"));
        let bytes = std::fs::read(&path).expect("the golden files are part of the repository");
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("a safetensors file");
        let metadata = header.metadata().as_ref().expect("metadata").clone();
        let shape = header.info("x").expect("x").shape.clone();
        Self {
            leading: [shape[0], shape[1]],
            features: shape[2],
            num_bits: metadata["num_bits"].parse().expect("a number"),
            temperature: metadata["temperature"].parse().expect("a number"),
            bytes,
        }
    }

    /// Number of vectors.
    pub fn rows(&self) -> usize {
        self.leading.iter().product()
    }

    /// Returns the elements of an f32 tensor.
    ///
    /// # Panics
    ///
    /// If the file has no such tensor.
    pub fn floats(&self, name: &str) -> Vec<f32> {
        self.elements(name, f32::from_le_bytes)
    }

    /// Returns the elements of an i64 tensor, or `None` if the file has no such tensor.
    pub fn integers(&self, name: &str) -> Option<Vec<i64>> {
        let has = self.tensors().names().contains(&name);
        has.then(|| self.elements(name, i64::from_le_bytes))
    }

    /// Returns the noise of training: the difference of the two Gumbel draws of each bit.
    pub fn logistic_noise(&self) -> Vec<f32> {
        let gumbel = self.floats("noise");
        gumbel.chunks(2).map(|pair| pair[1] - pair[0]).collect()
    }

    fn elements<const N: usize, T>(&self, name: &str, read: fn([u8; N]) -> T) -> Vec<T> {
        let tensors = self.tensors();
        let tensor = tensors.tensor(name).expect("a tensor of the golden file");
        let elements = tensor.data().chunks_exact(N);
        elements
            .map(|bytes| read(bytes.try_into().expect("N bytes")))
            .collect()
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).expect("a safetensors file")
    }
}

/// Reads a file of `tests/golden/records`.
pub fn record(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/records");
    std::fs::read(path.join(name)).expect("part of the repository")
}
