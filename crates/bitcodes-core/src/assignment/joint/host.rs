//! The beam search in the host's memory, by [`bitcodes_kernels::joint`].

use alloc::vec;
use alloc::vec::Vec;

use bitcodes_kernels::joint::{self, Normalization};
use bitcodes_kernels::layout::row_bytes;
use bitcodes_kernels::{Codebook as Slice, JointEncoder, Noise as OfKernels};
use burn::tensor::{DType, FloatDType, Tensor, TensorData, backend::Backend};

use crate::backend::kernels::seed;
use crate::backend::known::has_values_in_host_memory;
use crate::backend::lend::{reshaped_floats, with_rows};
use crate::codebook::Codebook;
use crate::graph::untracked;
use crate::noise::Noise;
use crate::normalization::Inputs;
use crate::vectors::{are_rows, count, vectors_first};

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
    let x = untracked(inputs.x.clone());
    let rows = match are_rows::<N>() {
        true => reshaped_floats(x, [count(&inputs.x), encoder.features()]),
        false => vectors_first(x),
    };
    let decide = |noise: OfKernels<'_>| {
        with_rows(&rows, |x| {
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
        })
    };
    Some(match noise {
        Noise::None => decide(OfKernels::None),
        Noise::Logistic(scale) => decide(OfKernels::Logistic {
            seed: seed::<B>(&inputs.x.device()),
            scale: *scale as f32,
        }),
        Noise::Given(noise) => {
            let noise = vectors_first(untracked(noise.clone())).cast(FloatDType::F32);
            with_rows(&noise, |noise| match noise.as_slice() {
                Some(noise) => decide(OfKernels::Given(noise)),
                None => {
                    let noise: Vec<f32> = noise.iter().flatten().copied().collect();
                    decide(OfKernels::Given(&noise))
                }
            })
        }
    })
}

fn encoder<B: Backend, const N: usize>(
    inputs: &Inputs<'_, B, N>,
    codebook: &Codebook<B>,
    beam: usize,
) -> JointEncoder {
    let rows = untracked(codebook.rows.clone()).cast(FloatDType::F32);
    let normalization = inputs
        .normalization
        .map(|normalization| normalization.values());
    with_rows(&rows, |rows| {
        let copy: Vec<f32>;
        let elements = match rows.as_slice() {
            Some(elements) => elements,
            None => {
                copy = rows.iter().flatten().copied().collect();
                &copy
            }
        };
        let codebook = Slice::new(elements, rows.features());
        let normalization = normalization.as_ref();
        let normalization = normalization.map(|(factor, center)| Normalization {
            factor: *factor as f32,
            center,
        });
        JointEncoder::new(codebook, normalization, beam)
    })
}

/// Decides bits in double precision as [`bitcodes_kernels::joint::decide`] does, which returns logits.
///
/// Takes `products [vectors, num_bits]` of the vectors with the halves of the pairs' differences,
/// and the halves' products with one another, `gram [num_bits, num_bits]`.
pub(super) fn decide_in_f64<B: Backend>(
    products: Tensor<B, 2>,
    noise: Option<Tensor<B, 2>>,
    gram: Tensor<B, 2>,
    beam: usize,
) -> Tensor<B, 2> {
    let (shape, device) = (products.dims(), products.device());
    let host = |tensor: Tensor<B, 2>| -> Vec<f64> { tensor.into_data().iter().collect() };
    let mut logits = host(products);
    let noise = noise.map(host);
    joint::decide(&mut logits, noise.as_deref(), &host(gram), shape[1], beam);
    Tensor::from_data(TensorData::new(logits, shape), (&device, DType::F64))
}
