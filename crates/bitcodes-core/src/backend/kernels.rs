//! Kernels for tensors that lie in the host's memory: the one place that chooses between them and
//! operations on tensors, which are what they are held to.

use alloc::vec;
use alloc::vec::Vec;

use bitcodes_kernels::integers::{self, Integer};
use bitcodes_kernels::layout::row_bytes;
use bitcodes_kernels::{Decoder, Encoder};
use burn::tensor::{DType, Element, Int, Tensor, TensorData, backend::Backend};

use super::host::{Integers, in_host_memory, lend_integers, lend_rows};

/// What computes the bits of independent decisions and what bits stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Kernels of [`bitcodes_kernels`] on the host's memory, for f32. Tensors of other types, and
    /// vectors whose elements do not lie side by side, take the other path.
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
    match in_host_memory::<B>() {
        true => Path::Kernels,
        false => Path::Tensors,
    }
}

/// The bits of `x [vectors, features]`, decided independently by `codebook [2 * num_bits,
/// features]`; `[vectors, num_bits]`.
pub(crate) fn encode<B: Backend>(
    x: &Tensor<B, 2>,
    codebook: &Tensor<B, 2>,
) -> Option<Tensor<B, 2, Int>> {
    let num_bits = codebook.dims()[0] / 2;
    bits(&encode_packed(x, codebook)?, num_bits, &x.device())
}

/// [`encode`], and what the bits stand for, `[vectors, features]`.
pub(crate) fn quantize<B: Backend>(
    x: &Tensor<B, 2>,
    codebook: &Tensor<B, 2>,
) -> Option<(Tensor<B, 2>, Tensor<B, 2, Int>)> {
    let num_bits = codebook.dims()[0] / 2;
    let packed = encode_packed(x, codebook)?;
    let bits = bits(&packed, num_bits, &x.device())?;
    Some((decode_packed(&packed, codebook)?, bits))
}

/// What `bits [vectors, num_bits]` stand for, `[vectors, features]`; none where one is not 0 or 1.
pub(crate) fn decode<B: Backend>(
    bits: &Tensor<B, 2, Int>,
    codebook: &Tensor<B, 2>,
) -> Option<Tensor<B, 2>> {
    let [vectors, num_bits] = bits.dims();
    let decoder = decoder(codebook)?;
    let mut packed = vec![0; vectors * row_bytes(num_bits)];
    let are_bits = lend_integers(bits, |bits| match bits {
        Integers::I32(bits) => integers::pack(bits, num_bits, &mut packed),
        Integers::I64(bits) => integers::pack(bits, num_bits, &mut packed),
    })?;
    are_bits.then(|| decoded(&decoder, &packed, &bits.device()))
}

/// The bits of [`encode`], packed.
pub(crate) fn encode_packed<B: Backend>(
    x: &Tensor<B, 2>,
    codebook: &Tensor<B, 2>,
) -> Option<Vec<u8>> {
    let [rows, features] = codebook.dims();
    let encoder = lend_rows(codebook, |rows| {
        rows.as_slice().map(|all| Encoder::new(all, features))
    })??;
    lend_rows(x, |x| {
        let mut packed = vec![0; x.len() * row_bytes(rows / 2)];
        encoder.encode(x, &mut packed);
        packed
    })
}

/// What packed bits stand for, `[vectors, features]`.
pub(crate) fn decode_packed<B: Backend>(
    packed: &[u8],
    codebook: &Tensor<B, 2>,
) -> Option<Tensor<B, 2>> {
    Some(decoded(&decoder(codebook)?, packed, &codebook.device()))
}

fn decoder<B: Backend>(codebook: &Tensor<B, 2>) -> Option<Decoder> {
    let [_, features] = codebook.dims();
    lend_rows(codebook, |rows| {
        rows.as_slice().map(|all| Decoder::new(all, features))
    })?
}

fn decoded<B: Backend>(decoder: &Decoder, packed: &[u8], device: &B::Device) -> Tensor<B, 2> {
    let vectors = packed.len() / row_bytes(decoder.num_bits());
    let mut decoded: Vec<f32> = vec![0.0; vectors * decoder.features()];
    decoder.decode(packed, &mut decoded);
    let data = TensorData::new(decoded, [vectors, decoder.features()]);
    Tensor::from_data(data, (device, DType::F32))
}

/// As integers of the type that comparisons give.
fn bits<B: Backend>(
    packed: &[u8],
    num_bits: usize,
    device: &B::Device,
) -> Option<Tensor<B, 2, Int>> {
    match Tensor::<B, 1, Int>::zeros([1], device).dtype() {
        DType::I64 => Some(unpacked::<B, i64>(packed, num_bits, device)),
        DType::I32 => Some(unpacked::<B, i32>(packed, num_bits, device)),
        _ => None,
    }
}

fn unpacked<B: Backend, I: Integer + Element>(
    packed: &[u8],
    num_bits: usize,
    device: &B::Device,
) -> Tensor<B, 2, Int> {
    let vectors = packed.len() / row_bytes(num_bits);
    let mut bits = vec![I::of_bit(0); vectors * num_bits];
    integers::unpack(packed, num_bits, &mut bits);
    let data = TensorData::new(bits, [vectors, num_bits]);
    Tensor::from_data(data, (device, I::dtype()))
}
