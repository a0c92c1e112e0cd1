//! Bits that are decided on what the others leave, by [`bitcodes_kernels::residual`] in the host's
//! memory and by the same steps on tensors elsewhere.

use alloc::vec::Vec;

use bitcodes_kernels::residual::{Real, decide};
use burn::tensor::{DType, Element, FloatDType, Tensor, TensorData, backend::Backend};

use super::pass::along;
use crate::backend::host::has_values_in_host_memory;
use crate::losses::untracked;

/// The logits, noise included, by which each bit is decided last, `[vectors, num_bits]`, without a
/// gradient; of `products [vectors, num_bits]` with `half [num_bits, features]`, half of each
/// pair's difference.
pub(super) fn decided<B: Backend>(
    products: Tensor<B, 2>,
    noise: Option<Tensor<B, 2>>,
    half: Tensor<B, 2>,
    sweeps: usize,
) -> Tensor<B, 2> {
    let (products, half) = (untracked(products), untracked(half));
    let noise = noise.map(untracked);
    let gram = half.clone().matmul(half.clone().transpose());
    // In this order a build for the host alone, as for browsers without WebGPU, leaves the rest out.
    if !has_values_in_host_memory::<B>() {
        let squares = squares(half);
        return on_tensors(
            products / along(squares.clone()),
            noise,
            gram / along(squares),
            sweeps,
        );
    }
    match products.dtype() {
        DType::F64 => on_host::<B, f64>(products, noise, gram, sweeps),
        _ => on_host::<B, f32>(products, noise, gram, sweeps),
    }
}

/// `|h_p|^2 [num_bits]`, not 0, so that a pair of equal vectors has finite logits.
pub(super) fn squares<B: Backend>(half: Tensor<B, 2>) -> Tensor<B, 1> {
    let squares = half.powi_scalar(2).sum_dim(1);
    squares
        .flatten::<1>(0, 1)
        .clamp_min(f64::from(f32::MIN_POSITIVE))
}

fn on_host<B: Backend, R: Real + Element>(
    products: Tensor<B, 2>,
    noise: Option<Tensor<B, 2>>,
    gram: Tensor<B, 2>,
    sweeps: usize,
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
    decide(&mut logits, noise.as_deref(), &host(gram), shape[1], sweeps);
    Tensor::from_data(TensorData::new(logits, shape), (&device, R::dtype()))
}

/// Of each bit's logit alone, and `coupling [num_bits, num_bits]`, what the vector of the row's bit
/// has in the logit of the column's.
fn on_tensors<B: Backend>(
    mut left: Tensor<B, 2>,
    noise: Option<Tensor<B, 2>>,
    coupling: Tensor<B, 2>,
    sweeps: usize,
) -> Tensor<B, 2> {
    let [_, num_bits] = left.dims();
    let column = |tensor: &Tensor<B, 2>, p| tensor.clone().narrow(1, p, 1);
    let with_noise = |logit: Tensor<B, 2>, p| match &noise {
        Some(noise) => logit + column(noise, p),
        None => logit,
    };
    // -1 or 1; a tie and NaN give -1.
    let dtype = FloatDType::from(left.dtype());
    let sign = |decided: &Tensor<B, 2>| -> Tensor<B, 2> {
        let one = decided.clone().greater_elem(0.0).int();
        one.cast(dtype) * 2.0 - 1.0
    };
    let vector = |p| coupling.clone().narrow(0, p, 1);

    let mut decided = Vec::with_capacity(num_bits);
    let mut signs = Vec::with_capacity(num_bits);
    for p in 0..num_bits {
        let logit = with_noise(column(&left, p), p);
        let now = sign(&logit);
        left = left - now.clone() * vector(p);
        decided.push(logit);
        signs.push(now);
    }
    for _ in 0..sweeps {
        for p in 0..num_bits {
            let logit = with_noise(column(&left, p) + signs[p].clone(), p);
            let now = sign(&logit);
            left = left - (now.clone() - signs[p].clone()) * vector(p);
            decided[p] = logit;
            signs[p] = now;
        }
    }
    Tensor::cat(decided, 1)
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use burn::backend::Flex;
    use burn::tensor::Distribution;

    #[test]
    fn the_host_and_tensors_decide_alike() {
        let device = Default::default();
        let mut later = 0;
        for (vectors, num_bits) in [(1, 1), (40, 2), (40, 9), (40, 33)] {
            for dtype in [DType::F32, DType::F64] {
                let random = |shape| {
                    let normal = Distribution::Normal(0.0, 1.0);
                    Tensor::<Flex, 2>::random(shape, normal, &device).cast(dtype)
                };
                let h = random([num_bits, 6]);
                let gram = h.clone().matmul(h.clone().transpose());
                let squares: Tensor<Flex, 2> = along(squares(h.clone()));
                let x = random([vectors, 6]) * 2.0;
                let products = x.matmul(h.clone().transpose());
                let alone = products.clone() / squares.clone();
                let coupling = gram / squares;
                for noise in [None, Some(random([vectors, num_bits]))] {
                    for sweeps in 0..3 {
                        let (products, h) = (products.clone(), h.clone());
                        let host = decided(products, noise.clone(), h, sweeps);
                        let (all, coupling) = (alone.clone(), coupling.clone());
                        let tensors = on_tensors(all, noise.clone(), coupling, sweeps);
                        // Rounding, and a bit that it turns, which turns others.
                        let apart = (host.clone() - tensors).abs().lower_elem(1e-4).bool_not();
                        let apart = apart.int().sum_dim(1).greater_elem(0).int().sum();
                        let apart: i32 = apart.into_scalar();
                        assert!(
                            apart <= 1,
                            "{apart} vectors of {num_bits} bits, {sweeps} sweeps"
                        );
                        let changed = host
                            .greater_elem(0.0)
                            .not_equal(alone.clone().greater_elem(0.0));
                        later += changed.int().sum().into_scalar();
                    }
                }
            }
        }
        assert!(
            later > 1000,
            "{later} bits were decided by what others left"
        );
    }
}
