//! The configuration of a quantizer in a file.

use bitcodes_format::QuantizerParts;

use super::CheckpointError;
use crate::{Assignment, BitcodesConfig, Independent};

/// Returns the configuration of a quantizer: the one that the file stores, or else the defaults of
/// the file's method, with the file's dimensions, beam and normalization.
pub(super) fn of_parts(parts: &QuantizerParts) -> Result<BitcodesConfig, CheckpointError> {
    #[cfg(feature = "safetensors")]
    if let Some(json) = &parts.config {
        return of_json(json);
    }
    // A state dict of the reference names no method.
    let assignment = parts
        .method
        .map_or(Independent::new().into(), Assignment::from);
    let defaults = BitcodesConfig::of_method(assignment.method(), parts.features, parts.num_bits);
    Ok(defaults
        .with_assignment(assignment)
        .with_normalize(parts.normalization.is_some()))
}

#[cfg(feature = "safetensors")]
fn of_json(json: &str) -> Result<BitcodesConfig, CheckpointError> {
    use alloc::string::ToString;
    serde_json::from_str(json).map_err(|error| CheckpointError::Metadata {
        found: json.chars().take(200).collect(),
        reason: error.to_string(),
    })
}
