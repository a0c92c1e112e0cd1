//! Tensors with a gradient of their own, in the graph of `Autodiff` around a known backend.
//!
//! On any other backend the caller uses its portable operations.

use alloc::vec::Vec;
use core::fmt::Debug;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};

use super::known::{Known, OnKnown, same};

/// The derivative of a value by a matrix, as a function of that matrix and some other matrices. The
/// value is a tensor of rank `N`, a number if `N` is 1.
pub(crate) trait Derivative<const N: usize>: Clone + Debug + Send + 'static {
    /// Computes the derivative of the sum of `upstream` times the value by `input`, in the shape of
    /// `input`. `upstream` has the shape of the value.
    ///
    /// It must not wait for one of rayon's threads: Burn holds the lock of the graph meanwhile, and a
    /// waiting thread of rayon may take up another backward pass, which waits for that lock.
    fn derivative<B: Backend>(
        &self,
        input: Tensor<B, 2>,
        others: Vec<Tensor<B, 2>>,
        upstream: Tensor<B, N>,
    ) -> Tensor<B, 2>;
}

/// Puts `value`, computed outside of the graph, into the graph as a function of `input` with the
/// gradient that `derivative` computes.
///
/// None of `others` may be a function of `input` in the graph. The backward pass keeps references
/// to the tensors given, and `derivative`. Returns `None` on a backend that is not known.
pub(crate) fn with_derivative<B: Backend, const N: usize>(
    input: Tensor<B, 2>,
    value: Tensor<B, N>,
    others: Vec<Tensor<B, 2>>,
    derivative: impl Derivative<N>,
) -> Option<Tensor<B, N>> {
    let known = Known::inside_autodiff::<B>()?;
    Some(known.run(WithDerivative {
        input,
        value,
        others,
        derivative,
    }))
}

/// A value to put into the graph of a backend inside of `Autodiff`.
struct WithDerivative<B: Backend, const N: usize, D> {
    input: Tensor<B, 2>,
    value: Tensor<B, N>,
    others: Vec<Tensor<B, 2>>,
    derivative: D,
}

impl<B: Backend, const N: usize, D: Derivative<N>> OnKnown for WithDerivative<B, N, D> {
    type Output = Tensor<B, N>;

    fn run<K: Backend>(self) -> Tensor<B, N> {
        let others = self.others.into_iter();
        let output: FloatTensor<B> = same(register::<K, N>(
            same(self.input.into_primitive().tensor()),
            same(self.value.into_primitive().tensor()),
            others
                .map(|other| same(other.into_primitive().tensor()))
                .collect(),
            self.derivative,
        ));
        Tensor::from_primitive(TensorPrimitive::Float(output))
    }
}

#[derive(Debug)]
struct Registered<D, const N: usize>(D);

impl<B: Backend, const N: usize, D: Derivative<N>> Backward<B, 1> for Registered<D, N> {
    type State = (FloatTensor<B>, Vec<FloatTensor<B>>);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let tensor = |primitive| Tensor::from_primitive(TensorPrimitive::Float(primitive));
        let upstream = TensorPrimitive::Float(gradients.consume::<B>(&ops.node));
        let (input, others) = ops.state;
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            let others = others.into_iter().map(tensor).collect();
            let gradient =
                self.0
                    .derivative::<B>(tensor(input), others, Tensor::from_primitive(upstream));
            gradients.register::<B>(parent.id, gradient.into_primitive().tensor());
        }
    }
}

fn register<K: Backend, const N: usize>(
    input: FloatTensor<Autodiff<K>>,
    value: FloatTensor<Autodiff<K>>,
    others: Vec<FloatTensor<Autodiff<K>>>,
    derivative: impl Derivative<N>,
) -> FloatTensor<Autodiff<K>> {
    let others = others.into_iter().map(|other| other.primitive).collect();
    let operation = Registered::<_, N>(derivative)
        .prepare::<NoCheckpointing>([input.node.clone()])
        .compute_bound()
        .stateful();
    match operation {
        OpsKind::Tracked(operation) => operation.finish((input.primitive, others), value.primitive),
        OpsKind::UnTracked(operation) => operation.finish(value.primitive),
    }
}
