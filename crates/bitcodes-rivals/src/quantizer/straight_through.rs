//! Gradient estimators that pass gradients through a quantizer.

use burn::tensor::{Tensor, backend::Backend};

/// Straight-through estimator: the value is `quantized`, the gradient is that of the identity
/// ([Bengio et al. 2013](https://arxiv.org/abs/1308.3432)).
pub fn straight_through<B: Backend>(x: Tensor<B, 2>, quantized: Tensor<B, 2>) -> Tensor<B, 2> {
    quantized.detach() + (x.clone() - x.detach())
}

/// Rotation trick: the value is `quantized`, the gradient is that of the rotation and scaling that
/// take `x` to `quantized`, row by row ([Fifty et al. 2024](https://arxiv.org/abs/2410.06424),
/// section 4.2).
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

/// Smallest length to divide by. Shorter lengths are replaced by it.
const SMALL: f64 = 1e-6;
