//! The backend's random generator, which all trainings share.

use std::sync::Mutex;

use burn::tensor::backend::Backend;

static GENERATOR: Mutex<()> = Mutex::new(());

/// Seeds the backend's generator and runs `draw`, while no other training draws.
///
/// So trainings at the same time do not change one another's draws. A thread of rayon must not call
/// this: such a thread takes up other work while it waits for the backend, and could wait for itself.
pub fn seeded<B: Backend, R>(seed: u64, device: &B::Device, draw: impl FnOnce() -> R) -> R {
    let _drawing = GENERATOR
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    B::seed(device, seed);
    draw()
}
