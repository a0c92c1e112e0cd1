//! The last decision of each bit, on what all other bits leave.

use super::REGISTERS;
use super::tables::{SignTables, bits_of_word, groups_before_word, words};
use crate::look_up::LookUp;

/// A tile whose bits are decided once more.
pub struct Refinement<'a> {
    pub tables: &'a SignTables,
    /// Inverse of each half's square, `[bits]`.
    pub inverses: &'a [f32],
    /// `[bits][registers][lanes]`
    pub products: &'a [f32],
    /// Noise of each logit, in the shape of the products.
    pub noise: Option<&'a [f32]>,
    /// The signs, `[words][registers][lanes]`.
    pub signs: &'a mut [u32],
    /// Logits that decide the bits, noise included, in the shape of the products.
    pub logits: &'a mut [f32],
}

// for each bit p:
//     rest   = products[p] - sum_(q != p) sign_q G_qp           // by tables
//     logit  = rest / |h_p|^2 + noise[p]
//     sign_p = logit > 0
impl Refinement<'_> {
    #[inline(always)]
    pub fn run<S: LookUp>(self, simd: S) {
        let (tables, bits) = (self.tables, self.tables.bits());
        let (products, _) = S::as_simd_f32s(self.products);
        let noise = self.noise.map(|noise| S::as_simd_f32s(noise).0);
        let (signs, _) = S::as_mut_simd_u32s(self.signs);
        let (logits, _) = S::as_mut_simd_f32s(self.logits);
        let zero = simd.splat_f32s(0.0);
        for word in 0..words(bits) {
            let of_word = bits_of_word(word, bits);
            for bit in of_word.clone() {
                let (_, of_groups) = tables.of_bit(bit);
                let mut rest = [zero; REGISTERS];
                rest.copy_from_slice(&products[bit * REGISTERS..][..REGISTERS]);
                for (of_word, signs) in signs.chunks_exact(REGISTERS).enumerate() {
                    let first = groups_before_word(of_word, S::BITS) << S::BITS;
                    let end = groups_before_word(of_word + 1, S::BITS) << S::BITS;
                    let of_groups = &of_groups[first..end.min(of_groups.len())];
                    let mut chosen = [simd.splat_u32s(0); REGISTERS];
                    chosen.copy_from_slice(signs);
                    for table in of_groups.chunks_exact(1 << S::BITS) {
                        for (rest, chosen) in rest.iter_mut().zip(&mut chosen) {
                            *rest = simd.sub_f32s(*rest, simd.look_up(table, *chosen));
                            *chosen = simd.after(*chosen);
                        }
                    }
                }
                let one = simd.splat_u32s(1 << (bit - of_word.start));
                let inverse = simd.splat_f32s(self.inverses[bit]);
                for (register, &rest) in rest.iter().enumerate() {
                    let at = bit * REGISTERS + register;
                    let mut logit = simd.mul_f32s(rest, inverse);
                    if let Some(noise) = noise {
                        logit = simd.add_f32s(logit, noise[at]);
                    }
                    let signs = &mut signs[word * REGISTERS + register];
                    let with = simd.or_u32s(*signs, one);
                    let without = simd.and_u32s(*signs, simd.not_u32s(one));
                    let is_one = simd.greater_than_f32s(logit, zero);
                    *signs = simd.select_u32s(is_one, with, without);
                    logits[at] = logit;
                }
            }
        }
    }
}
