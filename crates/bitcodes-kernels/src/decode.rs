//! Packed bits to vectors.

use alloc::vec;
use alloc::vec::Vec;
use core::mem::MaybeUninit;

use pulp::{Simd, WithSimd};

use crate::layout::row_bytes;
use crate::level::Level;
use crate::memory::{as_unwritten, put, written};
use crate::tasks::{Task, run_in_parts};

/// A codebook's sums of four vectors each, for every value of four bits.
///
/// A code is decoded by adding one sum for each four bits, without a product: the tables of a few
/// registers of features, all bits, stay in the cache while many codes pass.
#[derive(Debug, Clone)]
pub struct Decoder {
    level: Level,
    features: usize,
    num_bits: usize,
    /// Elements that are decoded at once.
    width: usize,
    /// `[columns of that width][bytes of a row][two halves][16][width]`, zeros past the last feature
    /// and the last bit.
    tables: Vec<f32>,
}

/// Sums of a byte's two halves.
const SUMS: usize = 32;

impl Decoder {
    /// Of a codebook `[2 * num_bits, features]`.
    ///
    /// # Panics
    ///
    /// Where it is not whole pairs of vectors.
    pub fn new(codebook: &[f32], features: usize) -> Self {
        Self::at(Level::best(), codebook, features)
    }

    /// With other instructions than the best.
    ///
    /// # Panics
    ///
    /// Where the codebook, `[2 * num_bits, features]`, is not whole pairs of vectors.
    pub fn at(level: Level, codebook: &[f32], features: usize) -> Self {
        assert!(
            features > 0 && !codebook.is_empty() && codebook.len().is_multiple_of(2 * features),
            "Decoder: a codebook of {} elements, expected pairs of vectors of {features}",
            codebook.len()
        );
        let num_bits = codebook.len() / (2 * features);
        let width = level.run(Width(features));
        let (columns, bytes) = (features.div_ceil(width), row_bytes(num_bits));
        let mut tables = vec![0.0; columns * bytes * SUMS * width];
        for (column, table) in tables.chunks_exact_mut(bytes * SUMS * width).enumerate() {
            let first = column * width;
            let present = width.min(features - first);
            for (half, sums) in table.chunks_exact_mut(16 * width).enumerate() {
                let bits = (4 * half..num_bits).take(4);
                for (value, sum) in sums.chunks_exact_mut(width).enumerate() {
                    for (position, bit) in bits.clone().enumerate() {
                        let row = 2 * bit + (value >> position & 1);
                        let vector = &codebook[row * features + first..][..present];
                        sum.iter_mut()
                            .zip(vector)
                            .for_each(|(sum, element)| *sum += element);
                    }
                }
            }
        }
        Self {
            level,
            features,
            num_bits,
            width,
            tables,
        }
    }

    /// Bits of a code.
    pub fn num_bits(&self) -> usize {
        self.num_bits
    }

    /// Elements of a vector.
    pub fn features(&self) -> usize {
        self.features
    }

    /// The sum of the vectors that each code chooses, `[codes, features]`, of packed rows as
    /// [`layout`](crate::layout) says.
    ///
    /// # Panics
    ///
    /// Where `packed` is not whole rows, or `vectors` not one for each.
    pub fn decode(&self, packed: &[u8], vectors: &mut [f32]) {
        // SAFETY: sums are written there.
        #[expect(unsafe_code, reason = "measured to pay")]
        let vectors = unsafe { as_unwritten(vectors) };
        self.write(packed, vectors);
    }

    /// [`decode`](Self::decode) to vectors that are new.
    ///
    /// # Panics
    ///
    /// Where `packed` is not whole rows.
    pub fn decoded(&self, packed: &[u8]) -> Vec<f32> {
        let count = packed.len() / row_bytes(self.num_bits) * self.features;
        // SAFETY: it writes each element of each vector, of which there are as many as rows.
        #[expect(unsafe_code, reason = "measured to pay")]
        unsafe {
            written(count, |vectors| self.write(packed, vectors))
        }
    }

    /// Writes every element, or panics.
    fn write(&self, packed: &[u8], vectors: &mut [MaybeUninit<f32>]) {
        let (features, bytes) = (self.features, row_bytes(self.num_bits));
        assert!(
            packed.len().is_multiple_of(bytes) && vectors.len() == packed.len() / bytes * features,
            "Decoder: {} bytes and {} elements, expected rows of {bytes} and vectors of {features}",
            packed.len(),
            vectors.len(),
        );
        run_in_parts(Decode {
            decoder: self,
            packed,
            vectors,
        });
    }
}

/// The width of a column for so many features.
struct Width(usize);

impl WithSimd for Width {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        let registers = match self.0.div_ceil(S::F32_LANES) {
            1 => 1,
            2 => 2,
            _ => 4,
        };
        registers * S::F32_LANES
    }
}

/// Codes to decode.
struct Decode<'a> {
    decoder: &'a Decoder,
    packed: &'a [u8],
    vectors: &'a mut [MaybeUninit<f32>],
}

impl Task for Decode<'_> {
    type Output = ();

    fn vectors(&self) -> usize {
        self.vectors.len() / self.decoder.features
    }

    fn split_at(self, vectors: usize) -> (Self, Self) {
        let decoder = self.decoder;
        let (packed, packed_after) = self.packed.split_at(vectors * row_bytes(decoder.num_bits));
        let (vectors, after) = self.vectors.split_at_mut(vectors * decoder.features);
        let part = |packed, vectors| Decode {
            decoder,
            packed,
            vectors,
        };
        (part(packed, vectors), part(packed_after, after))
    }

    fn run(self) {
        self.decoder.level.run(self);
    }

    fn join((): (), (): ()) {}
}

impl WithSimd for Decode<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.decoder.width / S::F32_LANES {
            1 => self.columns::<S, 1>(simd),
            2 => self.columns::<S, 2>(simd),
            _ => self.columns::<S, 4>(simd),
        }
    }
}

impl Decode<'_> {
    #[inline(always)]
    fn columns<S: Simd, const REGISTERS: usize>(self, simd: S) {
        let Decoder {
            features,
            num_bits,
            width,
            ref tables,
            ..
        } = *self.decoder;
        let bytes = row_bytes(num_bits);
        for (column, table) in tables.chunks_exact(bytes * SUMS * width).enumerate() {
            let (table, _) = S::as_simd_f32s(table);
            let (table, _) = table.as_chunks::<REGISTERS>().0.as_chunks::<SUMS>();
            let first = column * width;
            let present = width.min(features - first);
            let rows = self.packed.chunks_exact(bytes);
            for (row, vector) in rows.zip(self.vectors.chunks_exact_mut(features)) {
                let mut sums = [simd.splat_f32s(0.0); REGISTERS];
                for (&byte, table) in row.iter().zip(table) {
                    let (low, high) = (usize::from(byte & 15), usize::from(byte >> 4));
                    for chosen in [&table[low], &table[16 + high]] {
                        for (sum, &part) in sums.iter_mut().zip(chosen) {
                            *sum = simd.add_f32s(*sum, part);
                        }
                    }
                }
                put::<S>(&sums, &mut vector[first..][..present]);
            }
        }
    }
}
