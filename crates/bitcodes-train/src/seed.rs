//! Random number generators of a run, derived from its seed and the epoch.

use rand::{SeedableRng, rngs::StdRng};

/// Makes the random number generator of an epoch. Epoch 0 comes before the first and is for the
/// weights.
pub(crate) fn epoch_rng(seed: u64, epoch: u64) -> StdRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&epoch.to_le_bytes());
    StdRng::from_seed(bytes)
}
