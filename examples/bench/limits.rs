//! What this machine does at best, measured: bytes copied, elements multiplied, rows added.

use std::hint::black_box;
use std::time::Instant;

use pulp::{Arch, Simd, WithSimd};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

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

/// Sums in registers: more than an addition takes cycles, fewer than there are registers.
const SUMS: usize = 12;
const TIMES: usize = 1 << 18;

fn multiplied() -> f64 {
    let elements = SUMS * TIMES * on_each_thread(Lanes);
    elements as f64 / least_seconds(|| _ = on_each_thread(Multiply))
}

fn added() -> f64 {
    let elements = SUMS * TIMES * on_each_thread(Lanes);
    elements as f64 / least_seconds(|| _ = on_each_thread(Add))
}

/// The sum of what it gives on each.
fn on_each_thread(work: impl WithSimd<Output = usize> + Copy + Sync) -> usize {
    let arch = Arch::new();
    rayon::broadcast(|_| arch.dispatch(work)).into_iter().sum()
}

/// Elements of a register.
#[derive(Clone, Copy)]
struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

/// Multiplies what is in registers, and adds.
#[derive(Clone, Copy)]
struct Multiply;

impl WithSimd for Multiply {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let [a, b] = black_box([1.0, 0.5]).map(|value| simd.splat_f32s(value));
        let mut sums = [simd.splat_f32s(0.0); SUMS];
        for _ in 0..TIMES {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(a, *sum, b);
            }
        }
        consume::<S>(sums)
    }
}

/// Adds what is in the first cache.
#[derive(Clone, Copy)]
struct Add;

impl WithSimd for Add {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let table = black_box([[simd.splat_f32s(1.0); SUMS]; 16]);
        let mut sums = [simd.splat_f32s(0.0); SUMS];
        for time in 0..TIMES {
            let row = &table[time % table.len()];
            for index in 0..SUMS {
                sums[index] = simd.add_f32s(sums[index], row[index]);
            }
        }
        consume::<S>(sums)
    }
}

/// So that they have to be computed.
#[inline(always)]
fn consume<S: Simd>(sums: [S::f32s; SUMS]) -> usize {
    black_box(sums);
    0
}
