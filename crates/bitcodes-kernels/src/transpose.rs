//! Vectors in memory to vectors in the lanes of registers.

use bytemuck::Zeroable;
use pulp::Simd;

/// Number of a vector's elements that are transposed at a time.
pub const ELEMENTS: usize = 4;

/// Most lanes of a register, of any level.
const MOST_LANES: usize = 16;

/// A vector for each lane of a register.
pub struct VectorsOfLanes<'a> {
    /// The vectors in the order in which deinterleaving takes them.
    slots: [&'a [f32]; MOST_LANES],
    /// Slot of each lane.
    of_lanes: [usize; MOST_LANES],
    /// Number of lanes.
    lanes: usize,
}

impl<'a> VectorsOfLanes<'a> {
    /// Makes room for a vector in each lane of `S`.
    #[inline(always)]
    pub fn new<S: Simd>(simd: S) -> Self {
        let slots = slot_of_lanes(simd);
        let slots: &[f32] = bytemuck::cast_slice(core::slice::from_ref(&slots));
        let mut of_lanes = [0; MOST_LANES];
        for (of_lane, &slot) in of_lanes.iter_mut().zip(slots) {
            *of_lane = slot as usize;
        }
        Self {
            slots: [&[]; MOST_LANES],
            of_lanes,
            lanes: S::F32_LANES,
        }
    }

    /// Puts vectors into the lanes. Lanes past the last vector get the last one, too.
    #[inline(always)]
    pub fn set(&mut self, mut x: impl Iterator<Item = &'a [f32]>) {
        let mut last: &[f32] = &[];
        for &slot in &self.of_lanes[..self.lanes] {
            last = x.next().unwrap_or(last);
            self.slots[slot % MOST_LANES] = last;
        }
    }

    /// Returns the elements from `first` on of each vector: a register for each element.
    #[inline(always)]
    pub fn transposed<S: Simd>(&self, simd: S, first: usize) -> [S::f32s; ELEMENTS] {
        let mut rows = [S::f32s::zeroed(); ELEMENTS];
        let each: &mut [[f32; ELEMENTS]] = bytemuck::cast_slice_mut(&mut rows);
        for (to, x) in each.iter_mut().zip(&self.slots) {
            *to = *x[first..].first_chunk().expect("elements");
        }
        simd.deinterleave_shfl_f32s(rows)
    }

    /// Returns one element of each vector.
    #[inline(always)]
    pub fn gathered<S: Simd>(&self, element: usize) -> S::f32s {
        let mut elements = S::f32s::zeroed();
        let each: &mut [f32] = bytemuck::cast_slice_mut(core::slice::from_mut(&mut elements));
        for (to, &slot) in each.iter_mut().zip(&self.of_lanes) {
            *to = self.slots[slot % MOST_LANES][element];
        }
        elements
    }
}

/// Returns for each lane the slot in memory that deinterleaving brings into that lane.
///
/// pulp's deinterleaving permutes the lanes in an order of its own. It is found by deinterleaving
/// the numbers of the slots.
#[inline(always)]
fn slot_of_lanes<S: Simd>(simd: S) -> S::f32s {
    let mut rows = [S::f32s::zeroed(); ELEMENTS];
    let each: &mut [[f32; ELEMENTS]] = bytemuck::cast_slice_mut(&mut rows);
    for (slot, elements) in each.iter_mut().enumerate() {
        *elements = [slot as f32; ELEMENTS];
    }
    simd.deinterleave_shfl_f32s(rows)[0]
}
