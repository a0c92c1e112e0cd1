//! Vectors to packed bits.

use alloc::vec;
use alloc::vec::Vec;

use pulp::{Simd, WithSimd};

use crate::layout::row_bytes;
use crate::level::Level;
use crate::rows::Rows;
use crate::tasks::{Task, run_in_parts};

/// The differences of a codebook's pairs, laid out for products with many vectors.
///
/// A tile of logits, some vectors by one or two registers of bits, is summed in registers over the
/// features, and its signs are packed there: logits are never in memory.
#[derive(Debug, Clone)]
pub struct Encoder {
    level: Level,
    features: usize,
    num_bits: usize,
    /// Panels of consecutive bits, each `[features][bits of the panel]`, zeros past the last bit.
    panels: Vec<f32>,
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
        let lanes = level.run(Lanes);
        let widths = panel_widths(num_bits, lanes);
        let mut panels = vec![0.0; features * widths.clone().sum::<usize>()];
        let (mut rest, mut first) = (&mut panels[..], 0);
        for width in widths {
            let (panel, after) = rest.split_at_mut(features * width);
            let bits = codebook.chunks_exact(2 * features).skip(first).take(width);
            for (bit, pair) in bits.enumerate() {
                let (zero, one) = pair.split_at(features);
                let differences = zero.iter().zip(one).map(|(zero, one)| one - zero);
                let column = panel.iter_mut().skip(bit).step_by(width);
                column
                    .zip(differences)
                    .for_each(|(to, difference)| *to = difference);
            }
            (rest, first) = (after, first + width);
        }
        Self {
            level,
            features,
            num_bits,
            panels,
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
        self.level
    }

    /// The logits of the vectors, `[vectors, num_bits]`, on this thread.
    pub(crate) fn logits(&self, x: Rows<'_>, logits: &mut [f32]) {
        let num_bits = self.num_bits;
        let keep = Logits { logits, num_bits };
        self.level.run(Tiles { encoder: self, x, keep });
    }

    /// The work of [`encode`](Self::encode).
    pub(crate) fn task<'a>(&'a self, x: Rows<'a>, packed: &'a mut [u8]) -> Encode<'a> {
        let (features, bytes) = (self.features, row_bytes(self.num_bits));
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

/// Registers that a panel is wide, but for the last.
const REGISTERS: usize = 2;

/// Features between two looks at whether a vector has them.
const BLOCK: usize = 8;

/// Bits of each panel.
fn panel_widths(num_bits: usize, lanes: usize) -> impl Iterator<Item = usize> + Clone {
    let wide = REGISTERS * lanes;
    (0..num_bits.div_ceil(wide)).map(move |panel| match num_bits - panel * wide {
        rest if rest <= lanes => lanes,
        _ => wide,
    })
}

/// Lanes of a register.
struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
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

    fn split_at(self, vectors: usize) -> (Self, Self) {
        let encoder = self.encoder;
        let (x, after) = self.x.split_at(vectors);
        let (packed, packed_after) = self
            .packed
            .split_at_mut(vectors * row_bytes(encoder.num_bits));
        let part = |x, packed| Encode { encoder, x, packed };
        (part(x, packed), part(after, packed_after))
    }

    fn run(self) {
        let Self { encoder, x, packed } = self;
        packed.fill(0);
        let row_bytes = row_bytes(encoder.num_bits);
        let keep = Signs { packed, row_bytes };
        encoder.level.run(Tiles { encoder, x, keep });
    }

    fn join((): (), (): ()) {}
}

/// What is done with the logits of a tile.
trait Keep {
    /// Takes those of a vector from the bit `first` on, zeros past the last bit.
    fn keep<S: Simd, const WIDE: usize>(
        &mut self,
        simd: S,
        vector: usize,
        first: usize,
        logits: [S::f32s; WIDE],
    );
}

/// Their signs, in rows of bytes that are zeros.
struct Signs<'a> {
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
        let signs = logits.map(|logits| mask_bits(simd, simd.greater_than_f32s(logits, zero)));
        let each = signs.iter().enumerate();
        let bits = each.fold(0, |all, (register, signs)| {
            all | signs << (register * S::F32_LANES)
        });
        put(bits, first, &mut self.packed[vector * self.row_bytes..][..self.row_bytes]);
    }
}

/// Themselves, in rows.
struct Logits<'a> {
    logits: &'a mut [f32],
    num_bits: usize,
}

impl Keep for Logits<'_> {
    #[inline(always)]
    fn keep<S: Simd, const WIDE: usize>(
        &mut self,
        _: S,
        vector: usize,
        first: usize,
        logits: [S::f32s; WIDE],
    ) {
        let row = &mut self.logits[vector * self.num_bits..][..self.num_bits][first..];
        let logits: &[f32] = bytemuck::cast_slice(&logits);
        let count = row.len().min(logits.len());
        row[..count].copy_from_slice(&logits[..count]);
    }
}

/// Vectors by tiles.
struct Tiles<'a, K> {
    encoder: &'a Encoder,
    x: Rows<'a>,
    keep: K,
}

impl<K: Keep> WithSimd for Tiles<'_, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As many sums as registers hold beside what is multiplied.
        match S::REGISTER_COUNT {
            32.. => self.compute::<S, 8>(simd),
            _ => self.compute::<S, 6>(simd),
        }
    }
}

impl<K: Keep> Tiles<'_, K> {
    #[inline(always)]
    fn compute<S: Simd, const ROWS: usize>(mut self, simd: S) {
        let whole = self.x.len() - self.x.len() % ROWS;
        for index in (0..whole).step_by(ROWS) {
            let x = core::array::from_fn(|row| self.x.row(index + row));
            rows::<S, ROWS, K>(simd, self.encoder, x, index, &mut self.keep);
        }
        for index in whole..self.x.len() {
            rows::<S, 1, K>(simd, self.encoder, [self.x.row(index)], index, &mut self.keep);
        }
    }
}

/// The logits of the vectors from `index` on.
#[inline(always)]
fn rows<S: Simd, const ROWS: usize, K: Keep>(
    simd: S,
    encoder: &Encoder,
    x: [&[f32]; ROWS],
    index: usize,
    keep: &mut K,
) {
    let (features, lanes) = (encoder.features, S::F32_LANES);
    let mut panels = &encoder.panels[..];
    let mut first = 0;
    for width in panel_widths(encoder.num_bits, lanes) {
        let (panel, after) = panels.split_at(features * width);
        let (panel, _) = S::as_simd_f32s(panel);
        match width > lanes {
            true => {
                let logits = tile::<S, ROWS, REGISTERS>(simd, x, panel.as_chunks().0);
                let each = (index..).zip(logits);
                each.for_each(|(vector, logits)| keep.keep(simd, vector, first, logits));
            }
            false => {
                let logits = tile::<S, ROWS, 1>(simd, x, panel.as_chunks().0);
                let each = (index..).zip(logits);
                each.for_each(|(vector, logits)| keep.keep(simd, vector, first, logits));
            }
        }
        (panels, first) = (after, first + width);
    }
}

/// The products of `ROWS` vectors with a panel, `[features]`.
#[inline(always)]
fn tile<S: Simd, const ROWS: usize, const WIDE: usize>(
    simd: S,
    x: [&[f32]; ROWS],
    panel: &[[S::f32s; WIDE]],
) -> [[S::f32s; WIDE]; ROWS] {
    let mut sums = [[simd.splat_f32s(0.0); WIDE]; ROWS];
    let mut add = |x: f32, row: usize, directions: &[S::f32s; WIDE]| {
        let x = simd.splat_f32s(x);
        for (sum, &direction) in sums[row].iter_mut().zip(directions) {
            *sum = simd.mul_add_e_f32s(x, direction, *sum);
        }
    };
    let (blocks, rest) = panel.as_chunks::<BLOCK>();
    for (block, directions) in blocks.iter().enumerate() {
        let x: [&[f32; BLOCK]; ROWS] =
            core::array::from_fn(|row| x[row][block * BLOCK..].first_chunk().expect("features"));
        for (feature, directions) in directions.iter().enumerate() {
            for (row, x) in x.iter().enumerate() {
                add(x[feature], row, directions);
            }
        }
    }
    for (feature, directions) in (panel.len() - rest.len()..).zip(rest) {
        for (row, x) in x.iter().enumerate() {
            add(x[feature], row, directions);
        }
    }
    sums
}

/// A bit for each lane.
#[inline(always)]
fn mask_bits<S: Simd>(simd: S, mask: S::m32s) -> u32 {
    if const { size_of::<S::m32s>() == size_of::<u16>() } {
        return bytemuck::cast::<_, u16>(mask).into();
    }
    if const { S::F32_LANES == 1 } {
        return u32::from(simd.first_true_m32s(mask) == 0);
    }
    let mask: S::u32s = bytemuck::cast(mask);
    let lanes: &[u32] = bytemuck::cast_slice(core::slice::from_ref(&mask));
    let each = lanes.iter().enumerate();
    each.fold(0, |all, (lane, set)| all | (set & 1) << lane)
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
