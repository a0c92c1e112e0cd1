//! The configuration of a quantizer in a file.

use bitcodes_format::{Method, QuantizerParts};

use super::CheckpointError;
use crate::{Assignment, BitcodesConfig};

/// Returns the configuration of a quantizer: the one that the file stores, or else the defaults of
/// the file's method, with the file's dimensions, beam and normalization.
pub(super) fn of_parts(parts: &QuantizerParts) -> Result<BitcodesConfig, CheckpointError> {
    #[cfg(feature = "safetensors")]
    if let Some(json) = &parts.config {
        return of_json(json);
    }
    let config = match parts.method {
        None | Some(Method::Independent) => {
            BitcodesConfig::reference(parts.features, parts.num_bits)
        }
        Some(Method::Joint { beam }) => BitcodesConfig::new(parts.features, parts.num_bits)
            .with_assignment(Assignment::Residual { beam }),
    };
    Ok(config.with_normalize(parts.normalization.is_some()))
}

#[cfg(feature = "safetensors")]
fn of_json(json: &str) -> Result<BitcodesConfig, CheckpointError> {
    use alloc::string::ToString;
    serde_json::from_str(json).map_err(|error| CheckpointError::Metadata {
        found: json.chars().take(200).collect(),
        reason: error.to_string(),
    })
}
