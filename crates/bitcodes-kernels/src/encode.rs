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
        self.packed.fill(0);
        self.encoder.level.run(self);
    }

    fn join((): (), (): ()) {}
}

impl WithSimd for Encode<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As many sums as registers hold beside what is multiplied.
        match S::REGISTER_COUNT {
            32.. => self.tiles::<S, 8>(simd),
            _ => self.tiles::<S, 6>(simd),
        }
    }
}

impl Encode<'_> {
    #[inline(always)]
    fn tiles<S: Simd, const ROWS: usize>(self, simd: S) {
        let bytes = row_bytes(self.encoder.num_bits);
        let mut index = 0;
        let mut packed = self.packed.chunks_exact_mut(ROWS * bytes);
        for packed in &mut packed {
            let x = core::array::from_fn(|row| self.x.row(index + row));
            rows::<S, ROWS>(simd, self.encoder, x, packed);
            index += ROWS;
        }
        for packed in packed.into_remainder().chunks_exact_mut(bytes) {
            rows::<S, 1>(simd, self.encoder, [self.x.row(index)], packed);
            index += 1;
        }
    }
}

/// The bits of some vectors.
#[inline(always)]
fn rows<S: Simd, const ROWS: usize>(
    simd: S,
    encoder: &Encoder,
    x: [&[f32]; ROWS],
    packed: &mut [u8],
) {
    let (features, lanes) = (encoder.features, S::F32_LANES);
    let mut panels = &encoder.panels[..];
    let mut first = 0;
    for width in panel_widths(encoder.num_bits, lanes) {
        let (panel, after) = panels.split_at(features * width);
        let (panel, _) = S::as_simd_f32s(panel);
        let bits = match width > lanes {
            true => tile::<S, ROWS, REGISTERS>(simd, x, panel.as_chunks().0),
            false => tile::<S, ROWS, 1>(simd, x, panel.as_chunks().0),
        };
        let packed = packed.chunks_exact_mut(row_bytes(encoder.num_bits));
        for (bits, packed) in bits.into_iter().zip(packed) {
            put(bits, first, packed);
        }
        (panels, first) = (after, first + width);
    }
}

/// The signs of `ROWS` vectors' products with a panel, `[features]`; those of a vector from the
/// lowest bit on.
#[inline(always)]
fn tile<S: Simd, const ROWS: usize, const WIDE: usize>(
    simd: S,
    x: [&[f32]; ROWS],
    panel: &[[S::f32s; WIDE]],
) -> [u32; ROWS] {
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
    let zero = simd.splat_f32s(0.0);
    sums.map(|sums| {
        let signs = sums.map(|sum| mask_bits(simd, simd.greater_than_f32s(sum, zero)));
        let each = signs.iter().enumerate();
        each.fold(0, |all, (register, signs)| {
            all | signs << (register * S::F32_LANES)
        })
    })
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
