//! Loads vectors into the lanes of registers, normalized and centered.

use pulp::{Simd, WithSimd};

use super::REGISTERS;
use crate::rows::Rows;
use crate::transpose::{ELEMENTS, VectorsOfLanes};

/// Vectors to load, to be run at a level.
pub struct Load<'a> {
    pub x: Rows<'a>,
    pub factor: f32,
    pub offset: &'a [f32],
    /// `[features][registers][lanes]`; lanes past the last vector hold anything.
    pub panel: &'a mut [f32],
}

// for each vector, in a lane:
//     for each feature, four at a time:
//         panel[feature][lane] = factor * x[lane][feature] - offset[feature]
impl WithSimd for Load<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (panel, _) = S::as_mut_simd_f32s(self.panel);
        let factor = simd.splat_f32s(self.factor);
        let mut lanes = VectorsOfLanes::new(simd);
        let mut x = self.x.iter();
        for register in 0..self.x.len().div_ceil(S::F32_LANES) {
            lanes.set(x.by_ref().take(S::F32_LANES));
            let mut blocks = self.offset.chunks_exact(ELEMENTS);
            let mut panel = panel[register..].iter_mut().step_by(REGISTERS);
            let mut first = 0;
            for offset in &mut blocks {
                let elements = lanes.transposed(simd, first);
                for (&element, &offset) in elements.iter().zip(offset) {
                    let to = panel.next().expect("a register of each feature");
                    let offset = simd.splat_f32s(-offset);
                    *to = simd.mul_add_e_f32s(element, factor, offset);
                }
                first += ELEMENTS;
            }
            for ((element, &offset), to) in (first..).zip(blocks.remainder()).zip(panel) {
                let element = lanes.gathered::<S>(element);
                *to = simd.mul_add_e_f32s(element, factor, simd.splat_f32s(-offset));
            }
        }
    }
}
