//! The beam search in the host's memory, by [`bitcodes_kernels::joint`].

use alloc::vec::Vec;

use bitcodes_kernels::joint::{self, Real};
use burn::tensor::{DType, Element, Tensor, TensorData, backend::Backend};

/// Decides bits as [`bitcodes_kernels::joint::decide`] does.
///
/// Takes `products [vectors, num_bits]` of the vectors with the halves of the pairs' differences,
/// and the halves' products with one another, `gram [num_bits, num_bits]`. Returns the logits of
/// the last decision of each bit, noise included.
pub(super) fn decide<B: Backend>(
    products: Tensor<B, 2>,
    noise: Option<Tensor<B, 2>>,
    gram: Tensor<B, 2>,
    beam: usize,
) -> Tensor<B, 2> {
    match products.dtype() {
        DType::F64 => decide_in::<B, f64>(products, noise, gram, beam),
        _ => decide_in::<B, f32>(products, noise, gram, beam),
    }
}

fn decide_in<B: Backend, R: Real + Element>(
    products: Tensor<B, 2>,
    noise: Option<Tensor<B, 2>>,
    gram: Tensor<B, 2>,
    beam: usize,
) -> Tensor<B, 2> {
    let (shape, device) = (products.dims(), products.device());
    let host = |tensor: Tensor<B, 2>| -> Vec<R> {
        tensor
            .into_data()
            .into_vec()
            .expect("computed in f32 or f64")
    };
    let mut logits = host(products);
    let noise = noise.map(host);
    joint::decide(&mut logits, noise.as_deref(), &host(gram), shape[1], beam);
    Tensor::from_data(TensorData::new(logits, shape), (&device, R::dtype()))
}
