//! Vectors to packed bits.

use pulp::Simd;

use crate::layout::row_bytes;
use crate::level::Level;
use crate::product::{Keep, Panels, Put};
use crate::rows::Rows;
use crate::short_vectors;
use crate::tasks::{Task, part_of, run_in_parts};

/// The differences of a codebook's pairs, laid out for products with many vectors.
///
/// A tile of logits, some vectors by one or two registers of bits, is summed in registers over the
/// features, and its signs are packed there: logits are never in memory.
#[derive(Debug, Clone)]
pub struct Encoder {
    /// `[features, num_bits]`
    differences: Panels,
}

impl Encoder {
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
            "Encoder: a codebook of {} elements, expected pairs of vectors of {features}",
            codebook.len()
        );
        let num_bits = codebook.len() / (2 * features);
        let mut differences = Panels::new(level, features, num_bits);
        for (bit, pair) in codebook.chunks_exact(2 * features).enumerate() {
            let (zero, one) = pair.split_at(features);
            differences.set_column(bit, zero.iter().zip(one).map(|(zero, one)| one - zero));
        }
        Self { differences }
    }

    /// Bits of a code.
    pub fn num_bits(&self) -> usize {
        self.differences.columns()
    }

    /// Elements of a vector.
    pub fn features(&self) -> usize {
        self.differences.inner()
    }

    /// The bits of each vector, packed as [`layout`](crate::layout) says: 1 where its product with
    /// the difference of the bit's pair is above 0, so that a tie and NaN give 0.
    ///
    /// # Panics
    ///
    /// Where the vectors have other features, or `packed` is not a row for each.
    pub fn encode(&self, x: Rows<'_>, packed: &mut [u8]) {
        run_in_parts(self.task(x, packed));
    }

    /// The instructions that it was made for.
    pub(crate) fn level(&self) -> Level {
        self.differences.level()
    }

    /// The logits of the vectors, `[vectors, num_bits]`, on this thread.
    pub(crate) fn logits(&self, x: Rows<'_>, logits: &mut [f32]) {
        let logits = Put::over(logits, self.num_bits());
        self.differences.product(x, logits);
    }

    /// The work of [`encode`](Self::encode).
    pub(crate) fn task<'a>(&'a self, x: Rows<'a>, packed: &'a mut [u8]) -> Encode<'a> {
        let (features, bytes) = (self.features(), row_bytes(self.num_bits()));
        assert!(
            x.features() == features && packed.len() == x.len() * bytes,
            "Encoder: {} vectors of {} and {} bytes, expected vectors of {features} and rows of {bytes}",
            x.len(),
            x.features(),
            packed.len(),
        );
        Encode {
            encoder: self,
            x,
            packed,
        }
    }
}

/// Vectors to encode.
pub(crate) struct Encode<'a> {
    encoder: &'a Encoder,
    x: Rows<'a>,
    packed: &'a mut [u8],
}

impl Task for Encode<'_> {
    type Output = ();

    fn vectors(&self) -> usize {
        self.x.len()
    }

    fn part(&self) -> usize {
        let encoder = self.encoder;
        // Few bits take as long as a register of them.
        part_of(encoder.features() * (encoder.num_bits() + 16))
    }

    fn split_at(self, vectors: usize) -> (Self, Self) {
        let encoder = self.encoder;
        let (x, after) = self.x.split_at(vectors);
        let (packed, packed_after) = self
            .packed
            .split_at_mut(vectors * row_bytes(encoder.num_bits()));
        let part = |x, packed| Encode { encoder, x, packed };
        (part(x, packed), part(after, packed_after))
    }

    fn run(self) {
        let Self { encoder, x, packed } = self;
        let differences = &encoder.differences;
        let (x, packed) = short_vectors::encode(differences, x, packed);
        packed.fill(0);
        let row_bytes = row_bytes(encoder.num_bits());
        let signs = Signs {
            level: encoder.level(),
            packed,
            row_bytes,
        };
        encoder.differences.product(x, signs);
    }

    fn join((): (), (): ()) {}
}

/// Their signs, in rows of bytes that are zeros.
struct Signs<'a> {
    level: Level,
    packed: &'a mut [u8],
    row_bytes: usize,
}

impl Keep for Signs<'_> {
    #[inline(always)]
    fn keep<S: Simd, const WIDE: usize>(
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
        put(
            bits,
            first,
            &mut self.packed[vector * self.row_bytes..][..self.row_bytes],
        );
    }
}

/// Puts bits, of which there are at most 32 and those past the row's last are zero, where the
/// `first` of them belongs.
#[inline(always)]
fn put(bits: u32, first: usize, packed: &mut [u8]) {
    let (byte, shift) = (first / 8, first % 8);
    // Widths are powers of two: those of less than a byte do not cross its end.
    let bits = (bits << shift).to_le_bytes();
    for (packed, bits) in packed[byte..].iter_mut().zip(bits) {
        *packed |= bits;
    }
}
