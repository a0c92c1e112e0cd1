//! A short text that tells quantizers apart, so that codes are not decoded by another one.

use bitcodes_core::Bitcodes;
use burn::tensor::{Tensor, backend::Backend};
use sha2::{Digest, Sha256};

/// Returns the SHA-256, in hexadecimal, of the numbers that codes are decoded with: the codebook, then the center
/// and the logarithm of the scale if the quantizer normalizes, each number as float32, little-endian.
pub(crate) fn fingerprint<B: Backend>(quantizer: &Bitcodes<B>) -> String {
    let mut hash = Sha256::new();
    add(&mut hash, quantizer.codebook.val());
    if let Some(normalization) = &quantizer.normalization {
        add(&mut hash, normalization.center.val());
        add(&mut hash, normalization.log_scale.val());
    }
    let bytes = hash.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn add<B: Backend, const D: usize>(hash: &mut Sha256, numbers: Tensor<B, D>) {
    for number in numbers.into_data().iter::<f32>() {
        hash.update(number.to_le_bytes());
    }
}
