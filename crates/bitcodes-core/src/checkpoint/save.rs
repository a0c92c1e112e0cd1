//! Quantizers as safetensors.

use alloc::vec::Vec;

use bitcodes_format::{FloatType, NormalizationParts, Values, to_safetensors};
use burn::tensor::{DType, Tensor, backend::Backend};

use crate::Bitcodes;

impl<B: Backend> Bitcodes<B> {
    /// Returns the quantizer as safetensors, which [`Checkpoint`](crate::Checkpoint) reads again.
    ///
    /// The tensors are the codebook and, if the quantizer normalizes, `normalization.center` and
    /// `normalization.log_scale`. The metadata hold the configuration and the step of the
    /// schedules.
    ///
    /// `safetensors.torch` reads the file. The reference loads it if the quantizer does not
    /// normalize. In Python:
    ///
    /// ```python
    /// module = bitcodes_pytorch.Bitcodes(features, num_bits)
    /// module.load_state_dict(safetensors.torch.load_file(path))
    /// ```
    ///
    /// The reference refuses the tensors of a normalization, which it does not have. It decodes
    /// joint bits as we do, but encodes to independent ones.
    ///
    /// # Panics
    ///
    /// Panics if the codebook has a type that safetensors do not have. Panics on a GPU in a browser,
    /// whose tensors cannot be read without waiting.
    pub fn to_safetensors(&self) -> Vec<u8> {
        let normalization = self.normalization.as_ref();
        let normalization = normalization.map(|normalization| NormalizationParts {
            center: values(normalization.center.val()),
            log_scale: values(normalization.log_scale.val()),
        });
        let config = serde_json::to_string(&self.config()).expect("a configuration is plain");
        to_safetensors(
            &values(self.codebook.val()),
            self.features(),
            normalization.as_ref(),
            &config,
            self.step(),
        )
    }
}

fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Values {
    let data = tensor.into_data();
    let float_type = match data.dtype {
        DType::F64 => FloatType::F64,
        DType::F32 | DType::Flex32 => FloatType::F32,
        DType::F16 => FloatType::F16,
        DType::BF16 => FloatType::Bf16,
        other => panic!("Bitcodes: a parameter of {other:?}, expected a float type"),
    };
    Values::new(float_type, data.as_bytes().to_vec())
}
