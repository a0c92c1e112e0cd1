//! Safetensors, read and written.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use ::safetensors::tensor::TensorView;
use ::safetensors::{Dtype, SafeTensors, serialize};
use burn::tensor::{DType, backend::Backend};

use super::{CENTER, CODEBOOK, CheckpointError, LOG_SCALE, Saved, TensorInfo};
use crate::{Bitcodes, Normalization};

/// The keys of the metadata under which the configuration stands, as JSON, and the step.
const CONFIG: &str = "bitcodes";
const STEP: &str = "bitcodes.step";

pub(super) fn read(bytes: &[u8]) -> Result<(SafeTensors<'_>, Option<Saved>), CheckpointError> {
    let refuse = |error: ::safetensors::SafeTensorError| {
        CheckpointError::Safetensors(error.to_string(), bytes.len())
    };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(refuse)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(refuse)?;
    let entry = |key| {
        header
            .metadata()
            .as_ref()
            .and_then(|entries| entries.get(key))
    };
    let Some(json) = entry(CONFIG) else {
        return Ok((tensors, None));
    };
    let wrong = |found: &String, reason: String| CheckpointError::Metadata {
        found: found.chars().take(200).collect(),
        reason,
    };
    let config = serde_json::from_str(json);
    let config = config.map_err(|error| wrong(json, error.to_string()))?;
    let step = entry(STEP).map(|step| step.parse().map_err(|_| wrong(step, "no step".into())));
    let saved = Saved {
        config,
        step: step.transpose()?.unwrap_or(0),
    };
    Ok((tensors, Some(saved)))
}

pub(super) fn info(tensors: &SafeTensors<'_>, name: &str) -> Option<TensorInfo> {
    let view = tensors.tensor(name).ok()?;
    let dtype = match view.dtype() {
        Dtype::F64 => Some(DType::F64),
        Dtype::F32 => Some(DType::F32),
        Dtype::F16 => Some(DType::F16),
        Dtype::BF16 => Some(DType::BF16),
        Dtype::I64 => Some(DType::I64),
        Dtype::I32 => Some(DType::I32),
        _ => None,
    };
    Some(TensorInfo {
        shape: view.shape().to_vec(),
        dtype,
        type_name: format!("{:?}", view.dtype()),
    })
}

pub(super) fn data(tensors: &SafeTensors<'_>, name: &str) -> Option<Vec<u8>> {
    Some(tensors.tensor(name).ok()?.data().to_vec())
}

impl<B: Backend> Bitcodes<B> {
    /// The codebook as safetensors, as `safetensors.torch` and the reference read it, with the
    /// configuration and the step of the schedules in the metadata, which
    /// [`Checkpoint`](super::Checkpoint) reads again; and beside it the normalization, where there
    /// is one.
    ///
    /// In Python, with `reference.Bitcodes(features, num_bits)` as `module`,
    /// `module.load_state_dict(safetensors.torch.load_file(path))`. The reference knows neither
    /// normalization, whose tensors it refuses, nor residual assignment: of the latter's codebook it
    /// decodes the bits rightly, and encodes others.
    ///
    /// # Panics
    ///
    /// Where the codebook is of a type that safetensors do not have.
    pub fn to_safetensors(&self) -> Vec<u8> {
        let mut tensors = Vec::from([(CODEBOOK, self.codebook.val().into_data())]);
        if let Some(Normalization { center, log_scale }) = &self.normalization {
            tensors.push((CENTER, center.val().into_data()));
            tensors.push((LOG_SCALE, log_scale.val().into_data()));
        }
        let views = tensors.iter().map(|(name, data)| {
            let view = TensorView::new(dtype(data.dtype), data.shape.to_vec(), data.as_bytes());
            (*name, view.expect("a tensor has the bytes of its shape"))
        });
        let config = serde_json::to_string(&self.config()).expect("a configuration is plain");
        let step = self.step().to_string();
        let metadata = [("format", "pt".into()), (CONFIG, config), (STEP, step)];
        let metadata = metadata.map(|(key, value)| (key.to_string(), value));
        serialize(views, Some(metadata.into())).expect("tensors can be written to memory")
    }
}

fn dtype(of_tensor: DType) -> Dtype {
    match of_tensor {
        DType::F64 => Dtype::F64,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::F32 | DType::Flex32 => Dtype::F32,
        other => panic!("Bitcodes: a codebook of {other:?}, expected a float type"),
    }
}
