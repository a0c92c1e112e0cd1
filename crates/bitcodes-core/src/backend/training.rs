//! The training pass of independent bits in the host's memory, as one operation of the graph.
//!
//! The operation keeps references to the vectors and the codebook, and for each logit one bit and
//! one slope. The tensor operations keep ten times as much.

use alloc::sync::Arc;
use bitcodes_kernels::{self as slices, Codebook, NoisyBits};
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients as Graph;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::backend::Backend;
use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{DType, Int, Tensor, TensorData, TensorPrimitive};

use super::kernels;
use super::known::{Known, OnKnown, same};
use super::lend::with_rows;
use crate::noise::Noise;

/// Computes the output `[.., features]` of training for `x [.., features]`, with its gradients, and
/// the bits `[.., num_bits]`. Returns `None` if the kernels cannot compute it.
pub(crate) fn quantize<B: Backend, const D: usize>(
    x: &Tensor<B, D>,
    codebook: &Tensor<B, 2>,
    noise: &Noise<B, D>,
    temperature: f64,
) -> Option<(Tensor<B, D>, Tensor<B, D, Int>)> {
    let known = Known::inside_autodiff::<B>()?;
    known.run_in_host_memory(Quantize {
        x,
        codebook,
        noise,
        temperature,
    })?
}

struct Quantize<'a, B: Backend, const D: usize> {
    x: &'a Tensor<B, D>,
    codebook: &'a Tensor<B, 2>,
    noise: &'a Noise<B, D>,
    temperature: f64,
}

impl<B: Backend, const D: usize> OnKnown for Quantize<'_, B, D> {
    type Output = Option<(Tensor<B, D>, Tensor<B, D, Int>)>;

    fn run<K: Backend>(self) -> Self::Output {
        let tracked = |tensor: &Tensor<B, D>| -> Tracked<K> {
            same(tensor.clone().into_primitive().tensor())
        };
        let noise = match self.noise {
            Noise::None => Noise::None,
            Noise::Logistic(scale) => Noise::Logistic(*scale),
            Noise::Given { noise, .. } => {
                let noise = tracked(noise);
                // The kernel computes no gradient of the noise.
                if !noise.node.requirement.is_none() {
                    return None;
                }
                Noise::Given {
                    noise: inner::<K, D>(&noise.primitive),
                    draws: None,
                }
            }
        };
        let x = tracked(self.x);
        let codebook = same(self.codebook.clone().into_primitive().tensor());
        let (y, bits) = on::<K, D>(x, codebook, noise, self.temperature)?;
        let y: FloatTensor<B> = same(y);
        let bits: IntTensor<B> = same(bits);
        let y = Tensor::from_primitive(TensorPrimitive::Float(y));
        Some((y, Tensor::from_primitive(bits)))
    }
}

type Tracked<K> = FloatTensor<Autodiff<K>>;

fn on<K: Backend, const D: usize>(
    x: Tracked<K>,
    codebook: Tracked<K>,
    noise: Noise<K, D>,
    temperature: f64,
) -> Option<(Tracked<K>, IntTensor<K>)> {
    let of_x = inner::<K, D>(&x.primitive);
    let of_codebook = inner::<K, 2>(&codebook.primitive);
    let (seed, device) = (|| kernels::seed::<K>(&of_x.device()), of_x.device());
    let noisy = kernels::encode_with_noise(&of_x, &of_codebook, noise, seed, temperature)?;
    // The tensor operations spread a NaN, so that a diverged training shows.
    if !noisy.are_numbers {
        return None;
    }
    let y = kernels::decode_packed(&noisy.packed, of_x.dims(), &of_codebook)?;
    let mut shape = of_x.dims();
    shape[D - 1] = of_codebook.dims()[0] / 2;
    let bits = kernels::bits::<K, D>(&noisy.packed, shape, &device);
    let y = y.into_primitive().tensor();
    let operation = StraightThrough::<D>
        .prepare::<NoCheckpointing>([x.node.clone(), codebook.node.clone()])
        .compute_bound()
        .stateful();
    let y = match operation {
        OpsKind::Tracked(operation) => {
            operation.finish((x.primitive, codebook.primitive, Arc::new(noisy)), y)
        }
        OpsKind::UnTracked(operation) => operation.finish(y),
    };
    Some((y, bits.into_primitive()))
}

fn inner<K: Backend, const D: usize>(primitive: &FloatTensor<K>) -> Tensor<K, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive.clone()))
}

/// The backward pass, as an operation of the graph.
#[derive(Debug)]
struct StraightThrough<const D: usize>;

impl<K: Backend, const D: usize> Backward<K, 2> for StraightThrough<D> {
    type State = (FloatTensor<K>, FloatTensor<K>, Arc<NoisyBits>);

    fn backward(self, ops: Ops<Self::State, 2>, graph: &mut Graph, _: &mut Checkpointer) {
        let output = inner::<K, D>(&graph.consume::<K>(&ops.node));
        let (x, codebook, noisy) = ops.state;
        let (x, codebook) = (inner::<K, D>(&x), inner::<K, 2>(&codebook));
        let (shape, rows) = (x.dims(), codebook.dims());
        let gradients = with_rows(&x, |x| {
            with_rows(&output, |output| {
                with_rows(&codebook, |codebook| {
                    let backward = slices::Backward {
                        codebook: Codebook::new(
                            codebook
                                .as_slice()
                                .expect("the encoder took it as one slice"),
                            codebook.features(),
                        ),
                        x,
                        packed: &noisy.packed,
                        slopes: &noisy.slopes,
                        output,
                    };
                    backward.gradients()
                })
            })
        });
        let device = x.device();
        let [of_x_node, of_codebook_node] = ops.parents;
        if let Some(node) = of_x_node {
            let of_x = Tensor::<K, D>::from_data(
                TensorData::new(gradients.x, shape),
                (&device, DType::F32),
            );
            graph.register::<K>(node.id, of_x.into_primitive().tensor());
        }
        if let Some(node) = of_codebook_node {
            let data = TensorData::new(gradients.codebook, rows);
            let of_codebook = Tensor::<K, 2>::from_data(data, (&device, DType::F32));
            graph.register::<K>(node.id, of_codebook.into_primitive().tensor());
        }
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use burn::backend::Flex;
    use burn::backend::autodiff::checkpoint::strategy::BalancedCheckpointing;
    use burn::tensor::backend::AutodiffBackend;

    fn takes<B: AutodiffBackend>(x: f32) -> bool {
        let device = Default::default();
        let codebook = Tensor::<B, 2>::ones([6, 5], &device).require_grad();
        let x = Tensor::<B, 3>::full([2, 4, 5], x, &device);
        let noise = Noise::Given {
            noise: Tensor::<B, 3>::ones([2, 4, 3], &device),
            draws: None,
        };
        let given = quantize(&x, &codebook, &noise, 1.0);
        let drawn = quantize(&x, &codebook, &Noise::Logistic(1.0), 1.0);
        assert_eq!(given.is_some(), drawn.is_some());
        given.is_some()
    }

    #[test]
    fn kernels_take_finite_vectors_inside_one_autodiff() {
        assert!(takes::<Autodiff<Flex>>(1.0));
        assert!(takes::<Autodiff<Flex, BalancedCheckpointing>>(1.0));
        assert!(!takes::<Autodiff<Flex>>(f32::NAN));
        assert!(!takes::<Autodiff<Autodiff<Flex>>>(1.0));
    }
}
