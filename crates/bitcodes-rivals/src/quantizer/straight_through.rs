//! Gradients that pass a step as if it were not there.

use burn::tensor::{Tensor, backend::Backend};

/// Forward `quantized`, backward the identity
/// ([Bengio et al. 2013](https://arxiv.org/abs/1308.3432)).
pub fn straight_through<B: Backend>(x: Tensor<B, 2>, quantized: Tensor<B, 2>) -> Tensor<B, 2> {
    quantized.detach() + (x.clone() - x.detach())
}

/// Forward `quantized`, backward the rotation and scaling that takes `x` there
/// ([Fifty et al. 2024](https://arxiv.org/abs/2410.06424), section 4.2), row by row.
pub fn rotate_to<B: Backend>(x: Tensor<B, 2>, quantized: Tensor<B, 2>) -> Tensor<B, 2> {
    let length = |rows: &Tensor<B, 2>| rows.clone().powi_scalar(2).sum_dim(1).sqrt();
    let dot = |a: Tensor<B, 2>, b: Tensor<B, 2>| (a * b).sum_dim(1);
    let (start, end) = (x.clone().detach(), quantized.detach());
    let (start_length, end_length) = (length(&start).clamp_min(SMALL), length(&end));
    let u = start / start_length.clone();
    let q = end.clone() / end_length.clone().clamp_min(SMALL);
    let between = u.clone() + q.clone();
    let w = between.clone() / length(&between).clamp_min(SMALL);
    let turned = x.clone() - dot(x.clone(), w.clone()) * w * 2.0 + dot(x, u) * q * 2.0;
    turned * (end_length / start_length)
}

/// Below it a length is not divided by.
const SMALL: f64 = 1e-6;
