//! Tests of the memory that operations allocate, as the allocator counts it.
//!
//! The allocator counts for the whole process. So these tests are a program of their own, and run
//! one after the other.
#![cfg(feature = "flex")]

use std::sync::{Mutex, PoisonError};

use bitcodes_core::{BitcodesConfig, EntropyLoss};
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Distribution, Tensor};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

type Train = Autodiff<Flex>;

static ALONE: Mutex<()> = Mutex::new(());

/// Runs `call` and returns the most bytes that it had allocated at once, and its value.
fn peak_bytes<T>(call: impl FnOnce() -> T) -> (usize, T) {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let value = call();
    (ALLOCATOR.peak_usage() - before, value)
}

/// The gradient is part of that memory, and has the size of the logits itself.
#[test]
fn the_entropy_loss_takes_less_than_twice_the_memory_of_its_logits() {
    const VECTORS: usize = 16_384;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let device = Default::default();
    for num_bits in [64, 256] {
        let normal = Distribution::Normal(0.0, 1.0);
        let logits = Tensor::<Train, 2>::random([VECTORS, num_bits], normal, &device);
        let logits = logits.require_grad();
        let size = VECTORS * num_bits * size_of::<f32>();
        // The first call also allocates what threads keep for themselves.
        EntropyLoss::new().forward(logits.clone()).backward();

        let (forward, loss) = peak_bytes(|| EntropyLoss::new().forward(logits.clone()));
        drop(loss);
        let (step, gradients) =
            peak_bytes(|| EntropyLoss::new().forward(logits.clone()).backward());
        assert!(logits.grad(&gradients).is_some());
        let plain = logits.inner();
        let (inference, _) = peak_bytes(|| EntropyLoss::new().forward(plain));

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
            "the forward pass allocates {forward} bytes, the logits have {size}"
        );
        assert!(
            step < 2 * size,
            "forward and backward pass allocate {step} bytes, the logits have {size}"
        );
        assert!(
            inference < size,
            "without gradient {inference} bytes are allocated, the logits have {size}"
        );
    }
}

/// A copy of the whole map, transposed to rows, would take as many bytes as the map.
#[test]
fn encoding_a_channel_first_map_copies_parts_of_the_map() {
    const FEATURES: usize = 256;
    const POSITIONS: usize = 64 * 64;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let device = Default::default();
    let quantizer = BitcodesConfig::reference(FEATURES, 8).init::<Flex>(&device);
    let normal = Distribution::Normal(0.0, 1.0);
    let map = Tensor::<Flex, 4>::random([4, FEATURES, 64, 64], normal, &device);
    let rows = Tensor::<Flex, 2>::random([4 * POSITIONS, FEATURES], normal, &device);
    let size = 4 * POSITIONS * FEATURES * size_of::<f32>();
    // The first calls also allocate what threads keep for themselves.
    quantizer.encode_channel_first(map.clone());
    quantizer.encode(rows.clone());

    let (of_map, _) = peak_bytes(|| quantizer.encode_channel_first(map));
    let (of_rows, _) = peak_bytes(|| quantizer.encode(rows));
    let times = |bytes: usize| bytes as f64 / size as f64;
    println!(
        "encoding {} vectors of {FEATURES} features, in sizes of the vectors: as maps {:.2}, \
         as rows {:.2}",
        4 * POSITIONS,
        times(of_map),
        times(of_rows)
    );
    assert!(
        of_map < size / 2,
        "encoding the map allocates {of_map} bytes, the map has {size}"
    );
}
