//! Levels: the sets of vector instructions that kernels are compiled for.

use alloc::vec::Vec;
use core::fmt;

use pulp::{Arch, Simd, WithSimd};

use crate::look_up::{self, LookUp, WithLookUp};

/// A set of vector instructions that this processor has.
#[derive(Clone, Copy)]
pub struct Level(Arch);

impl Level {
    /// Returns the widest level that this processor has and this crate was built for.
    ///
    /// Without the feature `std`, it is the level that the crate is compiled for.
    pub fn best() -> Self {
        // pulp has AVX2 there, for which the kernels are not written.
        #[cfg(target_arch = "x86")]
        return Self(Arch::Scalar);
        #[cfg(not(target_arch = "x86"))]
        Self(Arch::new())
    }

    /// Returns every level that this processor has and this crate was built for, the widest last.
    pub fn available() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
        all.push(Self(Arch::Scalar));
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(pulp::x86::V3::try_new().map(|v3| Self(Arch::V3(v3))));
            all.extend(pulp::x86::V4::try_new().map(|v4| Self(Arch::V4(v4))));
        }
        #[cfg(target_arch = "aarch64")]
        all.extend(pulp::aarch64::Neon::try_new().map(|neon| Self(Arch::Neon(neon))));
        #[cfg(target_arch = "wasm32")]
        all.extend(pulp::wasm::Simd128::try_new().map(|simd| Self(Arch::Simd128(simd))));
        all
    }

    /// Returns a narrower level if one of its registers holds `elements`, else this level.
    pub(crate) fn narrowed(self, elements: usize) -> Self {
        let _ = elements;
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Arch::V4(_) if elements <= 8 => match pulp::x86::V3::try_new() {
                Some(v3) => Self(Arch::V3(v3)),
                None => self,
            },
            _ => self,
        }
    }

    /// Returns the name of the instructions, such as `"AVX2"`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Arch::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Arch::V3(_) => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Arch::V4(_) => "AVX-512",
            #[cfg(target_arch = "aarch64")]
            Arch::Neon(_) => "NEON",
            #[cfg(target_arch = "wasm32")]
            Arch::Simd128(_) => "simd128",
            #[allow(unreachable_patterns, reason = "pulp may add some")]
            _ => "unknown",
        }
    }

    /// Converts a mask to bits: bit `p` is set if lane `p` is. `simd` has to be of this level.
    #[inline(always)]
    pub(crate) fn mask_bits<S: Simd>(self, simd: S, mask: S::m32s) -> u32 {
        if const { size_of::<S::m32s>() == size_of::<u16>() } {
            return bytemuck::cast::<_, u16>(mask).into();
        }
        if const { S::F32_LANES == 1 } {
            return u32::from(simd.first_true_m32s(mask) == 0);
        }
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Arch::V3(v3) if const { S::F32_LANES == 8 } => {
                v3.avx._mm256_movemask_ps(bytemuck::cast(mask)) as u32
            }
            #[cfg(target_arch = "wasm32")]
            Arch::Simd128(simd128) => simd128.simd128.i32x4_bitmask(bytemuck::cast(mask)).into(),
            _ => {
                let mask: S::u32s = bytemuck::cast(mask);
                let lanes: &[u32] = bytemuck::cast_slice(core::slice::from_ref(&mask));
                let each = lanes.iter().enumerate();
                each.fold(0, |all, (lane, set)| all | (set & 1) << lane)
            }
        }
    }

    /// Returns the number of f32 lanes of a register.
    pub(crate) fn lanes(self) -> usize {
        self.run(Lanes)
    }

    /// Returns the number of bits by which [`LookUp`] chooses a number.
    pub(crate) fn look_up_bits(self) -> usize {
        self.run_with_look_up(LookUpBits)
    }

    /// Runs an operation that looks numbers up, compiled for this level.
    pub(crate) fn run_with_look_up<Op: WithLookUp>(self, op: Op) -> Op::Output {
        match self.0 {
            #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
            Arch::Scalar => look_up::run(pulp::Scalar::new(), op),
            #[cfg(target_arch = "x86_64")]
            Arch::V3(v3) => look_up::run(v3, op),
            #[cfg(target_arch = "x86_64")]
            Arch::V4(v4) => look_up::run(v4, op),
            #[cfg(target_arch = "aarch64")]
            Arch::Neon(neon) => look_up::run(neon, op),
            #[cfg(target_arch = "wasm32")]
            Arch::Simd128(simd128) => look_up::run(simd128, op),
            #[allow(unreachable_patterns, reason = "pulp may add some")]
            _ => unreachable!("a level of this crate"),
        }
    }

    /// Runs an operation that is compiled for this level.
    #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
    pub(crate) fn run<Op: WithSimd>(self, op: Op) -> Op::Output {
        self.0.dispatch(op)
    }

    /// Runs an operation that is compiled for this level.
    ///
    /// A WebAssembly module that is compiled for simd128 runs only where simd128 exists. A scalar
    /// copy of each kernel would make the module larger and never run.
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    pub(crate) fn run<Op: WithSimd>(self, op: Op) -> Op::Output {
        match self.0 {
            Arch::Simd128(simd128) => pulp::Simd::vectorize(simd128, op),
            _ => unreachable!("simd128 is the only level of this build"),
        }
    }
}

/// Query for the number of f32 lanes.
struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

/// Query for the number of bits of a lookup.
struct LookUpBits;

impl WithLookUp for LookUpBits {
    type Output = usize;

    #[inline(always)]
    fn with_look_up<S: LookUp>(self, _: S) -> usize {
        S::BITS
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
