//! Measures the best rates of this machine: bytes copied, elements multiplied, elements added.

use std::hint::black_box;
use std::time::Instant;

use pulp::{Arch, Simd, WithSimd};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

/// The best rates of all threads together.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Bytes per second in a copy. A byte counts twice, because it is read and written.
    copied: f64,
    /// Multiplications with an addition, per second.
    multiplied: f64,
    /// Additions per second of elements from a table in the cache.
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

    /// Returns the least time in milliseconds to read vectors, multiply them by the difference of
    /// each pair and write the packed codes.
    pub fn encode_ms(&self, [vectors, features, num_bits]: [usize; 3]) -> f64 {
        let products = (vectors * features * num_bits) as f64 / self.multiplied;
        self.bytes_ms(vectors, features, num_bits)
            .max(products * 1e3)
    }

    /// Returns the time in milliseconds to read vectors, multiply them by half the difference of each
    /// pair, search and refine with one multiplication for each candidate and pair of bits, and write
    /// the packed codes. A search that looks sums up may take less.
    pub fn joint_ms(&self, shape: [usize; 3], beam: usize) -> f64 {
        let [vectors, features, num_bits] = shape;
        let of_vector = features * num_bits + beam * num_bits.pow(2) / 2 + num_bits.pow(2);
        let multiplications = (vectors * of_vector) as f64 / self.multiplied;
        self.bytes_ms(vectors, features, num_bits)
            .max(multiplications * 1e3)
    }

    /// Returns the least time in milliseconds to read packed codes, add one table entry for each
    /// four bits and write the vectors.
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

/// Returns the least of ten times in seconds. Disturbances can only make a time longer.
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

/// Number of sums in registers. There are more than the cycles that an addition takes, so that
/// additions overlap, and fewer than there are registers.
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

/// Runs `work` on each thread and returns the sum of its results.
fn on_each_thread(work: impl WithSimd<Output = usize> + Copy + Sync) -> usize {
    let arch = Arch::new();
    rayon::broadcast(|_| arch.dispatch(work)).into_iter().sum()
}

/// Returns the number of elements of a register.
#[derive(Clone, Copy)]
struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

/// Multiplies and adds values in registers.
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

/// Adds values from a table in the first-level cache.
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

/// Makes the compiler compute the sums, although nothing uses them.
#[inline(always)]
fn consume<S: Simd>(sums: [S::f32s; SUMS]) -> usize {
    black_box(sums);
    0
}
