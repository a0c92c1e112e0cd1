//! The quantizer on the chosen backend, for blocks in the host's memory.

use bitcodes_core::{Bitcodes, CodesError, PackedCodes, kernels::Quantizer, kernels::Rows};
use burn::tensor::{Tensor, TensorData, backend::Backend};

use crate::backend::Compute;

/// A quantizer that takes blocks in the host's memory.
pub(crate) enum Engine<B: Backend> {
    /// The CPU, without the backend's tensors.
    Host(Box<Quantizer>),
    /// A GPU.
    Device(Box<Bitcodes<B>>, B::Device),
}

impl<B: Backend> Engine<B> {
    pub fn new(
        quantizer: Bitcodes<B>,
        compute: &Compute,
        device: B::Device,
    ) -> Result<Self, CodesError> {
        Ok(match compute.backend.is_cpu() {
            true => Self::Host(Box::new(quantizer.to_slices()?)),
            false => Self::Device(Box::new(quantizer), device),
        })
    }

    /// Encodes vectors `[rows, features]` to packed codes `[rows, bytes]`.
    pub fn encode(
        &mut self,
        x: &[f32],
        features: usize,
        codes: &mut Vec<u8>,
    ) -> Result<(), CodesError> {
        let rows = x.len() / features;
        match self {
            Self::Host(quantizer) => {
                codes.resize(rows * quantizer.code_bytes(), 0);
                quantizer.encode(Rows::new(x, features), codes);
            }
            Self::Device(quantizer, device) => {
                let block = TensorData::new(x.to_vec(), [rows, features]);
                let block = Tensor::<B, 2>::from_data(block, &*device);
                *codes = quantizer.encode_packed(block)?.into_bytes();
            }
        }
        Ok(())
    }

    /// Decodes codes to vectors `[rows, features]`, normalized or in the units of the vectors that were encoded.
    pub fn decode(&self, codes: &PackedCodes, normalized: bool, y: &mut Vec<f32>) {
        match self {
            Self::Host(quantizer) => {
                y.resize(codes.len() * quantizer.features(), 0.0);
                match normalized {
                    true => quantizer.decode(codes.as_bytes(), y),
                    false => quantizer.reconstruct(codes.as_bytes(), y),
                }
            }
            Self::Device(quantizer, _) => {
                let decoded: Tensor<B, 2> = match normalized {
                    true => quantizer.decode_packed(codes),
                    false => quantizer.reconstruct_packed(codes),
                };
                y.clear();
                y.extend(decoded.into_data().iter::<f32>());
            }
        }
    }
}
