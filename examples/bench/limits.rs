//! What this machine does at best, measured: bytes copied, elements multiplied, rows added.

use std::hint::black_box;
use std::time::Instant;

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use burn::backend::Flex;
use burn::tensor::{Distribution, Tensor};

/// Rates of all threads together.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Bytes a second that are read and written elsewhere, counted twice.
    copied: f64,
    /// Multiplications with an addition, a second.
    multiplied: f64,
    /// Elements a second that are added from a table in the cache.
    added: f64,
}

impl Limits {
    pub fn measure() -> Self {
        Self {
            copied: copied(),
            multiplied: multiplied(),
            added: added(),
        }
    }

    /// Milliseconds that it takes at least to read vectors, multiply them with each bit's direction and
    /// write the packed bits.
    pub fn encode_ms(&self, [vectors, features, num_bits]: [usize; 3]) -> f64 {
        let products = (vectors * features * num_bits) as f64 / self.multiplied;
        self.bytes_ms(vectors, features, num_bits)
            .max(products * 1e3)
    }

    /// Milliseconds that it takes at least to read packed bits, add a sum of four for each four of
    /// them and write the vectors.
    pub fn decode_ms(&self, [vectors, features, num_bits]: [usize; 3]) -> f64 {
        let additions = (vectors * features * num_bits.div_ceil(4)) as f64 / self.added;
        self.bytes_ms(vectors, features, num_bits)
            .max(additions * 1e3)
    }

    fn bytes_ms(&self, vectors: usize, features: usize, num_bits: usize) -> f64 {
        let bytes = vectors * (4 * features + num_bits.div_ceil(8));
        bytes as f64 / self.copied * 1e3
    }
}

/// The least of some times, in seconds: what disturbs only adds.
fn least_seconds(mut run: impl FnMut()) -> f64 {
    let time = |()| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    [(); 10].map(time).into_iter().fold(f64::INFINITY, f64::min)
}

fn copied() -> f64 {
    const ELEMENTS: usize = 1 << 24;
    const PART: usize = 1 << 16;
    let from = vec![1.0f32; ELEMENTS];
    let mut to = vec![0.0f32; ELEMENTS];
    let seconds = least_seconds(|| {
        let parts = to.par_chunks_mut(PART).zip(from.par_chunks(PART));
        parts.for_each(|(to, from)| to.copy_from_slice(from));
        black_box(&mut to);
    });
    (2 * 4 * ELEMENTS) as f64 / seconds
}

fn multiplied() -> f64 {
    const SIDE: usize = 1024;
    let device = Default::default();
    let [a, b] = [(); 2]
        .map(|()| Tensor::<Flex, 2>::random([SIDE, SIDE], Distribution::Normal(0.0, 1.0), &device));
    let seconds = least_seconds(|| {
        black_box(a.clone().matmul(b.clone()));
    });
    (SIDE * SIDE * SIDE) as f64 / seconds
}

fn added() -> f64 {
    /// Of four registers of 16 elements.
    const WIDTH: usize = 64;
    const ROWS: usize = 64;
    const TIMES: usize = 1 << 16;
    let table: Vec<[f32; WIDTH]> = (0..ROWS).map(|row| [row as f32; WIDTH]).collect();
    let threads = rayon::current_num_threads();
    let add = || {
        let mut sum = [0.0f32; WIDTH];
        for time in 0..TIMES {
            let row = &table[black_box(time * 29) % ROWS];
            for (sum, part) in sum.iter_mut().zip(row) {
                *sum += part;
            }
        }
        black_box(sum)
    };
    let arch = pulp::Arch::new();
    let seconds = least_seconds(|| {
        rayon::broadcast(|_| arch.dispatch(add));
    });
    (threads * TIMES * WIDTH) as f64 / seconds
}
