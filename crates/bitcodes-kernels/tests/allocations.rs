//! Tests the memory that encoding and decoding allocate.
//!
//! The allocator counts for the whole process, so that this test is a program of its own.

use bitcodes_kernels::joint::Normalization;
use bitcodes_kernels::layout::row_bytes;
use bitcodes_kernels::{Codebook, Decoder, Encoder, JointEncoder, Noise, Quantizer, Rows};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Returns the peak number of bytes that a call allocates.
fn peak(call: impl FnOnce()) -> usize {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    call();
    ALLOCATOR.peak_usage().saturating_sub(before)
}

/// The counts are of the whole process, so that one test calls all checks.
#[test]
fn memory_of_calls() {
    a_quantizer_allocates_nothing_for_few_vectors();
    encoding_and_decoding_allocate_less_than_a_mebibyte_a_thread_for_any_batch();
}

fn a_quantizer_allocates_nothing_for_few_vectors() {
    for (features, num_bits) in [(8, 4), (64, 32), (100, 70)] {
        let mut state = 1u32;
        let mut numbers = |count: usize| -> Vec<f32> {
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state as f32 / u32::MAX as f32 - 0.5
            };
            (0..count).map(|_| next()).collect()
        };
        let (codebook, center) = (numbers(2 * num_bits * features), numbers(features));
        let x = numbers(500 * features);
        let codebook = Codebook::new(&codebook, features);
        let normalization = Normalization {
            factor: 0.7,
            center: &center,
        };
        for normalization in [None, Some(normalization)] {
            for mut quantizer in [
                Quantizer::independent(codebook, normalization),
                Quantizer::joint(codebook, normalization, 8),
                Quantizer::joint(codebook, normalization, 32),
            ] {
                let mut packed = vec![0; 500 * quantizer.code_bytes()];
                let mut again = vec![0.0; 100 * features];
                let mut both = || {
                    quantizer.encode(Rows::new(&x, features), &mut packed);
                    let packed = &packed[..100 * quantizer.code_bytes()];
                    quantizer.reconstruct(packed, &mut again);
                };
                // The first call may meet a vector that is searched for alone.
                both();
                let bytes = peak(both);
                assert_eq!(bytes, 0, "{features} x {num_bits}");
            }
        }
    }
}

fn encoding_and_decoding_allocate_less_than_a_mebibyte_a_thread_for_any_batch() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for (features, num_bits) in [(8, 4), (64, 32), (512, 64), (128, 128), (1024, 8)] {
        let mut codebook = vec![0.5; 2 * num_bits * features];
        codebook
            .iter_mut()
            .step_by(3)
            .for_each(|element| *element = -0.25);
        let codebook = Codebook::new(&codebook, features);
        let encoder = Encoder::new(codebook);
        let joint = JointEncoder::new(codebook, None, 8);
        let decoder = Decoder::new(codebook);
        for vectors in [1, 1_000, 30_000] {
            let x = vec![1.0; vectors * features];
            let mut packed = vec![0; vectors * row_bytes(num_bits)];
            let mut decoded = vec![0.0; vectors * features];
            let mut both = || {
                let rows = Rows::new(&x, features);
                encoder.encode(rows, &mut packed);
                joint.encode(rows, Noise::None, &mut packed);
                decoder.decode(&packed, &mut decoded);
            };
            // The first call also allocates what each thread keeps.
            both();
            let bytes = peak(both);
            println!("{vectors} x {features} x {num_bits}: {bytes} bytes");
            assert!(
                bytes < threads << 20,
                "{vectors} x {features} x {num_bits}: {bytes} bytes, expected less than 1 MiB for each of \
                 {threads} threads"
            );
        }
    }
}
