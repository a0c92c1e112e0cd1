//! Short vectors to codes of few bits, which would leave most of a register empty: lanes are vectors here,
//! not bits.

use bytemuck::Zeroable;
use pulp::{Simd, WithSimd};

use crate::product::Panels;
use crate::rows::Rows;

/// Features of the longest vectors that are short: of more, products by tiles take no longer.
const FEATURES: usize = 32;

/// Encodes the first vectors, as many as fill registers, where this is faster.
///
/// Gives what is left to do.
pub fn encode<'a>(
    differences: &Panels,
    x: Rows<'a>,
    packed: &'a mut [u8],
) -> (Rows<'a>, &'a mut [u8]) {
    if differences.inner() > FEATURES {
        return (x, packed);
    }
    let done = differences.level().run(Short {
        differences,
        x,
        packed: &mut *packed,
    });
    (x.split_at(done).1, &mut packed[done..])
}

struct Short<'a> {
    differences: &'a Panels,
    x: Rows<'a>,
    /// A byte for each vector, of no more bits.
    packed: &'a mut [u8],
}

impl WithSimd for Short<'_> {
    /// Vectors that were encoded.
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        // Bits that fill half a register, or fewer.
        match self.differences.columns() {
            ..=4 if const { S::F32_LANES >= 8 } => self.encode::<S, 4>(simd),
            ..=8 if const { S::F32_LANES >= 16 } => self.encode::<S, 8>(simd),
            _ => 0,
        }
    }
}

/// Elements of a vector that are taken at a time.
const ELEMENTS: usize = 4;

impl Short<'_> {
    #[inline(always)]
    fn encode<S: Simd, const BITS: usize>(self, simd: S) -> usize {
        let Some(x) = self.x.as_slice() else {
            return 0;
        };
        let features = self.x.features();
        let differences = self.differences.only_panel();
        let blocks = x.chunks_exact(S::F32_LANES * features);
        let encoded = blocks.len() * S::F32_LANES;
        for (x, packed) in blocks.zip(self.packed.chunks_exact_mut(S::F32_LANES)) {
            let mut logits = [simd.splat_f32s(0.0); BITS];
            let mut add = |x: S::f32s, differences: &[f32]| {
                for (logit, &difference) in logits.iter_mut().zip(differences) {
                    *logit = simd.mul_add_e_f32s(x, simd.splat_f32s(difference), *logit);
                }
            };
            let mut differences = differences.chunks_exact(S::F32_LANES);
            let mut first = 0;
            while first + ELEMENTS <= features {
                let elements = turned::<S>(simd, x, features, first);
                for (&element, differences) in elements.iter().zip(&mut differences) {
                    add(element, differences);
                }
                first += ELEMENTS;
            }
            for (element, differences) in (first..features).zip(differences) {
                add(one::<S>(x, features, element), differences);
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

/// An element of each vector.
#[inline(always)]
fn one<S: Simd>(x: &[f32], features: usize, element: usize) -> S::f32s {
    let mut elements = S::f32s::zeroed();
    let each: &mut [f32] = bytemuck::cast_slice_mut(core::slice::from_mut(&mut elements));
    for (lane, x) in each.iter_mut().zip(x.chunks_exact(features)) {
        *lane = x[element];
    }
    elements
}

/// The elements from `first` on of each vector, a register for each.
#[inline(always)]
fn turned<S: Simd>(simd: S, x: &[f32], features: usize, first: usize) -> [S::f32s; ELEMENTS] {
    let mut rows = [S::f32s::zeroed(); ELEMENTS];
    let slots = slots(simd);
    let slots: &[f32] = bytemuck::cast_slice(core::slice::from_ref(&slots));
    let each: &mut [[f32; ELEMENTS]] = bytemuck::cast_slice_mut(&mut rows);
    let mut x = x.chunks_exact(features);
    for slot in slots {
        let Some(x) = x.next() else { break };
        each[*slot as usize] = *x[first..].first_chunk().expect("elements");
    }
    simd.deinterleave_shfl_f32s(rows)
}

/// Where a vector has to be for its elements to come into each lane.
#[inline(always)]
fn slots<S: Simd>(simd: S) -> S::f32s {
    let mut rows = [S::f32s::zeroed(); ELEMENTS];
    let each: &mut [[f32; ELEMENTS]] = bytemuck::cast_slice_mut(&mut rows);
    for (slot, elements) in each.iter_mut().enumerate() {
        *elements = [slot as f32; ELEMENTS];
    }
    simd.deinterleave_shfl_f32s(rows)[0]
}
