//! Tests the memory that encoding and decoding allocate.
//!
//! The allocator counts for the whole process, so that this test is a program of its own.

use bitcodes_kernels::layout::row_bytes;
use bitcodes_kernels::{Codebook, Decoder, Encoder, JointEncoder, Noise, Rows};
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

#[test]
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
