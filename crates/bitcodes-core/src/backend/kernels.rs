//! Kernels of [`bitcodes_kernels`] for tensors in the host's memory.
//!
//! A function that computes returns `None` for tensors that no kernel takes, and its caller goes on
//! with tensor operations, which compute the same.

use alloc::vec;
use alloc::vec::Vec;

#[cfg(feature = "autodiff")]
use bitcodes_kernels::Encoder;
use bitcodes_kernels::integers::Integer;
use bitcodes_kernels::layout::row_bytes;
use bitcodes_kernels::{Codebook, Decoder};
use burn::tensor::{DType, Distribution, Element, Int, Tensor, TensorData, backend::Backend};

use super::known::has_values_in_host_memory;
use super::lend::{Integers, lend_integers, lend_rows};

/// The code that decides bits, and decodes bits to vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Bits are decided and decoded by the kernels of [`bitcodes_kernels`], in the host's memory and
    /// in f32. On a backend that differentiates, kernels compute `forward` of joint bits with its losses
    /// and gradients, unless the entropy loss has a weight, and that of independent bits if there is no
    /// normalization, no loss, no mask and no channel-first map. Tensors of other types take the other
    /// path.
    Kernels,
    /// Bits are decided and decoded by the backend's tensor operations.
    Tensors,
}

/// Returns the path that a backend takes.
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

/// Decodes `bits [.., num_bits]` to `[.., features]`. Returns `None` if an element is not 0 or 1.
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

/// Decodes packed bits to vectors of the shape `[.., features]`.
pub(crate) fn decode_packed<B: Backend, const D: usize>(
    packed: &[u8],
    shape: [usize; D],
    codebook: &Tensor<B, 2>,
) -> Option<Tensor<B, D>> {
    let decoder = decoder(codebook)?;
    Some(vectors_of(&decoder, packed, shape, &codebook.device()))
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

/// Decides the bits of `x [.., features]` independently, with noise added to their logits, and
/// computes the slopes that the backward pass needs.
#[cfg(feature = "autodiff")]
pub(super) fn encode_with_noise<B: Backend, const D: usize>(
    x: &Tensor<B, D>,
    codebook: &Tensor<B, 2>,
    noise: crate::noise::Noise<B, D>,
    seed: impl FnOnce() -> u64,
    temperature: f64,
) -> Option<bitcodes_kernels::NoisyBits> {
    use bitcodes_kernels::Noise as OfKernels;

    use crate::noise::Noise;

    let encoder = encoder(codebook)?;
    lend_rows(x, |x| {
        let encode = |noise: OfKernels<'_>| encoder.encode_with_noise(x, noise, temperature as f32);
        match noise {
            Noise::None => encode(OfKernels::None),
            Noise::Logistic(scale) => encode(OfKernels::Logistic {
                seed: seed(),
                scale: scale as f32,
            }),
            Noise::Given { noise, .. } => super::lend::with_rows(&noise, |noise| {
                encode(OfKernels::Given(&super::lend::adjacent(noise)))
            }),
        }
    })
}

/// Draws a seed from the backend, so that the backend's seed repeats the noise.
pub(crate) fn seed<B: Backend>(device: &B::Device) -> u64 {
    let draws = Tensor::<B, 1>::random(
        [4],
        Distribution::Uniform(0.0, 65536.0),
        (device, DType::F32),
    );
    let draws = draws.into_data();
    draws
        .iter::<f32>()
        .fold(0, |seed, draw| seed << 16 | draw as u64)
}

fn decoder<B: Backend>(codebook: &Tensor<B, 2>) -> Option<Decoder> {
    let [_, features] = codebook.dims();
    lend_rows(codebook, |rows| {
        rows.as_slice()
            .map(|all| Decoder::new(Codebook::new(all, features)))
    })?
}

#[cfg(feature = "autodiff")]
fn encoder<B: Backend>(codebook: &Tensor<B, 2>) -> Option<Encoder> {
    let [_, features] = codebook.dims();
    lend_rows(codebook, |rows| {
        rows.as_slice()
            .map(|all| Encoder::new(Codebook::new(all, features)))
    })?
}

/// Unpacks bits to integers of the type that the backend's comparisons give.
pub(crate) fn bits<B: Backend, const D: usize>(
    packed: &[u8],
    shape: [usize; D],
    device: &B::Device,
) -> Tensor<B, D, Int> {
    let dtype = Tensor::<B, 1, Int>::zeros([1], device).dtype();
    match dtype {
        DType::I32 => unpacked::<B, i32, D>(packed, shape, device),
        _ => unpacked::<B, i64, D>(packed, shape, device).cast(dtype),
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

    /// If kernels took nothing, everything else would go on, slower.
    #[test]
    fn kernels_take_bits_of_both_integers_and_f32_codebooks() {
        let device = Default::default();
        let codebook = Tensor::<Flex, 2>::ones([6, 5], &device);
        let bits = bits::<Flex, 2>(&[0b101, 0b010], [2, 3], &device);
        assert_eq!(
            bits.to_data().iter::<i64>().collect::<Vec<_>>(),
            [1, 0, 1, 0, 1, 0]
        );
        assert!(decode(&bits, &codebook).is_some());
        assert!(decode(&bits.clone().cast(DType::I64), &codebook).is_some());
        assert!(decode(&bits.clone().mul_scalar(3).add_scalar(2), &codebook).is_none());
        assert!(decode(&bits, &codebook.cast(DType::F64)).is_none());
    }
}
