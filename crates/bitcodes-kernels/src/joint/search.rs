//! The beam search, with a vector in each lane.

use aligned_vec::{AVec, avec};
use bytemuck::Zeroable;
use pulp::Simd;

use super::REGISTERS;
use super::select::{Ways, each_way};
use super::tables::{SignTables, WORD_BITS, bits_of_word, groups_before_word, words};
use crate::look_up::LookUp;

/// Memory of a search, which is used again by the next.
#[derive(Debug, Clone)]
pub struct Scratch {
    /// Bits of the words that are complete, `[words][ways][lanes]`.
    words: AVec<u32>,
    /// Products of the bits of a word, less what the words before take, `[bits][ways][lanes]`.
    left: AVec<f32>,
}

impl Scratch {
    /// Allocates the memory of searches for `bits` bits with so many ways and lanes.
    pub fn new(bits: usize, ways: usize, lanes: usize) -> Self {
        let before = words(bits) - 1;
        let of_word = match before {
            0 => 0,
            _ => WORD_BITS,
        };
        Self {
            words: avec![0; before * ways * lanes],
            left: avec![0.0; of_word * ways * lanes],
        }
    }
}

/// Numbers of ways that a search can keep.
// Each number is code of its own. A build for browsers has to be small.
#[cfg(not(target_arch = "wasm32"))]
pub const WAYS: &[usize] = &[1, 2, 4, 8, 16, 32];
#[cfg(target_arch = "wasm32")]
pub const WAYS: &[usize] = &[8];

/// What is known before a search.
#[derive(Clone, Copy)]
pub struct Problem<'a> {
    pub tables: &'a SignTables,
    /// Costs of the first choices, `[ways]`, less what the products take from them.
    pub starts: &'a [f32],
    /// Sum of the sizes of the products from which on a cost might overflow.
    pub limit: f32,
    /// Products, and noise in their units, `[bits][registers][lanes]`.
    pub products: &'a [f32],
    /// Index of the register that is searched for.
    pub register: usize,
}

// A way is a cost and the signs of the bits so far; there are WAYS of them, for each lane.
//
// ways = all signs of the first log2(WAYS) bits
// for each other bit p but the last:
//     for each way k:
//         a[k] = products[p] - sum_(q < p) sign_q G_qp         // by tables
//         low[k], high[k] = cost[k] -+ |a[k]|                  // the sign of a[k], and the other
//     ways = the WAYS best of low and high
// the best way of all, with the sign of the last bit
//
// The first word of a way has 32 bits, every other has 24, and above them the index of the way that it
// goes on from: only the current word moves with its way.
impl Problem<'_> {
    /// Finds the signs of all bits. Writes them to `found`, `[words][registers][lanes]`, and returns
    /// the lanes in which they are not sure: a cost might have overflowed, or two ways cost the same.
    #[inline(always)]
    pub fn search<S: LookUp>(self, simd: S, scratch: &mut Scratch, found: &mut [u32]) -> S::m32s {
        match self.starts.len() {
            #[cfg(not(target_arch = "wasm32"))]
            1 => self.search_ways::<S, 1>(simd, scratch, found),
            #[cfg(not(target_arch = "wasm32"))]
            2 => self.search_ways::<S, 2>(simd, scratch, found),
            #[cfg(not(target_arch = "wasm32"))]
            4 => self.search_ways::<S, 4>(simd, scratch, found),
            8 => self.search_ways::<S, 8>(simd, scratch, found),
            #[cfg(not(target_arch = "wasm32"))]
            16 => self.search_ways::<S, 16>(simd, scratch, found),
            #[cfg(not(target_arch = "wasm32"))]
            32 => self.search_ways::<S, 32>(simd, scratch, found),
            other => unreachable!("{other} ways"),
        }
    }

    #[inline(always)]
    fn search_ways<S: LookUp, const WAYS: usize>(
        self,
        simd: S,
        scratch: &mut Scratch,
        found: &mut [u32],
    ) -> S::m32s {
        let (tables, bits) = (self.tables, self.tables.bits());
        let (products, _) = S::as_simd_f32s(self.products);
        let product = |bit: usize| products[bit * REGISTERS + self.register];
        let (found, _) = S::as_mut_simd_u32s(found);
        let all_words = words(bits);
        let (done, _) = S::as_mut_simd_u32s(&mut scratch.words);
        let (left, _) = S::as_mut_simd_f32s(&mut scratch.left);

        let first_bits = WAYS.ilog2() as usize;
        let mut ways = Ways::<S, WAYS> {
            costs: [simd.splat_f32s(0.0); WAYS],
            bits: [simd.splat_u32s(0); WAYS],
        };
        each_way!(WAYS, way => {
            ways.costs[way] = simd.splat_f32s(self.starts[way]);
            ways.bits[way] = simd.splat_u32s(way as u32);
        });
        for bit in 0..first_bits {
            let product = product(bit);
            each_way!(WAYS, way => ways.costs[way] = match way >> bit & 1 {
                0 => simd.add_f32s(ways.costs[way], product),
                _ => simd.sub_f32s(ways.costs[way], product),
            });
        }

        let zero = simd.splat_f32s(0.0);
        let mut sum = zero;
        for bit in 0..bits {
            sum = simd.add_f32s(sum, simd.abs_f32s(product(bit)));
        }
        let limit = simd.splat_f32s(self.limit);
        let mut unsure = simd.not_m32s(simd.less_than_f32s(sum, limit));
        for word in 0..all_words {
            let of_word = bits_of_word(word, bits);
            if word > 0 {
                keep_word(simd, &mut ways, done, word - 1);
                for bit in of_word.clone() {
                    let (_, of_groups) = tables.of_bit(bit);
                    let mut here = [product(bit); WAYS];
                    for (before, of_ways) in done[..word * WAYS].chunks_exact(WAYS).enumerate() {
                        let groups = groups_before_word(before, S::BITS)
                            ..groups_before_word(before + 1, S::BITS);
                        let of_groups = &of_groups[groups.start << S::BITS..groups.end << S::BITS];
                        let mut chosen: [S::u32s; WAYS] = *of_ways.first_chunk().expect("ways");
                        for table in of_groups.chunks_exact(1 << S::BITS) {
                            subtract(simd, &mut here, table, &mut chosen);
                        }
                    }
                    left[(bit - of_word.start) * WAYS..][..WAYS].copy_from_slice(&here);
                }
            }
            let first_group = groups_before_word(word, S::BITS);
            let first = if word == 0 { first_bits } else { of_word.start };
            for bit in first..of_word.end {
                let mut a = [product(bit); WAYS];
                if word > 0 {
                    let left = left[(bit - of_word.start) * WAYS..].first_chunk();
                    let left: &[S::f32s; WAYS] = left.expect("products of each way");
                    each_way!(WAYS, way => a[way] = of_way_f32(simd, left, ways.bits[way]));
                }
                let place = bit - of_word.start;
                let own_group = first_group + place / S::BITS;
                let (earlier, of_groups) = tables.of_bit(bit);
                let of_groups = &of_groups[first_group << S::BITS..own_group << S::BITS];
                let mut chosen = ways.bits;
                for table in of_groups.chunks_exact(1 << S::BITS) {
                    subtract(simd, &mut a, table, &mut chosen);
                }
                if !place.is_multiple_of(S::BITS) {
                    subtract(simd, &mut a, earlier, &mut chosen);
                }
                let one = simd.splat_u32s(1 << place);
                let (mut low, mut high) = (ways, ways);
                each_way!(WAYS, way => {
                    let is_one = simd.greater_than_f32s(a[way], zero);
                    let size = simd.abs_f32s(a[way]);
                    low.costs[way] = simd.sub_f32s(ways.costs[way], size);
                    high.costs[way] = simd.add_f32s(ways.costs[way], size);
                    let (without, with) = (ways.bits[way], simd.or_u32s(ways.bits[way], one));
                    low.bits[way] = simd.select_u32s(is_one, with, without);
                    high.bits[way] = simd.select_u32s(is_one, without, with);
                });
                if bit + 1 < bits {
                    let (kept, ties) = Ways::best_of(simd, low, high);
                    ways = kept;
                    unsure = simd.or_m32s(unsure, ties);
                } else {
                    ways = low;
                }
            }
        }

        let mut best = (ways.costs[0], ways.bits[0]);
        each_way!(WAYS, way => if way > 0 {
            let is_better = simd.less_than_f32s(ways.costs[way], best.0);
            let ties = simd.equal_f32s(ways.costs[way], best.0);
            unsure = simd.or_m32s(unsure, ties);
            best.0 = simd.min_f32s(ways.costs[way], best.0);
            best.1 = simd.select_u32s(is_better, ways.bits[way], best.1);
        });
        // All words before the last are those of the way that the last goes on from.
        for (word, of_word) in done.chunks_exact(WAYS).enumerate() {
            let of_word: &[S::u32s; WAYS] = of_word.first_chunk().expect("a word of each way");
            found[word * REGISTERS + self.register] = of_way_u32(simd, of_word, best.1);
        }
        let bits = match all_words {
            1 => best.1,
            _ => simd.and_u32s(best.1, simd.splat_u32s(!ORIGIN)),
        };
        found[(all_words - 1) * REGISTERS + self.register] = bits;
        unsure
    }
}

/// Subtracts the numbers that the lowest bits choose, and drops those bits.
#[inline(always)]
fn subtract<S: LookUp, const WAYS: usize>(
    simd: S,
    from: &mut [S::f32s; WAYS],
    table: &[f32],
    chosen: &mut [S::u32s; WAYS],
) {
    each_way!(WAYS, way => {
        from[way] = simd.sub_f32s(from[way], simd.look_up(table, chosen[way]));
        chosen[way] = simd.after(chosen[way]);
    });
}

/// Part of a word that holds the index of the way that it goes on from.
const ORIGIN: u32 = !0 << WORD_BITS;

/// Keeps a word that is complete, and begins the next.
#[inline(always)]
fn keep_word<S: LookUp, const WAYS: usize>(
    simd: S,
    ways: &mut Ways<S, WAYS>,
    done: &mut [S::u32s],
    word: usize,
) {
    if word > 0 {
        // The words before go with the ways, too.
        for before in done[..word * WAYS].chunks_exact_mut(WAYS) {
            let of_word: [S::u32s; WAYS] = *before.first_chunk().expect("a word of each way");
            each_way!(WAYS, way => before[way] = of_way_u32(simd, &of_word, ways.bits[way]));
        }
        each_way!(WAYS, way => {
            ways.bits[way] = simd.and_u32s(ways.bits[way], simd.splat_u32s(!ORIGIN));
        });
    }
    let done = &mut done[word * WAYS..][..WAYS];
    each_way!(WAYS, way => {
        done[way] = ways.bits[way];
        ways.bits[way] = simd.splat_u32s((way as u32) << WORD_BITS);
    });
}

/// Returns the number of the way that each lane goes on from.
#[inline(always)]
fn of_way_f32<S: Simd, const WAYS: usize>(
    simd: S,
    of_ways: &[S::f32s; WAYS],
    bits: S::u32s,
) -> S::f32s {
    let mut rest = *of_ways;
    macro_rules! halve {
        ($($place:literal),*) => { $(
            if WAYS >> $place > 1 {
                let is_odd = is_set(simd, bits, WORD_BITS + $place);
                each_way!(WAYS, way => if way < WAYS >> ($place + 1) {
                    rest[way] = simd.select_f32s(is_odd, rest[2 * way + 1], rest[2 * way]);
                });
            }
        )* };
    }
    halve!(0, 1, 2, 3, 4);
    rest[0]
}

/// Returns the word of the way that each lane goes on from.
#[inline(always)]
fn of_way_u32<S: Simd, const WAYS: usize>(
    simd: S,
    of_ways: &[S::u32s; WAYS],
    bits: S::u32s,
) -> S::u32s {
    let mut numbers = [S::f32s::zeroed(); WAYS];
    each_way!(WAYS, way => numbers[way] = simd.transmute_f32s_u32s(of_ways[way]));
    simd.transmute_u32s_f32s(of_way_f32(simd, &numbers, bits))
}

#[inline(always)]
fn is_set<S: Simd>(simd: S, bits: S::u32s, place: usize) -> S::m32s {
    let one = simd.splat_u32s(1 << place);
    simd.equal_u32s(simd.and_u32s(bits, one), one)
}
