//! Encodes vectors to packed codes without noise.

use pulp::Simd;

use crate::codebook::Codebook;
use crate::layout::{row_bytes, set_bits};
use crate::level::Level;
use crate::product::{Epilogue, Panels, StoreRows};
use crate::rows::Rows;
use crate::short_vectors;
use crate::tasks::{Task, part_vectors_for, run_in_parts};

/// Encoder of vectors to packed codes, whose bits are decided independently of one another.
///
/// Bit `p` of a vector `x` is 1 if its logit `x . (codebook[2p + 1] - codebook[2p])` is above 0; a
/// logit of 0 and NaN give 0. The encoder owns a copy of the codebook's differences, laid out for
/// products with many vectors.
#[derive(Debug, Clone)]
pub struct Encoder {
    /// `[features, num_bits]`
    differences: Panels,
}

impl Encoder {
    /// Makes an encoder for the best level of this processor.
    pub fn new(codebook: Codebook<'_>) -> Self {
        Self::at(Level::best(), codebook)
    }

    /// Makes an encoder for a level.
    pub fn at(level: Level, codebook: Codebook<'_>) -> Self {
        let mut differences = Panels::new(level, codebook.features(), codebook.num_bits());
        for (bit, difference) in codebook.differences().enumerate() {
            differences.set_column(bit, difference);
        }
        Self { differences }
    }

    /// Returns the number of bits of a code.
    pub fn num_bits(&self) -> usize {
        self.differences.columns()
    }

    /// Returns the number of elements of a vector.
    pub fn features(&self) -> usize {
        self.differences.inner()
    }

    /// Encodes vectors to packed codes in the order of [`layout`](crate::layout).
    ///
    /// # Shapes
    ///
    /// - `x`: `[vectors, features]`
    /// - `packed`: `[vectors, row_bytes(num_bits)]`, overwritten
    ///
    /// # Panics
    ///
    /// Panics if `x` has other features than the codebook, or if `packed` has another shape.
    pub fn encode(&self, x: Rows<'_>, packed: &mut [u8]) {
        let (features, bytes) = (self.features(), row_bytes(self.num_bits()));
        assert!(
            x.features() == features && packed.len() == x.len() * bytes,
            "Encoder: {} vectors of {} and {} bytes, expected vectors of {features} and rows of {bytes}",
            x.len(),
            x.features(),
            packed.len(),
        );
        run_in_parts(EncodeTask {
            encoder: self,
            x,
            packed,
        });
    }

    /// Returns the level that the encoder was made for.
    pub(crate) fn level(&self) -> Level {
        self.differences.level()
    }

    /// Writes the logits of vectors, `[vectors, num_bits]`, on this thread.
    pub(crate) fn logits(&self, x: Rows<'_>, logits: &mut [f32]) {
        let logits = StoreRows::over(logits, self.num_bits());
        self.differences.product(x, logits);
    }
}

/// Vectors to encode.
struct EncodeTask<'a> {
    encoder: &'a Encoder,
    x: Rows<'a>,
    packed: &'a mut [u8],
}

impl Task for EncodeTask<'_> {
    type Output = ();

    fn vectors(&self) -> usize {
        self.x.len()
    }

    fn part_vectors(&self) -> usize {
        let encoder = self.encoder;
        // A few bits take as long as a whole register of them, which the 16 accounts for.
        part_vectors_for(encoder.features() * (encoder.num_bits() + 16))
    }

    fn split_at(self, vectors: usize) -> (Self, Self) {
        let encoder = self.encoder;
        let (x, x_after) = self.x.split_at(vectors);
        let (packed, packed_after) = self
            .packed
            .split_at_mut(vectors * row_bytes(encoder.num_bits()));
        let part = |x, packed| EncodeTask { encoder, x, packed };
        (part(x, packed), part(x_after, packed_after))
    }

    // for each tile of vectors:
    //     for each panel of bits:
    //         logits[vector][bit] = 0
    //         for each feature:
    //             logits[vector][bit] += x[vector][feature] * differences[feature][bit]
    //         packed[vector][bit] = logits[vector][bit] > 0
    //
    // The logits of a tile and panel are registers and never reach memory. The loop over tiles is
    // `Panels::product`; `PackSigns` is its last line.
    fn run(self) {
        let Self { encoder, x, packed } = self;
        let differences = &encoder.differences;
        let (x, packed) = short_vectors::encode(differences, x, packed);
        packed.fill(0);
        let row_bytes = row_bytes(encoder.num_bits());
        let pack_signs = PackSigns {
            level: encoder.level(),
            packed,
            row_bytes,
        };
        encoder.differences.product(x, pack_signs);
    }

    fn join((): (), (): ()) {}
}

/// Epilogue that packs the signs of logits into rows of zeros.
struct PackSigns<'a> {
    level: Level,
    packed: &'a mut [u8],
    row_bytes: usize,
}

impl Epilogue for PackSigns<'_> {
    #[inline(always)]
    fn finish<S: Simd, const WIDE: usize>(
        &mut self,
        simd: S,
        vector: usize,
        first: usize,
        logits: [S::f32s; WIDE],
    ) {
        let zero = simd.splat_f32s(0.0);
        let mut bits = 0;
        for (register, &logits) in logits.iter().enumerate() {
            let signs = self
                .level
                .mask_bits(simd, simd.greater_than_f32s(logits, zero));
            bits |= signs << (register * S::F32_LANES);
        }
        set_bits(
            bits,
            first,
            &mut self.packed[vector * self.row_bytes..][..self.row_bytes],
        );
    }
}
