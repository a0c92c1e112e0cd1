//! The bits of as many vectors as are decided at a time.

use alloc::vec;
use alloc::vec::Vec;

use aligned_vec::{AVec, avec};
use rand::rngs::Xoshiro256PlusPlus;

use super::load::Load;
use super::plain::{BeamSearch, Pairs};
use super::refine::Refinement;
use super::search::{Problem, Scratch};
use super::tables::{bits_of_word, words};
use super::{JointEncoder, REGISTERS};
use crate::look_up::{LookUp, WithLookUp};
use crate::noise::{Noise, add_logistic};
use crate::product::{Panels, StoreRows};
use crate::rows::Rows;

/// Number of vectors for which noise is drawn at a time. Tiles of every level divide it, so that all
/// levels draw the same noise.
const DRAWN_VECTORS: usize = 32;

/// Memory for the vectors whose bits are decided at a time: two registers of them. Every function
/// takes the encoder that the memory was made for.
#[derive(Debug, Clone)]
pub struct Tile {
    /// Number of vectors.
    width: usize,
    /// The vectors, normalized and centered, `[features][width]`.
    x: Panels,
    /// Products with the halves, `[bits][width]`.
    products: AVec<f32>,
    /// Signs, `[words][width]`.
    signs: AVec<u32>,
    /// 1 for a vector whose signs are not sure, `[width]`.
    unsure: AVec<u32>,
    /// Logits that decided the bits, `[bits][width]`.
    logits: AVec<f32>,
    noise: TileNoise,
    scratch: Scratch,
    alone: Option<Alone>,
}

/// Noise of the vectors of a tile.
#[derive(Debug, Clone)]
struct TileNoise {
    /// `[DRAWN_VECTORS, num_bits]`; empty if there is none.
    drawn: Vec<f32>,
    /// Index of the tile's first vector in `drawn`.
    first: usize,
    /// Noise of the bits whose pairs differ, `[bits][width]`.
    of_bits: AVec<f32>,
    /// Products and noise in their units, `[bits][width]`.
    with_products: AVec<f32>,
}

/// Memory for a vector that is decided alone.
#[derive(Debug, Clone)]
struct Alone {
    search: BeamSearch<f32>,
    products: Vec<f32>,
    noise: Vec<f32>,
}

impl Tile {
    /// Makes room for vectors of an encoder.
    pub fn new(encoder: &JointEncoder, noise: Noise<'_>) -> Self {
        let bits = encoder.bits.len();
        let width = REGISTERS * encoder.level.lanes();
        let ways = encoder.lanes.as_ref().map_or(0, |lanes| lanes.starts.len());
        let (drawn, of_bits) = match noise {
            Noise::None => (0, 0),
            _ => (DRAWN_VECTORS * encoder.num_bits, bits * width),
        };
        Self {
            width,
            x: Panels::new(encoder.level, encoder.features, width),
            products: avec![0.0; bits * width],
            signs: avec![0; words(bits) * width],
            unsure: avec![0; width],
            logits: avec![0.0; bits * width],
            noise: TileNoise {
                drawn: vec![0.0; drawn],
                first: 0,
                of_bits: avec![0.0; of_bits],
                with_products: avec![0.0; of_bits],
            },
            scratch: Scratch::new(bits, ways, encoder.level.lanes()),
            alone: None,
        }
    }

    /// Returns the largest number of vectors of a tile.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Loads vectors.
    pub fn load(&mut self, encoder: &JointEncoder, x: Rows<'_>) {
        encoder.level.run(Load {
            x,
            factor: encoder.factor,
            offset: &encoder.offset,
            panel: self.x.wide_panel_mut(),
        });
    }

    /// Loads or draws the noise of the vectors from index `first` of a part on.
    pub fn load_noise(
        &mut self,
        encoder: &JointEncoder,
        first: usize,
        noise: Noise<'_>,
        random: &mut Xoshiro256PlusPlus,
    ) {
        let (num_bits, width) = (encoder.num_bits, self.width);
        let to = &mut self.noise;
        match noise {
            Noise::None => return,
            Noise::Given(noise) => {
                to.first = 0;
                to.drawn[..noise.len()].copy_from_slice(noise);
            }
            Noise::Logistic { scale, .. } => {
                to.first = first % DRAWN_VECTORS;
                if to.first == 0 {
                    to.drawn.fill(0.0);
                    add_logistic(random, scale, &mut to.drawn);
                }
            }
        }
        let rows = to.drawn[to.first * num_bits..].chunks_exact(num_bits);
        for (vector, row) in rows.take(width).enumerate() {
            let column = to.of_bits.iter_mut().skip(vector).step_by(width);
            for (to, &bit) in column.zip(&encoder.bits) {
                *to = row[bit];
            }
        }
    }

    /// Decides the bits of the first `count` vectors.
    pub fn decide(&mut self, encoder: &JointEncoder, count: usize) {
        if encoder.bits.is_empty() {
            return;
        }
        let halves = Rows::new(&encoder.halves, encoder.features);
        self.x
            .product(halves, StoreRows::over(&mut self.products, self.width));
        self.noise.add_to(&self.products, encoder, self.width);
        let (noise, with_noise) = match self.noise.of_bits.is_empty() {
            true => (None, &self.products),
            false => (Some(&self.noise.of_bits[..]), &self.noise.with_products),
        };
        match &encoder.lanes {
            None => self.unsure.fill(1),
            Some(lanes) => encoder.level.run_with_look_up(Decide {
                problem: Problem {
                    tables: &lanes.tables,
                    starts: &lanes.starts,
                    limit: lanes.limit,
                    products: with_noise,
                    register: 0,
                },
                registers: count.div_ceil(self.width / REGISTERS),
                products: &self.products,
                noise,
                inverses: &encoder.inverses,
                signs: &mut self.signs,
                unsure: &mut self.unsure,
                logits: &mut self.logits,
                scratch: &mut self.scratch,
            }),
        }
        for vector in 0..count {
            if self.unsure[vector] != 0 {
                self.decide_alone(encoder, vector);
            }
        }
    }

    /// Decides the bits of a vector in plain loops.
    fn decide_alone(&mut self, encoder: &JointEncoder, vector: usize) {
        let width = self.width;
        let bits = encoder.bits.len();
        let alone = self.alone.get_or_insert_with(|| Alone {
            search: BeamSearch::new(bits, encoder.beam),
            products: Vec::new(),
            noise: Vec::new(),
        });
        let column = |all: &[f32], to: &mut Vec<f32>| {
            to.clear();
            to.extend(all.iter().skip(vector).step_by(width));
        };
        column(&self.products, &mut alone.products);
        column(&self.noise.of_bits, &mut alone.noise);
        let noise = (!alone.noise.is_empty()).then_some(&alone.noise[..]);
        let pairs = Pairs {
            gram: &encoder.gram,
            inverses: &encoder.inverses,
        };
        alone.search.decide(&mut alone.products, noise, &pairs);
        let logits = self.logits.iter_mut().skip(vector).step_by(width);
        logits
            .zip(&alone.products)
            .for_each(|(to, &logit)| *to = logit);
        for word in 0..words(bits) {
            let logits = &alone.products[bits_of_word(word, bits)];
            let each = logits.iter().enumerate();
            let signs = each.map(|(place, &logit)| u32::from(logit > 0.0) << place);
            self.signs[word * width + vector] = signs.sum();
        }
    }

    /// Packs the bits of vectors into rows.
    pub fn pack<'b>(&self, encoder: &JointEncoder, rows: impl Iterator<Item = &'b mut [u8]>) {
        let (bits, num_bits) = (encoder.bits.len(), encoder.num_bits);
        if bits < num_bits {
            for (vector, row) in rows.enumerate() {
                row.fill(0);
                self.each_logit(encoder, vector, |bit, logit| {
                    row[bit / 8] |= u8::from(logit > 0.0) << (bit % 8)
                });
            }
            return;
        }
        for (vector, row) in rows.enumerate() {
            let mut rest = row;
            for word in 0..words(bits) {
                let bytes = bits_of_word(word, bits).len().div_ceil(8);
                let (here, after) = rest.split_at_mut(bytes);
                let signs = self.signs[word * self.width + vector];
                here.copy_from_slice(&signs.to_le_bytes()[..bytes]);
                rest = after;
            }
        }
    }

    /// Copies the logits of vectors to rows of `num_bits`.
    pub fn copy_logits(&self, encoder: &JointEncoder, logits: &mut [f32]) {
        let rows = logits.chunks_exact_mut(encoder.num_bits);
        for (vector, row) in rows.enumerate() {
            self.each_logit(encoder, vector, |bit, logit| row[bit] = logit);
        }
    }

    /// Hands each bit of a vector and its logit to a function. The logit of a pair of equal vectors is
    /// its noise.
    fn each_logit(&self, encoder: &JointEncoder, vector: usize, mut take: impl FnMut(usize, f32)) {
        let start = (self.noise.first + vector) * encoder.num_bits;
        let noise = self.noise.drawn.get(start..).unwrap_or_default();
        let mut index = 0;
        for bit in 0..encoder.num_bits {
            if encoder.bits.get(index) == Some(&bit) {
                take(bit, self.logits[index * self.width + vector]);
                index += 1;
            } else {
                take(bit, noise.get(bit).copied().unwrap_or(0.0));
            }
        }
    }
}

impl TileNoise {
    /// Adds the noise, if there is any, to products `[bits][width]`.
    fn add_to(&mut self, products: &[f32], encoder: &JointEncoder, width: usize) {
        let squares = encoder.gram.iter().step_by(encoder.bits.len() + 1);
        let sums = self.with_products.chunks_exact_mut(width);
        let each = products
            .chunks_exact(width)
            .zip(self.of_bits.chunks_exact(width));
        for ((sums, square), (products, noise)) in sums.zip(squares).zip(each) {
            for ((sum, product), noise) in sums.iter_mut().zip(products).zip(noise) {
                *sum = product + noise * square;
            }
        }
    }
}

/// A tile whose bits are decided, at a level.
struct Decide<'a> {
    problem: Problem<'a>,
    registers: usize,
    products: &'a [f32],
    noise: Option<&'a [f32]>,
    inverses: &'a [f32],
    signs: &'a mut [u32],
    unsure: &'a mut [u32],
    logits: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl WithLookUp for Decide<'_> {
    type Output = ();

    #[inline(always)]
    fn with_look_up<S: LookUp>(self, simd: S) {
        let Self { problem, .. } = self;
        let (unsure, _) = S::as_mut_simd_u32s(self.unsure);
        for (register, unsure) in unsure.iter_mut().enumerate().take(self.registers) {
            let problem = Problem {
                register,
                ..problem
            };
            let found = problem.search::<S>(simd, self.scratch, self.signs);
            *unsure = simd.select_u32s(found, simd.splat_u32s(1), simd.splat_u32s(0));
        }
        let refinement = Refinement {
            tables: problem.tables,
            inverses: self.inverses,
            products: self.products,
            noise: self.noise,
            signs: self.signs,
            logits: self.logits,
        };
        refinement.run(simd);
    }
}
