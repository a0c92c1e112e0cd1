//! What the calls on slices allocate, counted by the allocator: in a program of its own, as the counts
//! are the process's.

use bitcodes_kernels::layout::row_bytes;
use bitcodes_kernels::{Decoder, Encoder, Rows};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The most that is allocated at once beyond what is there already, by a call.
fn peak(call: impl FnOnce()) -> usize {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    call();
    ALLOCATOR.peak_usage().saturating_sub(before)
}

#[test]
fn packed_codes_take_less_than_a_mebibyte_a_thread_however_many_there_are() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for (features, num_bits) in [(8, 4), (64, 32), (512, 64), (128, 128), (1024, 8)] {
        let codebook = vec![0.5; 2 * num_bits * features];
        let encoder = Encoder::new(&codebook, features);
        let decoder = Decoder::new(&codebook, features);
        for vectors in [1, 1_000, 30_000] {
            let x = vec![1.0; vectors * features];
            let mut packed = vec![0; vectors * row_bytes(num_bits)];
            let mut decoded = vec![0.0; vectors * features];
            let mut both = || {
                encoder.encode(Rows::new(&x, features), &mut packed);
                decoder.decode(&packed, &mut decoded);
            };
            // What threads allocate once for themselves.
            both();
            let bytes = peak(both);
            println!("{vectors} x {features} x {num_bits}: {bytes} bytes");
            assert!(
                bytes < threads << 20,
                "{vectors} x {features} x {num_bits}: {bytes} bytes, {threads} threads"
            );
        }
    }
}
