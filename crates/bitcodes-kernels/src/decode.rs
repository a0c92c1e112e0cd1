//! Decodes packed codes to vectors.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use core::ops::Range;

use aligned_vec::{AVec, avec};
use pulp::{Simd, WithSimd};

use crate::codebook::Codebook;
use crate::layout::row_bytes;
use crate::level::Level;
use crate::memory::{as_uninit, filled_by, store_registers};
use crate::tasks::{Task, part_vectors_for, run_in_parts};

/// Decoder of packed codes to vectors.
///
/// The vector of a code is the sum of the codebook's vectors that its bits choose, one of each
/// pair. The decoder holds a table of the sums of four such vectors for every value of four bits,
/// so that it adds one table entry for every four bits of a code and multiplies nothing.
#[derive(Debug, Clone)]
pub struct Decoder {
    level: Level,
    features: usize,
    num_bits: usize,
    /// Number of features of a panel, which are decoded at once.
    width: usize,
    /// `[panels][nibbles][SUMS][width]`, zeros past the last feature and the last bit.
    tables: AVec<f32>,
}

/// Number of bits that one sum of a table stands for.
const NIBBLE: usize = 4;

/// Number of values of a nibble, each of which has a sum.
const SUMS: usize = 1 << NIBBLE;

impl Decoder {
    /// Makes a decoder for the best level of this processor.
    pub fn new(codebook: Codebook<'_>) -> Self {
        Self::at(Level::best(), codebook)
    }

    /// Makes a decoder for a level, or, if one register of a narrower level holds a vector, for
    /// that level.
    pub fn at(level: Level, codebook: Codebook<'_>) -> Self {
        let (features, num_bits) = (codebook.features(), codebook.num_bits());
        let level = level.narrowed(features);
        let nibbles = num_bits.div_ceil(NIBBLE);
        let width = level.run(PanelWidth { features, nibbles });
        let panels = features.div_ceil(width);
        let mut tables = avec![0.0; panels * nibbles * SUMS * width];
        for (panel, table) in tables.chunks_exact_mut(nibbles * SUMS * width).enumerate() {
            let first = panel * width;
            let present = width.min(features - first);
            for (nibble, sums) in table.chunks_exact_mut(SUMS * width).enumerate() {
                let pairs = codebook.pairs().skip(NIBBLE * nibble).take(NIBBLE);
                for (value, sum) in sums.chunks_exact_mut(width).enumerate() {
                    for (position, pair) in pairs.clone().enumerate() {
                        let vector = &pair[value >> position & 1][first..][..present];
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

    /// Returns the number of bits of a code.
    pub fn num_bits(&self) -> usize {
        self.num_bits
    }

    /// Returns the number of elements of a vector.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Decodes packed codes in the order of [`layout`](crate::layout) into existing memory.
    ///
    /// # Shapes
    ///
    /// - `packed`: `[codes, row_bytes(num_bits)]`
    /// - `vectors`: `[codes, features]`, overwritten
    ///
    /// # Panics
    ///
    /// Panics if `packed` is not whole rows, or if `vectors` has another shape.
    pub fn decode(&self, packed: &[u8], vectors: &mut [f32]) {
        // SAFETY: only sums are written there, and copies of rows that sums were written to.
        #[expect(unsafe_code, reason = "measured to pay")]
        let vectors = unsafe { as_uninit(vectors) };
        self.write(packed, vectors);
    }

    /// Decodes packed codes into a new vector of elements, `[codes, features]`.
    ///
    /// # Panics
    ///
    /// Panics if `packed` is not whole rows.
    pub fn decoded(&self, packed: &[u8]) -> Vec<f32> {
        let count = packed.len() / row_bytes(self.num_bits) * self.features;
        // SAFETY: `write` writes each element, and `count` is one vector for each row.
        #[expect(unsafe_code, reason = "measured to pay")]
        unsafe {
            filled_by(count, |vectors| self.write(packed, vectors))
        }
    }

    /// Writes every element of `vectors`, or panics.
    fn write(&self, packed: &[u8], vectors: &mut [MaybeUninit<f32>]) {
        let (features, bytes) = (self.features, row_bytes(self.num_bits));
        assert!(
            packed.len().is_multiple_of(bytes) && vectors.len() == packed.len() / bytes * features,
            "Decoder: {} bytes and {} elements, expected rows of {bytes} and vectors of {features}",
            packed.len(),
            vectors.len(),
        );
        run_in_parts(DecodeTask {
            decoder: self,
            packed,
            vectors,
        });
    }
}

/// Query of a level for the width of a panel in features.
struct PanelWidth {
    features: usize,
    nibbles: usize,
}

impl WithSimd for PanelWidth {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        /// Size of a small first-level cache, which is to hold the tables of a panel.
        const CACHE_BYTES: usize = 1 << 15;

        let needed = self.features.div_ceil(S::F32_LANES);
        let cached = CACHE_BYTES / (self.nibbles * SUMS * size_of::<S::f32s>());
        let registers = match (needed, cached) {
            (1, _) | (_, ..2) => 1,
            (2, _) | (_, ..4) => 2,
            _ => 4,
        };
        registers * S::F32_LANES
    }
}

/// Codes to decode.
struct DecodeTask<'a> {
    decoder: &'a Decoder,
    packed: &'a [u8],
    vectors: &'a mut [MaybeUninit<f32>],
}

impl Task for DecodeTask<'_> {
    type Output = ();

    fn vectors(&self) -> usize {
        self.vectors.len() / self.decoder.features
    }

    fn part_vectors(&self) -> usize {
        let Decoder {
            features, num_bits, ..
        } = *self.decoder;
        // Writing an element takes as long as four additions.
        part_vectors_for(features * num_bits.div_ceil(NIBBLE).max(4))
    }

    fn split_at(self, vectors: usize) -> (Self, Self) {
        let decoder = self.decoder;
        let (packed, packed_after) = self.packed.split_at(vectors * row_bytes(decoder.num_bits));
        let (vectors, vectors_after) = self.vectors.split_at_mut(vectors * decoder.features);
        let part = |packed, vectors| DecodeTask {
            decoder,
            packed,
            vectors,
        };
        (part(packed, vectors), part(packed_after, vectors_after))
    }

    fn run(self) {
        self.decoder.level.run(self);
    }

    fn join((): (), (): ()) {}
}

impl WithSimd for DecodeTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.decoder.width / S::F32_LANES {
            1 => self.decode_panels::<S, 1, 4>(simd),
            2 => self.decode_panels::<S, 2, 2>(simd),
            _ => self.decode_panels::<S, 4, 1>(simd),
        }
    }
}

/// Number of vectors of a tile: many, because each tile reads the tables of all panels again.
const TILE_VECTORS: usize = 128;

/// Number of features of the longest vectors that are decoded by tiles: a tile of them fits into
/// the second-level cache.
const MAX_TILE_FEATURES: usize = 1 << 10;

// for each tile of codes:
//     for each panel of features:
//         for each block of ROWS codes of the tile:
//             sums[0..ROWS] = 0                                  // REGISTERS registers a code
//             for each nibble n:
//                 for each code r of the block:
//                     sums[r] += table[panel][n][nibble n of code r]
//             tile[block][panel] = sums
//     vectors[tile] = tile
//
// Vectors of one panel, vectors of more than MAX_TILE_FEATURES features and short batches skip the
// tile: their sums are stored in `vectors` directly.
impl DecodeTask<'_> {
    /// Decodes panels of `REGISTERS` registers, `ROWS` codes at a time.
    ///
    /// A block has as many sums as an addition takes cycles, so that no addition waits for another.
    #[inline(always)]
    fn decode_panels<S: Simd, const REGISTERS: usize, const ROWS: usize>(self, simd: S) {
        let Decoder {
            features,
            num_bits,
            width,
            ref tables,
            ..
        } = *self.decoder;
        let bytes = row_bytes(num_bits);
        let tables = tables.chunks_exact(num_bits.div_ceil(NIBBLE) * SUMS * width);
        let panels = tables.len();
        if panels == 1 || features > MAX_TILE_FEATURES || self.vectors() < TILE_VECTORS {
            for (panel, table) in tables.enumerate() {
                let elements = panel * width..features.min((panel + 1) * width);
                let panel = TablePanel::<S, REGISTERS>::new(table, bytes, features, elements);
                panel.decode::<ROWS>(simd, self.packed, &mut *self.vectors);
            }
            return;
        }
        // Memory takes whole vectors faster than a panel of each vector, so that a tile is decoded
        // in the cache and then copied. Its stride is an odd number of registers, because at a
        // stride of a power of two the vectors share a few places of the cache.
        let stride = ((panels * REGISTERS) | 1) * S::F32_LANES;
        let mut memory = Box::new_uninit_slice(TILE_VECTORS * stride + S::F32_LANES);
        // Registers are stored at multiples of their size: one that crosses a cache line takes
        // twice as long.
        let skipped = memory
            .as_ptr()
            .align_offset(size_of::<S::f32s>())
            .min(S::F32_LANES);
        let tile = &mut memory[skipped..][..TILE_VECTORS * stride];
        let packed = self.packed.chunks(TILE_VECTORS * bytes);
        for (packed, vectors) in packed.zip(self.vectors.chunks_mut(TILE_VECTORS * features)) {
            let tile = &mut tile[..vectors.len() / features * stride];
            for (panel, table) in tables.clone().enumerate() {
                let elements = panel * width..(panel + 1) * width;
                let panel = TablePanel::<S, REGISTERS>::new(table, bytes, stride, elements);
                panel.decode::<ROWS>(simd, packed, tile);
            }
            // The panels have written the first `features` elements of each row of the tile.
            let vectors = vectors.chunks_exact_mut(features);
            for (vector, row) in vectors.zip(tile.chunks_exact(stride)) {
                vector.copy_from_slice(&row[..features]);
            }
        }
    }
}

/// Table of one panel of features, and the place of its sums in the vectors.
struct TablePanel<'a, S: Simd, const REGISTERS: usize> {
    table: &'a [[[S::f32s; REGISTERS]; SUMS]],
    /// Number of bytes of a packed code.
    bytes: usize,
    /// Number of elements from the start of a vector to the start of the next.
    stride: usize,
    /// Elements of each vector that the panel writes.
    elements: Range<usize>,
}

impl<'a, S: Simd, const REGISTERS: usize> TablePanel<'a, S, REGISTERS> {
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
        // `zip` below ends at the shorter side, which would leave vectors uninitialized.
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
        // The low nibble of a byte is bits 0 to 3, as in `layout`: the table is indexed by nibbles
        // because that adds four vectors at once.
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
                    add_registers(simd, sums, chosen);
                }
            }
        }
        if let [low] = last {
            for (sums, row) in sums.iter_mut().zip(rows) {
                let byte = usize::from(row[self.bytes - 1]);
                add_registers(simd, sums, &low[byte % SUMS]);
            }
        }
        // Indexed rather than zipped, because an array stays in registers only if every index is a
        // constant once the loop is unrolled.
        for (index, sums) in sums.iter().enumerate() {
            let vector = &mut vectors[index * self.stride..][..self.stride];
            store_registers::<S, _>(sums, &mut vector[self.elements.clone()]);
        }
    }
}

/// Adds registers to the sums of a panel.
#[inline(always)]
fn add_registers<S: Simd, const REGISTERS: usize>(
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

    /// Miri watches this test, which takes one panel and several, directly and by tiles.
    #[test]
    fn every_element_is_written() {
        for (features, num_bits) in [(7, 3), (90, 9)] {
            let codebook = vec![1.0; 2 * num_bits * features];
            for vectors in [1, TILE_VECTORS + 3] {
                let packed = vec![0; vectors * row_bytes(num_bits)];
                for level in Level::available() {
                    let decoded =
                        Decoder::at(level, Codebook::new(&codebook, features)).decoded(&packed);
                    assert_eq!(decoded, vec![num_bits as f32; vectors * features]);
                }
            }
        }
    }
}
