//! What the entropy loss allocates, counted by the allocator. Alone in its program, as the counts
//! are the process's.
#![cfg(feature = "flex")]

use bitcodes_core::EntropyLoss;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Distribution, Tensor};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

type Train = Autodiff<Flex>;

/// The most that is allocated at once beyond what is there already, by a call.
fn peak<T>(call: impl FnOnce() -> T) -> (usize, T) {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let value = call();
    (ALLOCATOR.peak_usage() - before, value)
}

/// Beside the gradient, which has the size of the logits itself.
#[test]
fn the_entropy_loss_takes_less_than_twice_the_memory_of_its_logits() {
    const VECTORS: usize = 16_384;
    let device = Default::default();
    for num_bits in [64, 256] {
        let normal = Distribution::Normal(0.0, 1.0);
        let logits = Tensor::<Train, 2>::random([VECTORS, num_bits], normal, &device);
        let logits = logits.require_grad();
        let size = VECTORS * num_bits * size_of::<f32>();
        // What threads allocate once for themselves.
        EntropyLoss::new().forward(logits.clone()).backward();

        let (forward, loss) = peak(|| EntropyLoss::new().forward(logits.clone()));
        drop(loss);
        let (step, gradients) = peak(|| EntropyLoss::new().forward(logits.clone()).backward());
        assert!(logits.grad(&gradients).is_some());
        let plain = logits.inner();
        let (inference, _) = peak(|| EntropyLoss::new().forward(plain));

        let times = |bytes: usize| bytes as f64 / size as f64;
        println!(
            "entropy loss of {VECTORS} x {num_bits} logits, in sizes of the logits: \
             forward {:.2}, forward and backward {:.2}, without gradient {:.2}",
            times(forward),
            times(step),
            times(inference),
        );
        assert!(
            forward < size,
            "{forward} bytes forward, logits have {size}"
        );
        assert!(
            step < 3 * size,
            "{step} bytes for a step, logits have {size}"
        );
        assert!(
            inference < size,
            "{inference} bytes without gradient, logits have {size}"
        );
    }
}
