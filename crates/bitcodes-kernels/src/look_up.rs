//! Lookups of a few numbers by the bits of each lane.

use bytemuck::cast;
use pulp::{Scalar, Simd, WithSimd};

/// Vector instructions that look numbers up in a table of one register.
pub trait LookUp: Simd {
    /// Number of bits that choose a number, so that a table has `1 << BITS` numbers.
    const BITS: usize;

    /// Returns for each lane the number that the lowest bits of the lane choose.
    ///
    /// Panics if the table has fewer than `1 << BITS` numbers.
    fn look_up(self, table: &[f32], bits: Self::u32s) -> Self::f32s;

    /// Returns the bits after those that choose a number, shifted to their place.
    #[inline(always)]
    fn after(self, bits: Self::u32s) -> Self::u32s {
        self.wrapping_dyn_shr_u32s(bits, self.splat_u32s(Self::BITS as u32))
    }
}

impl LookUp for Scalar {
    const BITS: usize = 4;

    #[inline(always)]
    fn look_up(self, table: &[f32], bits: u32) -> f32 {
        let table: &[f32; 16] = table.first_chunk().expect("a table of 16 numbers");
        table[bits as usize % 16]
    }
}

#[cfg(target_arch = "x86_64")]
impl LookUp for pulp::x86::V3 {
    const BITS: usize = 3;

    #[inline(always)]
    fn look_up(self, table: &[f32], bits: Self::u32s) -> Self::f32s {
        let table: [f32; 8] = *table.first_chunk().expect("a table of 8 numbers");
        cast(self.avx2._mm256_permutevar8x32_ps(cast(table), cast(bits)))
    }
}

#[cfg(target_arch = "x86_64")]
impl LookUp for pulp::x86::V4 {
    const BITS: usize = 4;

    #[inline(always)]
    fn look_up(self, table: &[f32], bits: Self::u32s) -> Self::f32s {
        let table: [f32; 16] = *table.first_chunk().expect("a table of 16 numbers");
        cast(self.avx512f._mm512_permutexvar_ps(cast(bits), cast(table)))
    }
}

#[cfg(target_arch = "aarch64")]
impl LookUp for pulp::aarch64::Neon {
    const BITS: usize = 4;

    #[inline(always)]
    fn look_up(self, table: &[f32], bits: Self::u32s) -> Self::f32s {
        let table: &[f32; 16] = table.first_chunk().expect("a table of 16 numbers");
        let bits: [u32; 4] = cast(bits);
        cast(bits.map(|bits| table[bits as usize % 16]))
    }
}

#[cfg(target_arch = "wasm32")]
impl LookUp for pulp::wasm::Simd128 {
    const BITS: usize = 2;

    #[inline(always)]
    fn look_up(self, table: &[f32], bits: Self::u32s) -> Self::f32s {
        /// Turns the index of a number into the indices of its four bytes.
        const TIMES_4: u32 = 0x0404_0404;
        const BYTES: u32 = 0x0302_0100;
        let table: [f32; 4] = *table.first_chunk().expect("a table of 4 numbers");
        let simd = self.simd128;
        let index = simd.v128_and(cast(bits), simd.u32x4_splat(3));
        let bytes = simd.u32x4_mul(index, simd.u32x4_splat(TIMES_4));
        let bytes = simd.u32x4_add(bytes, simd.u32x4_splat(BYTES));
        cast(simd.i8x16_swizzle(cast(table), bytes))
    }

    #[inline(always)]
    fn after(self, bits: Self::u32s) -> Self::u32s {
        cast(self.simd128.u32x4_shr(cast(bits), Self::BITS as u32))
    }
}

/// An operation that looks numbers up, to be run at a level.
pub trait WithLookUp {
    /// Result of the operation.
    type Output;

    /// Runs the operation with the vector instructions of a level.
    fn with_look_up<S: LookUp>(self, simd: S) -> Self::Output;
}

/// Runs an operation compiled for the vector instructions `S`.
pub fn run<S: LookUp, Op: WithLookUp>(simd: S, op: Op) -> Op::Output {
    simd.vectorize(Fixed { simd, op })
}

/// Operation whose vector instructions are known, whatever it is run with.
struct Fixed<S, Op> {
    simd: S,
    op: Op,
}

impl<S: LookUp, Op: WithLookUp> WithSimd for Fixed<S, Op> {
    type Output = Op::Output;

    #[inline(always)]
    fn with_simd<Same: Simd>(self, _: Same) -> Op::Output {
        self.op.with_look_up(self.simd)
    }
}
