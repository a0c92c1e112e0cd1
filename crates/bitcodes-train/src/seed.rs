//! All that is random in a run follows from its seed and the epoch.

use rand::{SeedableRng, rngs::StdRng};

/// The random numbers of an epoch: what comes before the first, the weights, is epoch 0.
pub(crate) fn of_epoch(seed: u64, epoch: u64) -> StdRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&epoch.to_le_bytes());
    StdRng::from_seed(bytes)
}
