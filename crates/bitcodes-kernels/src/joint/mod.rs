//! Joint bits: decides the bits of a vector together by beam search, to reconstruct it better.
//!
//! [`JointEncoder`] searches in the lanes of registers, in single precision. [`decide`] specifies what
//! it computes, and serves double precision.

mod load;
mod plain;
mod refine;
mod search;
mod select;
mod tables;
#[cfg(test)]
mod tests;
mod tile;

use alloc::vec;
use alloc::vec::Vec;

pub use plain::decide;

use self::tables::SignTables;
pub(crate) use self::tile::Tile;
use crate::codebook::Codebook;
use crate::layout::row_bytes;
use crate::level::Level;
use crate::noise::Noise;
use crate::product::{Panels, StoreRows};
use crate::rows::Rows;
use crate::tasks::{PART_VECTORS, Task, run_in_parts};

/// Number of registers of vectors that are multiplied with a codebook at a time.
const REGISTERS: usize = 2;

/// Most bits that are searched for in the lanes of registers; their tables take 17 MB.
const MOST_BITS: usize = 1024;

/// Normalization of vectors before their bits are decided: `factor x - center`.
#[derive(Debug, Clone, Copy)]
pub struct Normalization<'a> {
    /// Factor of every element.
    pub factor: f32,
    /// Center, `[features]`.
    pub center: &'a [f32],
}

/// Encoder of vectors to packed codes, whose bits are decided jointly, as [`decide`] specifies.
///
/// The code of a vector depends on the vector, the codebook, the normalization, the beam and the
/// [`Level`], and not on the other vectors or the number of threads. Bits of two levels may differ
/// where rounding decides a comparison. The encoder owns all that it needs of the codebook.
///
/// A beam of 1, 2, 4, 8, 16 or 32 (in a browser, of 8) is searched with a vector in each lane of a
/// register, if no more than 1024 pairs differ. Otherwise each vector is searched alone, in plain
/// loops, which takes more than ten times as long. So are vectors whose products overflow or are NaN,
/// and those for which two candidates cost the same after rounding, as with one feature and 16 bits.
/// A pair of equal vectors has the logit 0, also for a vector that is NaN.
#[derive(Debug, Clone)]
pub struct JointEncoder {
    level: Level,
    features: usize,
    num_bits: usize,
    beam: usize,
    factor: f32,
    /// What is subtracted from a vector, `[features]`: the center and the sum of the pairs' means.
    offset: Vec<f32>,
    /// The bits whose pairs differ, in order. Nothing but noise decides the others.
    bits: Vec<usize>,
    /// Half of each difference, `[bits, features]`.
    halves: Vec<f32>,
    /// Products of the halves with one another, `[bits, bits]`.
    gram: Vec<f32>,
    /// Inverse of each half's square.
    inverses: Vec<f32>,
    /// What the search in lanes needs, if it can be used.
    lanes: Option<InLanes>,
}

/// What a search with a vector in each lane needs.
#[derive(Debug, Clone)]
struct InLanes {
    tables: SignTables,
    /// Costs of the ways to choose the first signs, less what the products take from them; their
    /// number is that of the ways that are kept.
    starts: Vec<f32>,
    /// Sum of the sizes of a vector's products from which on a cost might overflow.
    limit: f32,
}

impl JointEncoder {
    /// Makes an encoder for the best level of this processor. It takes four bytes for each pair of bits,
    /// and up to 17 MB of tables.
    ///
    /// # Panics
    ///
    /// Panics if `beam` is 0, or if the center has other features than the codebook.
    pub fn new(
        codebook: Codebook<'_>,
        normalization: Option<Normalization<'_>>,
        beam: usize,
    ) -> Self {
        Self::at(Level::best(), codebook, normalization, beam)
    }

    /// Makes an encoder for a level.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    pub fn at(
        level: Level,
        codebook: Codebook<'_>,
        normalization: Option<Normalization<'_>>,
        beam: usize,
    ) -> Self {
        let (features, num_bits) = (codebook.features(), codebook.num_bits());
        let center = normalization.map_or(features, |normalization| normalization.center.len());
        assert!(
            beam > 0 && center == features,
            "JointEncoder: a beam of {beam} and a center of {center} elements, expected at least 1 and \
             {features}"
        );
        let factor = normalization.map_or(1.0, |normalization| normalization.factor);
        let mut offset = vec![0.0f64; features];
        for [zero, one] in codebook.pairs() {
            for ((sum, &zero), &one) in offset.iter_mut().zip(zero).zip(one) {
                *sum += (f64::from(zero) + f64::from(one)) / 2.0;
            }
        }
        if let Some(normalization) = normalization {
            let each = offset.iter_mut().zip(normalization.center);
            each.for_each(|(sum, &center)| *sum += f64::from(center));
        }
        let (mut bits, mut halves) = (Vec::new(), Vec::new());
        for (bit, difference) in codebook.differences().enumerate() {
            if difference.clone().any(|element| element != 0.0) {
                bits.push(bit);
                halves.extend(difference.map(|element| element / 2.0));
            }
        }
        let gram = gram(level, &halves, features);
        let count = bits.len();
        let lanes = InLanes::new(level, &gram, count, beam);
        Self {
            level,
            features,
            num_bits,
            beam,
            factor,
            offset: offset.into_iter().map(|sum| sum as f32).collect(),
            inverses: plain::inverses(&gram, count),
            bits,
            halves,
            gram,
            lanes,
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

    /// Encodes vectors to packed codes in the order of [`layout`](crate::layout).
    ///
    /// # Shapes
    ///
    /// - `x`: `[vectors, features]`
    /// - `packed`: `[vectors, row_bytes(num_bits)]`, overwritten
    ///
    /// # Panics
    ///
    /// Panics if `x` has other features than the codebook, if `packed` has another shape, or if
    /// [`Noise::Given`] does not have one number for each bit.
    pub fn encode(&self, x: Rows<'_>, noise: Noise<'_>, packed: &mut [u8]) {
        self.run(x, noise, packed, None);
    }

    /// Encodes vectors as [`encode`](Self::encode) does, and returns the logits that decided the
    /// bits, noise included.
    ///
    /// # Shapes
    ///
    /// - `logits`: `[vectors, num_bits]`, overwritten
    ///
    /// # Panics
    ///
    /// As [`encode`](Self::encode), and if `logits` has another shape.
    pub fn encode_with_logits(
        &self,
        x: Rows<'_>,
        noise: Noise<'_>,
        packed: &mut [u8],
        logits: &mut [f32],
    ) {
        self.run(x, noise, packed, Some(logits));
    }

    fn run(&self, x: Rows<'_>, noise: Noise<'_>, packed: &mut [u8], logits: Option<&mut [f32]>) {
        self.check(x, noise);
        let (bytes, all) = (row_bytes(self.num_bits()), x.len() * self.num_bits());
        let asked = logits.as_ref().map_or(all, |logits| logits.len());
        assert!(
            packed.len() == x.len() * bytes && asked == all,
            "JointEncoder: {} bytes and {asked} logits for {} vectors, expected rows of {bytes} and {all} \
             logits",
            packed.len(),
            x.len(),
        );
        run_in_parts(EncodeTask {
            encoder: self,
            x,
            first: 0,
            noise,
            packed,
            logits,
        });
    }
}

impl JointEncoder {
    /// Returns the level that the encoder was made for.
    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// Panics unless vectors and their noise have the shapes that the encoder takes.
    pub(crate) fn check(&self, x: Rows<'_>, noise: Noise<'_>) {
        let all = x.len() * self.num_bits();
        let given = match noise {
            Noise::Given(noise) => noise.len(),
            _ => all,
        };
        assert!(
            x.features() == self.features && given == all,
            "JointEncoder: {} vectors of {} and {given} numbers of noise, expected vectors of {} and {all} \
             numbers",
            x.len(),
            x.features(),
            self.features,
        );
    }
}

impl InLanes {
    /// Prepares a search with the Gram matrix `[bits, bits]`. Returns `None` if it takes no such beam
    /// or as many bits.
    fn new(level: Level, gram: &[f32], bits: usize, beam: usize) -> Option<Self> {
        if !(1..=MOST_BITS).contains(&bits) {
            return None;
        }
        // A wider beam would keep all ways before the last bit.
        let ways = match u32::try_from(bits - 1)
            .ok()
            .and_then(|bits| 1usize.checked_shl(bits))
        {
            Some(all) => beam.min(all),
            None => beam,
        };
        if !search::WAYS.contains(&ways) {
            return None;
        }
        let sizes = gram.iter().map(|&product| f64::from(product.abs()));
        Some(Self {
            tables: SignTables::new(gram, bits, level.look_up_bits()),
            starts: starts(gram, bits, ways),
            limit: (f64::from(f32::MAX) / 8.0 - sizes.sum::<f64>()) as f32,
        })
    }
}

/// Returns the products of vectors with one another, `[vectors, vectors]`.
fn gram(level: Level, vectors: &[f32], features: usize) -> Vec<f32> {
    let count = vectors.len() / features;
    let mut gram = vec![0.0; count * count];
    if count > 0 {
        let rows = Rows::new(vectors, features);
        let mut panels = Panels::new(level, features, count);
        for (index, vector) in rows.iter().enumerate() {
            panels.set_column(index, vector.iter().copied());
        }
        panels.product(rows, StoreRows::over(&mut gram, count));
    }
    gram
}

/// Returns the costs of all signs of the first bits, less what the products take from them.
fn starts(gram: &[f32], bits: usize, ways: usize) -> Vec<f32> {
    let first_bits = ways.ilog2() as usize;
    let sign = |way: usize, bit: usize| if way >> bit & 1 == 1 { 1.0 } else { -1.0 };
    let cost = |way: usize| {
        let pairs = (0..first_bits).flat_map(|p| (0..p).map(move |q| (p, q)));
        let terms = pairs.map(|(p, q)| sign(way, p) * sign(way, q) * f64::from(gram[p * bits + q]));
        terms.sum::<f64>() as f32
    };
    (0..ways).map(cost).collect()
}

/// Vectors to encode.
pub(crate) struct EncodeTask<'a> {
    pub encoder: &'a JointEncoder,
    pub x: Rows<'a>,
    /// Index of the first of these vectors in the batch.
    pub first: usize,
    pub noise: Noise<'a>,
    pub packed: &'a mut [u8],
    pub logits: Option<&'a mut [f32]>,
}

impl Task for EncodeTask<'_> {
    type Output = ();

    fn vectors(&self) -> usize {
        self.x.len()
    }

    fn split_at(self, vectors: usize) -> (Self, Self) {
        let Self { encoder, first, .. } = self;
        let num_bits = encoder.num_bits();
        let (x, x_after) = self.x.split_at(vectors);
        let (noise, noise_after) = self.noise.split_at(vectors * num_bits);
        let (packed, packed_after) = self.packed.split_at_mut(vectors * row_bytes(num_bits));
        let logits = self
            .logits
            .map(|logits| logits.split_at_mut(vectors * num_bits));
        let (logits, logits_after) = logits.unzip();
        let part = |x, first, noise, packed, logits| EncodeTask {
            encoder,
            x,
            first,
            noise,
            packed,
            logits,
        };
        (
            part(x, first, noise, packed, logits),
            part(
                x_after,
                first + vectors,
                noise_after,
                packed_after,
                logits_after,
            ),
        )
    }

    fn run(self) {
        let mut tile = Tile::new(self.encoder, self.noise);
        self.run_with(&mut tile);
    }

    fn join((): (), (): ()) {}
}

impl EncodeTask<'_> {
    /// Runs the task on this thread, in memory that was made for its encoder and noise.
    pub(crate) fn run_with(mut self, tile: &mut Tile) {
        let encoder = self.encoder;
        let bytes = row_bytes(encoder.num_bits());
        // The index of a part in the batch determines its random stream, so that the draws do not
        // depend on the thread that computes them.
        let mut random = self.noise.random(self.first / PART_VECTORS);
        while !self.x.is_empty() {
            let count = tile.width().min(self.x.len());
            let (here, after) = self.split_at(count);
            tile.load(encoder, here.x);
            tile.load_noise(encoder, here.first % PART_VECTORS, here.noise, &mut random);
            tile.decide(encoder, here.x.len());
            tile.pack(encoder, here.packed.chunks_exact_mut(bytes));
            if let Some(logits) = here.logits {
                tile.copy_logits(encoder, logits);
            }
            self = after;
        }
    }
}
