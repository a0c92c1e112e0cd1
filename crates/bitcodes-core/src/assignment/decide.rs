//! Bits without noise, and the vectors that they decode to: packed by a kernel, or from logits.

use burn::tensor::{FloatDType, Int, Tensor, backend::Backend};

use super::Assignment;
use crate::backend::kernels;
use crate::codebook::Codebook;
use crate::normalization::Inputs;
use crate::vectors::{along_axis_1, count};

impl Assignment {
    /// Returns the bits of vectors without noise, `[vectors, num_bits]`.
    pub(crate) fn encode<B: Backend, const N: usize>(
        &self,
        inputs: Inputs<'_, B, N>,
        codebook: &Codebook<B>,
    ) -> Tensor<B, 2, Int> {
        let (shape, device) = ([count(&inputs.x), codebook.num_bits()], inputs.x.device());
        match self.encode_packed(&inputs, codebook) {
            Some(packed) => kernels::bits(&packed, shape, &device),
            None => self.logits(inputs, codebook).greater_elem(0.0).int(),
        }
    }

    /// Returns the quantized vectors in the type that is computed in, and their bits along axis 1,
    /// without noise.
    pub(crate) fn quantize<B: Backend, const N: usize>(
        &self,
        inputs: Inputs<'_, B, N>,
        codebook: &Codebook<B>,
    ) -> (Tensor<B, N>, Tensor<B, N, Int>) {
        let (shape, device) = (inputs.x.dims(), inputs.x.device());
        let dtype = FloatDType::from(inputs.x.dtype());
        let vectors = count(&inputs.x);
        let Some(packed) = self.encode_packed(&inputs, codebook) else {
            let logits = self.logits(inputs, codebook);
            let bits = along_axis_1(logits.greater_elem(0.0).int(), shape);
            return (codebook.decode(bits.clone()).cast(dtype), bits);
        };
        let bits = kernels::bits(&packed, [vectors, codebook.num_bits()], &device);
        let bits = along_axis_1(bits, shape);
        let features = codebook.rows.dims()[1];
        let quantized = match kernels::decode_packed(&packed, [vectors, features], &codebook.rows) {
            Some(quantized) => along_axis_1(quantized, shape),
            None => codebook.decode(bits.clone()),
        };
        (quantized.cast(dtype), bits)
    }
}
