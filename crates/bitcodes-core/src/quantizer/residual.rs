//! Bits that are decided on what the others leave, by [`bitcodes_kernels::residual`] in the host's
//! memory and by the same steps on tensors elsewhere.

use alloc::vec::Vec;

use bitcodes_kernels::residual::{Real, decide};
use burn::tensor::{DType, Element, FloatDType, Tensor, TensorData, backend::Backend};

use crate::backend::host::has_values_in_host_memory;

/// The logits, noise included, by which each bit is decided last, `[vectors, num_bits]`, without a
/// gradient.
///
/// `alone` are the logits of each bit alone, `coupling [num_bits, num_bits]` what the vector of the
/// row's bit has in the logit of the column's.
pub(super) fn decided<B: Backend>(
    alone: Tensor<B, 2>,
    noise: Option<Tensor<B, 2>>,
    coupling: Tensor<B, 2>,
    sweeps: usize,
) -> Tensor<B, 2> {
    let (alone, coupling) = (alone.detach(), coupling.detach());
    let noise = noise.map(|noise| noise.detach());
    match alone.dtype() {
        DType::F32 if has_values_in_host_memory::<B>() => {
            on_host::<B, f32>(alone, noise, coupling, sweeps)
        }
        DType::F64 if has_values_in_host_memory::<B>() => {
            on_host::<B, f64>(alone, noise, coupling, sweeps)
        }
        _ => on_tensors(alone, noise, coupling, sweeps),
    }
}

fn on_host<B: Backend, R: Real + Element>(
    alone: Tensor<B, 2>,
    noise: Option<Tensor<B, 2>>,
    coupling: Tensor<B, 2>,
    sweeps: usize,
) -> Tensor<B, 2> {
    let (shape, device) = (alone.dims(), alone.device());
    let host = |tensor: Tensor<B, 2>| -> Vec<R> {
        tensor
            .into_data()
            .into_vec()
            .expect("the type was looked at")
    };
    let mut logits = host(alone);
    let noise = noise.map(host);
    decide(
        &mut logits,
        noise.as_deref(),
        &host(coupling),
        shape[1],
        sweeps,
    );
    Tensor::from_data(TensorData::new(logits, shape), (&device, R::dtype()))
}

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
                let squares = h.clone().powi_scalar(2).sum_dim(1).transpose();
                let x = random([vectors, 6]) * 2.0;
                let alone = x.matmul(h.transpose()) / squares.clone();
                let coupling = gram / squares;
                for noise in [None, Some(random([vectors, num_bits]))] {
                    for sweeps in 0..3 {
                        let inputs = || (alone.clone(), noise.clone(), coupling.clone(), sweeps);
                        let (a, n, c, s) = inputs();
                        let host = decided(a, n, c, s);
                        let (a, n, c, s) = inputs();
                        let tensors = on_tensors(a, n, c, s);
                        // Rounding, and a bit that it turns, which turns others.
                        let apart = (host.clone() - tensors).abs().greater_elem(1e-4);
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
