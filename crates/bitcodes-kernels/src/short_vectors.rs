//! Encodes short vectors to codes of few bits, with vectors in the lanes of registers.
//!
//! Codes of few bits would leave most lanes of a register of bits empty. A register here holds one
//! feature of as many vectors as it has lanes.

use pulp::{Simd, WithSimd};

use crate::product::Panels;
use crate::rows::Rows;
use crate::transpose::{ELEMENTS, VectorsOfLanes};

/// Number of features of the longest vectors that are encoded here: for longer ones, products by
/// tiles take no more time.
const MAX_FEATURES: usize = 32;

/// Encodes all vectors that fill whole registers, if that is faster than products by tiles.
///
/// Returns the vectors that are left to encode, and their packed codes.
pub fn encode<'a>(
    differences: &Panels,
    x: Rows<'a>,
    packed: &'a mut [u8],
) -> (Rows<'a>, &'a mut [u8]) {
    if differences.inner() > MAX_FEATURES {
        return (x, packed);
    }
    let done = differences.level().run(EncodeShort {
        differences,
        x,
        packed: &mut *packed,
    });
    (x.split_at(done).1, &mut packed[done..])
}

/// Short vectors to encode, to be run at a level.
struct EncodeShort<'a> {
    differences: &'a Panels,
    x: Rows<'a>,
    /// One byte for each vector: its code has at most 8 bits.
    packed: &'a mut [u8],
}

impl WithSimd for EncodeShort<'_> {
    /// Number of vectors that were encoded.
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        // Vectors in the lanes pay if bits would fill at most half of a register.
        match self.differences.columns() {
            ..=4 if const { S::F32_LANES >= 8 } => self.encode::<S, 4>(simd),
            ..=8 if const { S::F32_LANES >= 16 } => self.encode::<S, 8>(simd),
            _ => 0,
        }
    }
}

// for each block of LANES vectors:
//     logits[0..BITS] = 0                                    // a register for each bit
//     for each feature:
//         element[lane] = x[block * LANES + lane][feature]   // transposed, four features a time
//         for each bit:
//             logits[bit] += element * differences[feature][bit]
//     codes = 0
//     for each bit:
//         codes |= (logits[bit] > 0) << bit
//     packed[block] = lowest byte of each lane of codes
//
// The bit order is that of `layout`, repeated here to build codes in the lanes of a register.
impl EncodeShort<'_> {
    #[inline(always)]
    fn encode<S: Simd, const BITS: usize>(self, simd: S) -> usize {
        let Some(x) = self.x.as_slice() else {
            return 0;
        };
        let features = self.x.features();
        let differences = self.differences.only_panel();
        let blocks = x.chunks_exact(S::F32_LANES * features);
        let encoded = blocks.len() * S::F32_LANES;
        let mut lanes = VectorsOfLanes::new(simd);
        for (x, packed) in blocks.zip(self.packed.chunks_exact_mut(S::F32_LANES)) {
            lanes.set(x.chunks_exact(features));
            let mut logits = [simd.splat_f32s(0.0); BITS];
            let mut add_products = |x: S::f32s, differences: &[f32]| {
                for (logit, &difference) in logits.iter_mut().zip(differences) {
                    *logit = simd.mul_add_e_f32s(x, simd.splat_f32s(difference), *logit);
                }
            };
            let mut differences = differences.chunks_exact(S::F32_LANES);
            let mut first = 0;
            while first + ELEMENTS <= features {
                let elements = lanes.transposed(simd, first);
                for (&element, differences) in elements.iter().zip(&mut differences) {
                    add_products(element, differences);
                }
                first += ELEMENTS;
            }
            for (element, differences) in (first..features).zip(differences) {
                add_products(lanes.gathered::<S>(element), differences);
            }
            let mut codes = simd.splat_u32s(0);
            for (bit, &logit) in logits.iter().enumerate() {
                let is_one = simd.greater_than_f32s(logit, simd.splat_f32s(0.0));
                let one = simd.select_u32s(is_one, simd.splat_u32s(1 << bit), simd.splat_u32s(0));
                codes = simd.or_u32s(codes, one);
            }
            let codes: &[u32] = bytemuck::cast_slice(core::slice::from_ref(&codes));
            for (packed, &code) in packed.iter_mut().zip(codes) {
                *packed = code as u8;
            }
        }
        encoded
    }
}
