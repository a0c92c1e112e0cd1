//! The beam search in the host's memory, by [`bitcodes_kernels::joint`].

use alloc::vec;
use alloc::vec::Vec;

use bitcodes_kernels::joint::{self, Normalization};
use bitcodes_kernels::layout::row_bytes;
use bitcodes_kernels::{JointEncoder, Noise as OfKernels, Rows};
use burn::tensor::{DType, FloatDType, Tensor, TensorData, backend::Backend};

use crate::backend::kernels::seed;
use crate::backend::known::has_values_in_host_memory;
use crate::backend::lend::{adjacent, with_rows};
use crate::codebook::Codebook;
use crate::graph::untracked;
use crate::noise::Noise;
use crate::normalization::Inputs;
use crate::vectors::{encode_in_parts, floats_first, vectors_first};

/// Bits that a kernel decided.
pub(super) struct Decided {
    /// `[vectors, row_bytes(num_bits)]`
    pub packed: Vec<u8>,
    /// The logits that decided the bits, noise included, `[vectors, num_bits]`; empty if they are not
    /// wanted.
    pub logits: Vec<f32>,
}

/// Decides the bits of f32 vectors in host memory, also on a backend that differentiates. Returns
/// `None` for others.
pub(super) fn decide<B: Backend, const N: usize>(
    inputs: &Inputs<'_, B, N>,
    noise: &Noise<B, N>,
    codebook: &Codebook<B>,
    beam: usize,
    with_logits: bool,
) -> Option<Decided> {
    if !has_values_in_host_memory::<B>() || inputs.x.dtype() != DType::F32 {
        return None;
    }
    let encoder = encoder(inputs, codebook, beam);
    let rows = floats_first(untracked(inputs.x.clone()));
    Some(with_vectors(&rows, noise, |x, noise| {
        let mut packed = vec![0; x.len() * row_bytes(encoder.num_bits())];
        let mut logits = Vec::new();
        match with_logits {
            true => {
                logits = vec![0.0; x.len() * encoder.num_bits()];
                encoder.encode_with_logits(x, noise, &mut packed, &mut logits);
            }
            false => encoder.encode(x, noise, &mut packed),
        }
        Decided { packed, logits }
    }))
}

/// Decides bits as [`decide`] does, without noise, and packs them.
pub(super) fn encode_packed<B: Backend, const N: usize>(
    inputs: &Inputs<'_, B, N>,
    codebook: &Codebook<B>,
    beam: usize,
) -> Option<Vec<u8>> {
    if !has_values_in_host_memory::<B>() || inputs.x.dtype() != DType::F32 {
        return None;
    }
    let encoder = encoder(inputs, codebook, beam);
    let (x, bytes) = (untracked(inputs.x.clone()), row_bytes(encoder.num_bits()));
    Some(encode_in_parts(x, bytes, |x, packed| {
        with_rows(&x, |x| encoder.encode(x, OfKernels::None, packed));
    }))
}

fn encoder<B: Backend, const N: usize>(
    inputs: &Inputs<'_, B, N>,
    codebook: &Codebook<B>,
    beam: usize,
) -> JointEncoder {
    let normalization = inputs.normalization.map(|of| of.values());
    let normalization = normalization.as_ref().map(of_kernels);
    codebook.lend(|codebook| JointEncoder::new(codebook, normalization, beam))
}

/// Lends vectors `[vectors, features]` in host memory, and noise for their logits.
pub(super) fn with_vectors<B: Backend, const N: usize, R>(
    rows: &Tensor<B, 2>,
    noise: &Noise<B, N>,
    read: impl FnOnce(Rows<'_>, OfKernels<'_>) -> R,
) -> R {
    with_rows(rows, |x| match noise {
        Noise::None => read(x, OfKernels::None),
        Noise::Logistic(scale) => {
            let (seed, scale) = (seed::<B>(&rows.device()), *scale as f32);
            read(x, OfKernels::Logistic { seed, scale })
        }
        Noise::Given { noise, .. } => {
            let noise = vectors_first(untracked(noise.clone())).cast(FloatDType::F32);
            with_rows(&noise, |noise| read(x, OfKernels::Given(&adjacent(noise))))
        }
    })
}

/// Returns a normalization as kernels take it.
pub(super) fn of_kernels((factor, center): &(f64, Vec<f32>)) -> Normalization<'_> {
    Normalization {
        factor: *factor as f32,
        center,
    }
}

/// Decides bits in double precision as [`bitcodes_kernels::joint::decide`] does, and returns the logits.
///
/// Takes vectors `centered [vectors, features]`, less the sum of the pairs' means, and the halves of the
/// pairs' differences, `half [num_bits, features]`. The backend's matrix product would round a vector's
/// products otherwise in another batch.
pub(super) fn decide_in_f64<B: Backend>(
    centered: Tensor<B, 2>,
    noise: Option<Tensor<B, 2>>,
    half: Tensor<B, 2>,
    beam: usize,
) -> Tensor<B, 2> {
    let (device, [num_bits, features]) = (centered.device(), half.dims());
    let shape = [centered.dims()[0], num_bits];
    let host = |tensor: Tensor<B, 2>| -> Vec<f64> { tensor.into_data().iter().collect() };
    let (half, noise) = (host(half), noise.map(host));
    let mut logits = products(&host(centered), &half, features);
    let gram = products(&half, &half, features);
    joint::decide(&mut logits, noise.as_deref(), &gram, num_bits, beam);
    Tensor::from_data(TensorData::new(logits, shape), (&device, DType::F64))
}

/// Multiplies each of some vectors with each of some others, and adds the terms of a product in order.
fn products(vectors: &[f64], others: &[f64], features: usize) -> Vec<f64> {
    let count = others.len() / features;
    let mut columns = vec![0.0; others.len()];
    for (index, other) in others.chunks_exact(features).enumerate() {
        let column = columns.iter_mut().skip(index).step_by(count);
        column.zip(other).for_each(|(to, &element)| *to = element);
    }
    let vectors = vectors.chunks_exact(features);
    let mut products = vec![0.0; vectors.len() * count];
    // All products of a vector grow together, so that the inner loop is made of vector instructions.
    for (sums, vector) in products.chunks_exact_mut(count).zip(vectors) {
        for (&element, column) in vector.iter().zip(columns.chunks_exact(count)) {
            let each = sums.iter_mut().zip(column);
            each.for_each(|(sum, other)| *sum += element * other);
        }
    }
    products
}
