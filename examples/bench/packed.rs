//! The quantizer on slices.

use std::fs;
use std::io;
use std::path::Path;

use bitcodes_core::kernels::{Quantizer, Rows, layout::row_bytes};
use bitcodes_core::{Bitcodes, CodesError, Normalization, PackedCodes};
use burn::tensor::{Tensor, backend::Backend};

/// The quantizer on slices, with the vectors to encode and memory for the results.
pub struct Packed {
    quantizer: Quantizer,
    x: Vec<f32>,
    bytes: Vec<u8>,
    vectors: Vec<f32>,
}

impl Packed {
    /// Makes the same quantizer on slices, to encode `x [1, vectors, features]`.
    pub fn new<B: Backend>(bitcodes: &Bitcodes<B>, x: Tensor<B, 3>) -> Result<Self, CodesError> {
        let quantizer = bitcodes.to_slices()?;
        let x: Vec<f32> = x.into_data().iter().collect();
        Ok(Self {
            bytes: vec![0; x.len() / quantizer.features() * quantizer.code_bytes()],
            vectors: vec![0.0; x.len()],
            quantizer,
            x,
        })
    }

    pub fn encode(&mut self) {
        let x = Rows::new(&self.x, self.quantizer.features());
        self.quantizer.encode(x, &mut self.bytes);
    }

    pub fn decode(&mut self) {
        self.quantizer.decode(&self.bytes, &mut self.vectors);
    }

    /// Encodes the first vectors, each in a call of its own.
    pub fn encode_each(&mut self, count: usize) {
        let codes = self.bytes.chunks_mut(self.quantizer.code_bytes());
        let vectors = self.x.chunks(self.quantizer.features());
        for (x, code) in vectors.zip(codes).take(count) {
            self.quantizer.encode(Rows::new(x, x.len()), code);
        }
    }

    /// Brings the first vectors back, each in a call of its own.
    pub fn reconstruct_each(&mut self, count: usize) {
        let vectors = self.vectors.chunks_mut(self.quantizer.features());
        let codes = self.bytes.chunks(self.quantizer.code_bytes());
        for (code, x) in codes.zip(vectors).take(count) {
            self.quantizer.reconstruct(code, x);
        }
    }

    /// Writes normalized vectors, the codebook and the codes that were encoded last as three files of
    /// plain numbers, for another program to compare with.
    ///
    /// # Errors
    ///
    /// The error of a file that cannot be written.
    pub fn save<B: Backend>(&self, bitcodes: &Bitcodes<B>, base: &Path) -> io::Result<()> {
        let values = |tensor: Tensor<B, 1>| -> Vec<f32> { tensor.into_data().iter().collect() };
        let mut x = self.x.clone();
        if let Some(normalization) = &bitcodes.normalization {
            let scale: f32 = values(normalization.log_scale.val()).iter().sum();
            let factor = Normalization::<B>::DEVIATION as f32 * (-scale).exp();
            let center = values(normalization.center.val());
            for row in x.chunks_mut(center.len()) {
                let each = row.iter_mut().zip(&center);
                each.for_each(|(x, center)| *x = factor * *x - center);
            }
        }
        let codebook = values(bitcodes.codebook.val().flatten(0, 1));
        let bytes = |numbers: &[f32]| -> Vec<u8> {
            numbers
                .iter()
                .flat_map(|number| number.to_le_bytes())
                .collect()
        };
        fs::write(base.with_extension("x"), bytes(&x))?;
        fs::write(base.with_extension("codebook"), bytes(&codebook))?;
        fs::write(base.with_extension("codes"), &self.bytes)
    }

    /// Compares the kernels' results with the quantizer's.
    ///
    /// # Errors
    ///
    /// A message that names the first difference.
    pub fn check<B: Backend>(
        &mut self,
        bitcodes: &Bitcodes<B>,
        x: Tensor<B, 3>,
    ) -> Result<(), String> {
        self.encode();
        self.decode();
        let out = bitcodes.forward(x);
        let codes = PackedCodes::from_bits(out.bits).map_err(|error| error.to_string())?;
        let num_bits = bitcodes.num_bits() as f64;
        let all = num_bits * codes.len() as f64;
        let pairs = codes.as_bytes().iter().zip(&self.bytes);
        let apart: u32 = pairs.map(|(a, b)| (a ^ b).count_ones()).sum();
        // Rounding decides a few bits whose logits are near 0.
        if f64::from(apart) > 1e-5 * all {
            return Err(format!(
                "{apart} of {all} packed bits differ from the quantizer's"
            ));
        }
        let wanted = out.quantized.into_data();
        let bytes = row_bytes(bitcodes.num_bits());
        let features = bitcodes.features();
        let codes = codes.as_bytes().chunks(bytes).zip(self.bytes.chunks(bytes));
        let same = codes.map(|(a, b)| a == b);
        let rows = wanted.iter::<f32>().collect::<Vec<_>>();
        for (row, (same, found)) in same.zip(self.vectors.chunks(features)).enumerate() {
            let wanted = &rows[row * features..][..features];
            let far = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-5 * num_bits as f32;
            if same && found.iter().zip(wanted).any(far) {
                return Err(format!(
                    "vector {row} decoded from packed codes differs from the quantizer's"
                ));
            }
        }
        Ok(())
    }
}
