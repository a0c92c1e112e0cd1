//! Training on the host's memory: the pass of independent bits as one operation of the graph.
//!
//! It keeps the vectors and the codebook, which it shares, a bit and a number for each logit; the
//! tensors' operations keep ten times as much.

use alloc::sync::Arc;
use core::any::TypeId;

use bitcodes_kernels::{self as slices, Sampled};
use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients as Graph;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::backend::Backend;
use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{DType, Distribution, Int, Tensor, TensorData, TensorPrimitive};

use super::autodiff::same;
use super::host::with_rows;
use super::kernels;

/// Noise for logits.
pub(crate) enum Noise<T> {
    /// None.
    None,
    /// A tensor, of the shape of the bits.
    Given(T),
    /// Draws of the logistic distribution times this.
    Logistic(f64),
}

impl<T> Noise<T> {
    fn map<U>(self, given: impl FnOnce(T) -> U) -> Noise<U> {
        match self {
            Self::None => Noise::None,
            Self::Given(noise) => Noise::Given(given(noise)),
            Self::Logistic(scale) => Noise::Logistic(scale),
        }
    }
}

/// The output of training `[.., features]` for `x [.., features]` with its gradients, and the bits
/// `[.., num_bits]`; none where the kernels cannot compute it.
pub(crate) fn sampled<B: Backend, const D: usize>(
    x: &Tensor<B, D>,
    codebook: &Tensor<B, 2>,
    noise: Noise<&Tensor<B, D>>,
    temperature: f64,
) -> Option<(Tensor<B, D>, Tensor<B, D, Int>)> {
    let tensor = TypeId::of::<FloatTensor<B>>();
    macro_rules! of {
        ($($feature:literal $Inner:ident),*) => { $(
            #[cfg(feature = $feature)]
            if tensor == TypeId::of::<FloatTensor<Autodiff<burn::backend::$Inner>>>() {
                let (y, bits) = on::<burn::backend::$Inner, D>(
                    same(x.clone().into_primitive().tensor()),
                    same(codebook.clone().into_primitive().tensor()),
                    noise.map(|noise| same(noise.clone().into_primitive().tensor())),
                    temperature,
                )?;
                let y: FloatTensor<B> = same(y);
                let bits: IntTensor<B> = same(bits);
                let y = Tensor::from_primitive(TensorPrimitive::Float(y));
                return Some((y, Tensor::from_primitive(bits)));
            }
        )* };
    }
    of!("flex" Flex, "ndarray" NdArray);
    None
}

type Tracked<K> = FloatTensor<Autodiff<K>>;

fn on<K: Backend, const D: usize>(
    x: Tracked<K>,
    codebook: Tracked<K>,
    noise: Noise<Tracked<K>>,
    temperature: f64,
) -> Option<(Tracked<K>, IntTensor<K>)> {
    let of_x = inner::<K, D>(&x.primitive);
    let of_codebook = inner::<K, 2>(&codebook.primitive);
    let noise = match noise {
        Noise::Given(noise) if !noise.node.requirement.is_none() => return None,
        noise => noise.map(|noise| inner::<K, D>(&noise.primitive)),
    };
    let (seed, device) = (|| seed::<K>(&of_x.device()), of_x.device());
    let sampled = kernels::sample(&of_x, &of_codebook, noise, seed, temperature)?;
    // Operations on tensors spread it, so that a diverged training shows.
    if !sampled.are_numbers {
        return None;
    }
    let y = kernels::decode_packed(&sampled.packed, of_x.dims(), &of_codebook)?;
    let mut shape = of_x.dims();
    shape[D - 1] = of_codebook.dims()[0] / 2;
    let bits = kernels::bits::<K, D>(&sampled.packed, shape, &device)?;
    let y = y.into_primitive().tensor();
    let operation = Sampling::<D>
        .prepare::<NoCheckpointing>([x.node.clone(), codebook.node.clone()])
        .compute_bound()
        .stateful();
    let y = match operation {
        OpsKind::Tracked(operation) => {
            operation.finish((x.primitive, codebook.primitive, Arc::new(sampled)), y)
        }
        OpsKind::UnTracked(operation) => operation.finish(y),
    };
    Some((y, bits.into_primitive()))
}

fn inner<K: Backend, const D: usize>(primitive: &FloatTensor<K>) -> Tensor<K, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive.clone()))
}

/// From the backend's own draws, so that its seed repeats it.
fn seed<K: Backend>(device: &K::Device) -> u64 {
    let draws = Tensor::<K, 1>::random(
        [4],
        Distribution::Uniform(0.0, 65536.0),
        (device, DType::F32),
    );
    let draws = draws.into_data();
    draws
        .iter::<f32>()
        .fold(0, |seed, draw| seed << 16 | draw as u64)
}

/// The gradients of a pass.
#[derive(Debug)]
struct Sampling<const D: usize>;

impl<K: Backend, const D: usize> Backward<K, 2> for Sampling<D> {
    type State = (FloatTensor<K>, FloatTensor<K>, Arc<Sampled>);

    fn backward(self, ops: Ops<Self::State, 2>, graph: &mut Graph, _: &mut Checkpointer) {
        let output = inner::<K, D>(&graph.consume::<K>(&ops.node));
        let (x, codebook, sampled) = ops.state;
        let (x, codebook) = (inner::<K, D>(&x), inner::<K, 2>(&codebook));
        let (shape, rows) = (x.dims(), codebook.dims());
        let gradients = with_rows(&x, |x| {
            with_rows(&output, |output| {
                with_rows(&codebook, |codebook| {
                    let backward = slices::Backward {
                        codebook: codebook.as_slice().expect("the encoder took it as one"),
                        x,
                        packed: &sampled.packed,
                        slopes: &sampled.slopes,
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
        let noise = Tensor::<B, 3>::ones([2, 4, 3], &device);
        let given = sampled(&x, &codebook, Noise::Given(&noise), 1.0);
        let drawn = sampled(&x, &codebook, Noise::Logistic(1.0), 1.0);
        assert_eq!(given.is_some(), drawn.is_some());
        given.is_some()
    }

    #[test]
    fn kernels_take_what_they_are_for() {
        assert!(takes::<Autodiff<Flex>>(1.0));
        assert!(takes::<Autodiff<Flex, BalancedCheckpointing>>(1.0));
        assert!(!takes::<Autodiff<Flex>>(f32::NAN));
        assert!(!takes::<Autodiff<Autodiff<Flex>>>(1.0));
    }
}
