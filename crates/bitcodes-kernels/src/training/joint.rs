//! Training pass of joint bits: encodes vectors with noise, decodes them, and sums what losses and
//! gradients need while a tile of vectors is in the cache.

use alloc::vec;
use alloc::vec::Vec;
use core::mem::MaybeUninit;

use super::unpack_weights;
use crate::decode::Decoder;
use crate::joint::{EncodeTask, JointEncoder, Normalization};
use crate::layout::row_bytes;
use crate::memory::filled_by;
use crate::noise::Noise;
use crate::product::{AddToRows, ColumnVectors, Panels};
use crate::rows::Rows;
use crate::tasks::{Task, add_elements, run_in_parts};

/// Vectors that are trained with joint bits.
#[derive(Debug, Clone, Copy)]
pub struct JointPass<'a> {
    /// The encoder of the codebook and the normalization.
    pub encoder: &'a JointEncoder,
    /// The decoder of the same codebook.
    pub decoder: &'a Decoder,
    /// The normalization of the encoder.
    pub normalization: Option<Normalization<'a>>,
    /// The vectors before normalization, `[vectors, features]`.
    pub x: Rows<'a>,
    /// Noise that is added to the logits.
    pub noise: Noise<'a>,
    /// Whether a vector counts, `[vectors]`; `None` if all do. A vector that does not count is
    /// encoded and decoded, but has no part in a sum.
    pub valid: Option<&'a [bool]>,
}

/// What a training pass of joint bits computes.
#[derive(Debug, Clone)]
pub struct JointTraining {
    /// The packed codes, `[vectors, row_bytes(num_bits)]`, in the order of
    /// [`layout`](crate::layout).
    pub packed: Vec<u8>,
    /// The decoded vectors, `[vectors, features]`.
    pub quantized: Vec<f32>,
    /// Sums over the vectors that count.
    pub sums: JointSums,
}

/// Sums over vectors, of which losses and their gradients are made.
///
/// With the normalized vectors `z = factor x - center`, the decoded vectors `y`, the residuals
/// `d = z - y` and bits `b` of 0 and 1:
#[derive(Debug, Clone)]
pub struct JointSums {
    /// Number of vectors that count.
    pub vectors: usize,
    /// Sum of `b`, `[num_bits]`.
    pub bits: Vec<f32>,
    /// Sum of `b^T d`, `[num_bits, features]`.
    pub residuals_of_bits: Vec<f32>,
    /// Sum of `d`, `[features]`.
    pub residuals: Vec<f32>,
    /// Sum of `|d|^2`.
    pub squared_residuals: f64,
    /// Sum of `z`, `[features]`.
    pub normalized: Vec<f32>,
    /// Sum of `|z|^2`.
    pub squared_normalized: f64,
}

impl JointPass<'_> {
    /// Runs the pass, on all threads if the feature `threads` is enabled.
    ///
    /// The sums are added in an order that does not depend on the number of threads.
    ///
    /// # Panics
    ///
    /// Panics if the shapes of the fields do not fit one another.
    pub fn run(self) -> JointTraining {
        let (vectors, features) = (self.x.len(), self.encoder.features());
        let num_bits = self.encoder.num_bits();
        let center = match self.normalization {
            Some(normalization) => normalization.center.len(),
            None => features,
        };
        let valid = self.valid.map_or(vectors, <[bool]>::len);
        self.encoder.check(self.x, self.noise);
        assert!(
            (self.decoder.features(), self.decoder.num_bits()) == (features, num_bits)
                && center == features
                && valid == vectors,
            "JointPass: a decoder of {} features and {} bits, a center of {center} and {valid} entries \
             of valid, expected {features} features, {num_bits} bits and {vectors} entries",
            self.decoder.features(),
            self.decoder.num_bits(),
        );
        let zeros;
        let Normalization { factor, center } = match self.normalization {
            Some(normalization) => normalization,
            None => {
                zeros = vec![0.0; features];
                let (factor, center) = (1.0, &zeros[..]);
                Normalization { factor, center }
            }
        };
        let mut packed = vec![0; vectors * row_bytes(num_bits)];
        let mut sums = None;
        let write = |quantized: &mut [MaybeUninit<f32>]| {
            sums = Some(run_in_parts(PassTask {
                encoder: self.encoder,
                decoder: self.decoder,
                factor,
                center,
                x: self.x,
                first: 0,
                noise: self.noise,
                valid: self.valid,
                packed: &mut packed,
                quantized,
            }));
        };
        // SAFETY: each part writes an element for each of its vectors and features.
        #[expect(unsafe_code, reason = "measured to pay")]
        let quantized = unsafe { filled_by(vectors * features, write) };
        JointTraining {
            packed,
            quantized,
            sums: sums.expect("`filled_by` runs `write`"),
        }
    }
}

/// Vectors to train with.
struct PassTask<'a> {
    encoder: &'a JointEncoder,
    decoder: &'a Decoder,
    factor: f32,
    center: &'a [f32],
    x: Rows<'a>,
    /// Index of the first of these vectors in the batch.
    first: usize,
    noise: Noise<'a>,
    valid: Option<&'a [bool]>,
    packed: &'a mut [u8],
    quantized: &'a mut [MaybeUninit<f32>],
}

/// Number of elements of the vectors of a tile, and of its bits. The second-level cache holds eight times
/// as many.
const TILE_ELEMENTS: usize = 1 << 14;

/// Number of features whose sums are kept in registers at a time.
const BLOCK: usize = 16;

impl Task for PassTask<'_> {
    type Output = JointSums;

    fn vectors(&self) -> usize {
        self.x.len()
    }

    fn split_at(self, vectors: usize) -> (Self, Self) {
        let Self {
            encoder,
            decoder,
            factor,
            center,
            first,
            ..
        } = self;
        let (features, num_bits) = (encoder.features(), encoder.num_bits());
        let (x, x_after) = self.x.split_at(vectors);
        let (noise, noise_after) = self.noise.split_at(vectors * num_bits);
        let (valid, valid_after) = self.valid.map(|valid| valid.split_at(vectors)).unzip();
        let (packed, packed_after) = self.packed.split_at_mut(vectors * row_bytes(num_bits));
        let (quantized, quantized_after) = self.quantized.split_at_mut(vectors * features);
        let part = |x, first, noise, valid, packed, quantized| PassTask {
            encoder,
            decoder,
            factor,
            center,
            x,
            first,
            noise,
            valid,
            packed,
            quantized,
        };
        (
            part(x, first, noise, valid, packed, quantized),
            part(
                x_after,
                first + vectors,
                noise_after,
                valid_after,
                packed_after,
                quantized_after,
            ),
        )
    }

    // encode the whole part                                  // its noise is one random stream
    // for each tile of vectors:
    //     y  = decode(packed)
    //     z  = factor x - center
    //     d  = z - y                                         // zeros for a vector that does not count
    //     sums of z, |z|^2, d and |d|^2
    //     bits = unpack(packed)                              // 0.0 or 1.0
    //     residuals_of_bits += bits^T d                      // product
    fn run(self) -> JointSums {
        let (features, num_bits) = (self.encoder.features(), self.encoder.num_bits());
        let (level, bytes) = (self.encoder.level(), row_bytes(num_bits));
        let task = EncodeTask {
            encoder: self.encoder,
            x: self.x,
            first: self.first,
            noise: self.noise,
            packed: &mut *self.packed,
            logits: None,
        };
        task.run();
        let mut sums = JointSums::zeros(features, num_bits);
        let tile = TILE_ELEMENTS / features.max(num_bits);
        let tile = tile.clamp(1, self.x.len().max(1));
        let mut decoded = vec![0.0; tile * features];
        let mut residuals = vec![0.0; tile * features];
        let mut weights = vec![0.0; tile * num_bits];
        let mut panels = Panels::new(level, tile, features);
        let mut x = self.x;
        let mut valid = self.valid;
        let packed = self.packed.chunks(tile * bytes);
        for (packed, quantized) in packed.zip(self.quantized.chunks_mut(tile * features)) {
            let count = packed.len() / bytes;
            let decoded = &mut decoded[..count * features];
            let residuals = &mut residuals[..count * features];
            let weights = &mut weights[..count * num_bits];
            let (here, after) = x.split_at(count);
            let (counted, uncounted) = valid.map(|valid| valid.split_at(count)).unzip();
            (x, valid) = (after, uncounted);
            self.decoder.decode(packed, decoded);
            quantized.write_copy_of_slice(decoded);
            let tile = TileOfPass {
                x: here,
                valid: counted,
                factor: self.factor,
                center: self.center,
            };
            level.run(
                #[inline(always)]
                || {
                    tile.add(decoded, residuals, &mut sums);
                    unpack_weights(packed, num_bits, weights);
                    let rows = weights.chunks_exact(num_bits).enumerate();
                    for (vector, weights) in rows {
                        if tile.counts(vector) {
                            sums.vectors += 1;
                            add_elements(&mut sums.bits, weights);
                        }
                    }
                },
            );
            if panels.inner() != count {
                panels.shrink(count);
            }
            for (index, row) in residuals.chunks_exact(features).enumerate() {
                panels.set_row(index, row);
            }
            let (rows, columns) = (&mut sums.residuals_of_bits[..], features);
            panels.product(
                ColumnVectors::new(weights, num_bits),
                AddToRows { rows, columns },
            );
        }
        sums
    }

    fn join(mut first: JointSums, second: JointSums) -> JointSums {
        first.vectors += second.vectors;
        first.squared_residuals += second.squared_residuals;
        first.squared_normalized += second.squared_normalized;
        for (sums, parts) in [
            (&mut first.bits, second.bits),
            (&mut first.residuals_of_bits, second.residuals_of_bits),
            (&mut first.residuals, second.residuals),
            (&mut first.normalized, second.normalized),
        ] {
            add_elements(sums, &parts);
        }
        first
    }
}

impl JointSums {
    fn zeros(features: usize, num_bits: usize) -> Self {
        Self {
            vectors: 0,
            bits: vec![0.0; num_bits],
            residuals_of_bits: vec![0.0; num_bits * features],
            residuals: vec![0.0; features],
            squared_residuals: 0.0,
            normalized: vec![0.0; features],
            squared_normalized: 0.0,
        }
    }
}

/// Vectors of a tile, which are normalized again to compute their residuals.
struct TileOfPass<'a> {
    x: Rows<'a>,
    valid: Option<&'a [bool]>,
    factor: f32,
    center: &'a [f32],
}

impl TileOfPass<'_> {
    #[inline(always)]
    fn counts(&self, vector: usize) -> bool {
        self.valid.is_none_or(|valid| valid[vector])
    }

    /// Writes the residuals and adds the sums that are made of single elements.
    #[inline(always)]
    fn add(&self, decoded: &[f32], residuals: &mut [f32], sums: &mut JointSums) {
        let features = self.center.len();
        for first in (0..features).step_by(BLOCK) {
            let width = BLOCK.min(features - first);
            let center = block(&self.center[first..]);
            let [mut d_sum, mut d_square, mut z_sum, mut z_square] = [[0.0f32; BLOCK]; 4];
            for (vector, x) in self.x.iter().enumerate() {
                let to = &mut residuals[vector * features..][..features][first..][..width];
                if !self.counts(vector) {
                    to.fill(0.0);
                    continue;
                }
                let x = block(&x[first..]);
                let y = block(&decoded[vector * features..][..features][first..]);
                let mut d = [0.0f32; BLOCK];
                for lane in 0..BLOCK {
                    let z = self.factor * x[lane] - center[lane];
                    d[lane] = z - y[lane];
                    d_sum[lane] += d[lane];
                    d_square[lane] += d[lane] * d[lane];
                    z_sum[lane] += z;
                    z_square[lane] += z * z;
                }
                match <&mut [f32; BLOCK]>::try_from(&mut *to) {
                    Ok(to) => *to = d,
                    Err(_) => to.copy_from_slice(&d[..width]),
                }
            }
            add_elements(&mut sums.residuals[first..], &d_sum);
            add_elements(&mut sums.normalized[first..], &z_sum);
            sums.squared_residuals += total(&d_square);
            sums.squared_normalized += total(&z_square);
        }
    }
}

/// Returns the first elements of a slice, and zeros past its end.
#[inline(always)]
fn block(elements: &[f32]) -> [f32; BLOCK] {
    match elements.first_chunk() {
        Some(block) => *block,
        None => {
            let mut block = [0.0; BLOCK];
            block[..elements.len()].copy_from_slice(elements);
            block
        }
    }
}

fn total(elements: &[f32]) -> f64 {
    elements.iter().copied().map(f64::from).sum()
}
