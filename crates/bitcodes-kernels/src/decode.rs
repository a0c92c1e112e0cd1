//! Packed bits to vectors.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use core::ops::Range;

use aligned_vec::{AVec, avec};
use pulp::{Simd, WithSimd};

use crate::layout::row_bytes;
use crate::level::Level;
use crate::memory::{as_unwritten, put, written};
use crate::tasks::{Task, part_of, run_in_parts};

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
    /// `[columns of that width][nibbles][SUMS][width]`, zeros past the last feature and the last
    /// bit.
    tables: AVec<f32>,
}

/// Bits of a nibble, whose values have a sum each.
const NIBBLE: usize = 4;

const SUMS: usize = 1 << NIBBLE;

impl Decoder {
    /// Of a codebook `[2 * num_bits, features]`.
    ///
    /// # Panics
    ///
    /// Where it is not whole pairs of vectors.
    pub fn new(codebook: &[f32], features: usize) -> Self {
        Self::at(Level::best(), codebook, features)
    }

    /// With other instructions than the best, or narrower ones where features fill half a register.
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
        let level = level.narrowed(features);
        let nibbles = num_bits.div_ceil(NIBBLE);
        let width = level.run(Width { features, nibbles });
        let columns = features.div_ceil(width);
        let mut tables = avec![0.0; columns * nibbles * SUMS * width];
        for (column, table) in tables.chunks_exact_mut(nibbles * SUMS * width).enumerate() {
            let first = column * width;
            let present = width.min(features - first);
            for (nibble, sums) in table.chunks_exact_mut(SUMS * width).enumerate() {
                let bits = (NIBBLE * nibble..num_bits).take(NIBBLE);
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
        // SAFETY: sums are written there, or rows that sums were written to.
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

/// The width of a column.
struct Width {
    features: usize,
    nibbles: usize,
}

impl WithSimd for Width {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        /// Bytes of a column's table: a small first cache.
        const CACHED: usize = 1 << 15;

        let needed = self.features.div_ceil(S::F32_LANES);
        let cached = CACHED / (self.nibbles * SUMS * size_of::<S::f32s>());
        let registers = match (needed, cached) {
            (1, _) | (_, ..2) => 1,
            (2, _) | (_, ..4) => 2,
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

    fn part(&self) -> usize {
        let Decoder {
            features, num_bits, ..
        } = *self.decoder;
        // To write takes as long as some additions.
        part_of(features * num_bits.div_ceil(NIBBLE).max(4))
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
            1 => self.columns::<S, 1, 4>(simd),
            2 => self.columns::<S, 2, 2>(simd),
            _ => self.columns::<S, 4, 1>(simd),
        }
    }
}

/// Vectors that are put together at a time: many, as the tables of all columns are read again for each
/// block.
const BLOCK: usize = 128;

/// Features of the longest that are: a block of them has room in the second cache.
const LONG: usize = 1 << 10;

impl Decode<'_> {
    /// By columns of `REGISTERS`, `ROWS` codes at a time: as many sums as an addition takes cycles.
    #[inline(always)]
    fn columns<S: Simd, const REGISTERS: usize, const ROWS: usize>(self, simd: S) {
        let Decoder {
            features,
            num_bits,
            width,
            ref tables,
            ..
        } = *self.decoder;
        let bytes = row_bytes(num_bits);
        let tables = tables.chunks_exact(num_bits.div_ceil(NIBBLE) * SUMS * width);
        let columns = tables.len();
        if columns == 1 || features > LONG || self.vectors() < BLOCK {
            for (column, table) in tables.enumerate() {
                let elements = column * width..features.min((column + 1) * width);
                let column = Column::<S, REGISTERS>::new(table, bytes, features, elements);
                column.decode::<ROWS>(simd, self.packed, &mut *self.vectors);
            }
            return;
        }
        // Memory takes vectors that are written from end to end faster than a column of each. The distance
        // between them here is an odd number of registers: powers of two share few places of a cache.
        let stride = ((columns * REGISTERS) | 1) * S::F32_LANES;
        let mut memory = Box::new_uninit_slice(BLOCK * stride + S::F32_LANES);
        // A register that lies in two of a cache's lines takes both.
        let skipped = memory
            .as_ptr()
            .align_offset(size_of::<S::f32s>())
            .min(S::F32_LANES);
        let together = &mut memory[skipped..][..BLOCK * stride];
        let packed = self.packed.chunks(BLOCK * bytes);
        for (packed, vectors) in packed.zip(self.vectors.chunks_mut(BLOCK * features)) {
            let together = &mut together[..vectors.len() / features * stride];
            for (column, table) in tables.clone().enumerate() {
                let elements = column * width..(column + 1) * width;
                let column = Column::<S, REGISTERS>::new(table, bytes, stride, elements);
                column.decode::<ROWS>(simd, packed, together);
            }
            // Columns have written all of these rows.
            let vectors = vectors.chunks_exact_mut(features);
            for (vector, row) in vectors.zip(together.chunks_exact(stride)) {
                vector.copy_from_slice(&row[..features]);
            }
        }
    }
}

/// A column of the tables, and where its sums belong.
struct Column<'a, S: Simd, const REGISTERS: usize> {
    table: &'a [[[S::f32s; REGISTERS]; SUMS]],
    /// Bytes of a code.
    bytes: usize,
    /// From a vector to the next.
    stride: usize,
    /// Of each vector.
    elements: Range<usize>,
}

impl<'a, S: Simd, const REGISTERS: usize> Column<'a, S, REGISTERS> {
    #[inline(always)]
    fn new(table: &'a [f32], bytes: usize, stride: usize, elements: Range<usize>) -> Self {
        let (table, _) = S::as_simd_f32s(table);
        Self {
            table: table.as_chunks().0.as_chunks().0,
            bytes,
            stride,
            elements,
        }
    }

    #[inline(always)]
    fn decode<const ROWS: usize>(&self, simd: S, packed: &[u8], vectors: &mut [MaybeUninit<f32>]) {
        // What is not written here stays uninitialized.
        assert_eq!(packed.len() / self.bytes, vectors.len() / self.stride);
        let mut packed = packed.chunks_exact(ROWS * self.bytes);
        let mut vectors = vectors.chunks_exact_mut(ROWS * self.stride);
        for (packed, vectors) in (&mut packed).zip(&mut vectors) {
            self.decode_rows::<ROWS>(simd, packed, vectors);
        }
        let packed = packed.remainder().chunks_exact(self.bytes);
        let vectors = vectors.into_remainder().chunks_exact_mut(self.stride);
        for (packed, vector) in packed.zip(vectors) {
            self.decode_rows::<1>(simd, packed, vector);
        }
    }

    #[inline(always)]
    fn decode_rows<const ROWS: usize>(
        &self,
        simd: S,
        packed: &[u8],
        vectors: &mut [MaybeUninit<f32>],
    ) {
        let mut rows: [&[u8]; ROWS] = [&[]; ROWS];
        for (index, row) in rows.iter_mut().enumerate() {
            *row = &packed[index * self.bytes..][..self.bytes];
        }
        let mut sums = [[simd.splat_f32s(0.0); REGISTERS]; ROWS];
        let (whole, last) = self.table.as_chunks::<2>();
        for (index, [low, high]) in whole.iter().enumerate() {
            for (sums, row) in sums.iter_mut().zip(rows) {
                let byte = usize::from(row[index]);
                for chosen in [&low[byte % SUMS], &high[byte / SUMS % SUMS]] {
                    add(simd, sums, chosen);
                }
            }
        }
        if let [low] = last {
            for (sums, row) in sums.iter_mut().zip(rows) {
                let byte = usize::from(row[self.bytes - 1]);
                add(simd, sums, &low[byte % SUMS]);
            }
        }
        // Not zipped, as only what is indexed by constants stays in registers.
        for (index, sums) in sums.iter().enumerate() {
            let vector = &mut vectors[index * self.stride..][..self.stride];
            put::<S, _>(sums, &mut vector[self.elements.clone()]);
        }
    }
}

#[inline(always)]
fn add<S: Simd, const REGISTERS: usize>(
    simd: S,
    sums: &mut [S::f32s; REGISTERS],
    parts: &[S::f32s; REGISTERS],
) {
    for (sum, &part) in sums.iter_mut().zip(parts) {
        *sum = simd.add_f32s(*sum, part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    /// Of one column and of several, alone and in blocks, which Miri watches.
    #[test]
    fn every_element_is_written() {
        for (features, num_bits) in [(7, 3), (90, 9)] {
            let codebook = vec![1.0; 2 * num_bits * features];
            for vectors in [1, BLOCK + 3] {
                let packed = vec![0; vectors * row_bytes(num_bits)];
                for level in Level::available() {
                    let decoded = Decoder::at(level, &codebook, features).decoded(&packed);
                    assert_eq!(decoded, vec![num_bits as f32; vectors * features]);
                }
            }
        }
    }
}
