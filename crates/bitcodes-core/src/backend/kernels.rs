//! Kernels for tensors that lie in the host's memory. Each gives nothing for tensors that it cannot take,
//! and the caller does with operations on tensors what they are held to.
//!
//! They take vectors and codes along the last axis, in any number of axes before it: on NdArray each
//! `reshape` copies.

use alloc::vec;
use alloc::vec::Vec;

use bitcodes_kernels::integers::Integer;
use bitcodes_kernels::layout::row_bytes;
use bitcodes_kernels::{Decoder, Encoder};
use burn::tensor::{DType, Element, Int, Tensor, TensorData, backend::Backend};

use super::host::{Integers, has_values_in_host_memory, lend_integers, lend_rows};

/// What computes the bits of independent decisions and what bits stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Kernels of [`bitcodes_kernels`] on the host's memory, for f32; on a backend that differentiates
    /// for `forward` without normalization, losses and mask. Tensors of other types, and maps with
    /// their channels first, take the other path.
    Kernels,
    /// The backend's operations on tensors.
    Tensors,
}

/// Which path a backend takes.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use bitcodes_core::backend::{Path, path};
/// use burn::backend::Flex;
///
/// assert_eq!(path::<Flex>(), Path::Kernels);
/// # }
/// ```
pub fn path<B: Backend>() -> Path {
    match has_values_in_host_memory::<B>() {
        true => Path::Kernels,
        false => Path::Tensors,
    }
}

/// The bits of `x [.., features]`, decided independently by `codebook [2 * num_bits, features]`;
/// `[.., num_bits]`.
pub(crate) fn encode<B: Backend, const D: usize>(
    x: &Tensor<B, D>,
    codebook: &Tensor<B, 2>,
) -> Option<Tensor<B, D, Int>> {
    bits(
        &encode_packed(x, codebook)?,
        codes_of(x, codebook),
        &x.device(),
    )
}

/// [`encode`], and what the bits stand for, `[.., features]`.
pub(crate) fn quantize<B: Backend, const D: usize>(
    x: &Tensor<B, D>,
    codebook: &Tensor<B, 2>,
) -> Option<(Tensor<B, D>, Tensor<B, D, Int>)> {
    let packed = encode_packed(x, codebook)?;
    let bits = bits(&packed, codes_of(x, codebook), &x.device())?;
    Some((decode_packed(&packed, x.dims(), codebook)?, bits))
}

/// What `bits [.., num_bits]` stand for, `[.., features]`; none where one is not 0 or 1.
pub(crate) fn decode<B: Backend, const D: usize>(
    bits: &Tensor<B, D, Int>,
    codebook: &Tensor<B, 2>,
) -> Option<Tensor<B, D>> {
    let mut shape = bits.dims();
    let num_bits = shape[D - 1];
    let vectors: usize = shape[..D - 1].iter().product();
    shape[D - 1] = codebook.dims()[1];
    let decoder = decoder(codebook)?;
    let mut packed = vec![0; vectors * row_bytes(num_bits)];
    let are_bits = lend_integers(bits, |bits| match bits {
        Integers::I32(bits) => i32::pack(bits, num_bits, &mut packed),
        Integers::I64(bits) => i64::pack(bits, num_bits, &mut packed),
    })?;
    are_bits.then(|| vectors_of(&decoder, &packed, shape, &codebook.device()))
}

/// The bits of [`encode`], packed.
pub(crate) fn encode_packed<B: Backend, const D: usize>(
    x: &Tensor<B, D>,
    codebook: &Tensor<B, 2>,
) -> Option<Vec<u8>> {
    let encoder = encoder(codebook)?;
    lend_rows(x, |x| {
        let mut packed = vec![0; x.len() * row_bytes(encoder.num_bits())];
        encoder.encode(x, &mut packed);
        packed
    })
}

/// What packed bits stand for, of the shape `[.., features]`.
pub(crate) fn decode_packed<B: Backend, const D: usize>(
    packed: &[u8],
    shape: [usize; D],
    codebook: &Tensor<B, 2>,
) -> Option<Tensor<B, D>> {
    Some(vectors_of(
        &decoder(codebook)?,
        packed,
        shape,
        &codebook.device(),
    ))
}

fn vectors_of<B: Backend, const D: usize>(
    decoder: &Decoder,
    packed: &[u8],
    shape: [usize; D],
    device: &B::Device,
) -> Tensor<B, D> {
    let data = TensorData::new(decoder.decoded(packed), shape);
    Tensor::from_data(data, (device, DType::F32))
}

/// The bits of `x [.., features]`, sampled with noise of the bits' shape.
#[cfg(all(feature = "autodiff", any(feature = "flex", feature = "ndarray")))]
pub(super) fn sample<B: Backend, const D: usize>(
    x: &Tensor<B, D>,
    codebook: &Tensor<B, 2>,
    noise: super::training::Noise<Tensor<B, D>>,
    seed: impl FnOnce() -> u64,
    temperature: f64,
) -> Option<bitcodes_kernels::Sampled> {
    use super::training;
    use bitcodes_kernels::Noise;

    let encoder = encoder(codebook)?;
    lend_rows(x, |x| {
        let sample = |noise: Noise<'_>| encoder.sample(x, noise, temperature as f32);
        match noise {
            training::Noise::None => sample(Noise::None),
            training::Noise::Logistic(scale) => sample(Noise::Logistic {
                seed: seed(),
                scale: scale as f32,
            }),
            training::Noise::Given(noise) => {
                super::host::with_rows(&noise, |noise| match noise.as_slice() {
                    Some(noise) => sample(Noise::Given(noise)),
                    None => {
                        let noise: Vec<f32> = noise.iter().flatten().copied().collect();
                        sample(Noise::Given(&noise))
                    }
                })
            }
        }
    })
}

fn decoder<B: Backend>(codebook: &Tensor<B, 2>) -> Option<Decoder> {
    let [_, features] = codebook.dims();
    lend_rows(codebook, |rows| {
        rows.as_slice().map(|all| Decoder::new(all, features))
    })?
}

fn encoder<B: Backend>(codebook: &Tensor<B, 2>) -> Option<Encoder> {
    let [_, features] = codebook.dims();
    lend_rows(codebook, |rows| {
        rows.as_slice().map(|all| Encoder::new(all, features))
    })?
}

/// The shape of the bits of `x`.
fn codes_of<B: Backend, const D: usize>(x: &Tensor<B, D>, codebook: &Tensor<B, 2>) -> [usize; D] {
    let mut shape = x.dims();
    shape[D - 1] = codebook.dims()[0] / 2;
    shape
}

/// As integers of the type that comparisons give.
pub(super) fn bits<B: Backend, const D: usize>(
    packed: &[u8],
    shape: [usize; D],
    device: &B::Device,
) -> Option<Tensor<B, D, Int>> {
    match Tensor::<B, 1, Int>::zeros([1], device).dtype() {
        DType::I64 => Some(unpacked::<B, i64, D>(packed, shape, device)),
        DType::I32 => Some(unpacked::<B, i32, D>(packed, shape, device)),
        _ => None,
    }
}

fn unpacked<B: Backend, I: Integer + Element, const D: usize>(
    packed: &[u8],
    shape: [usize; D],
    device: &B::Device,
) -> Tensor<B, D, Int> {
    let bits: Vec<I> = I::unpack(packed, shape[D - 1]);
    Tensor::from_data(TensorData::new(bits, shape), (device, I::dtype()))
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use burn::backend::Flex;

    /// Where kernels gave nothing, all else would go on, slower.
    #[test]
    fn kernels_take_what_they_are_for() {
        let device = Default::default();
        let codebook = Tensor::<Flex, 2>::ones([6, 5], &device);
        let x = Tensor::<Flex, 3>::ones([2, 4, 7], &device).narrow(2, 1, 5);
        let bits = encode(&x, &codebook).expect("f32 in rows");
        assert_eq!(bits.dims(), [2, 4, 3]);
        assert!(quantize(&x, &codebook).is_some());
        assert!(decode(&bits, &codebook).is_some());
        assert!(decode(&bits.mul_scalar(3).add_scalar(2), &codebook).is_none());
        assert!(encode(&x.clone().cast(DType::F64), &codebook).is_none());
        assert!(encode(&x.swap_dims(1, 2), &Tensor::ones([6, 4], &device)).is_none());
    }
}
