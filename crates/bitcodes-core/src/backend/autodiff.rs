//! Numbers with a gradient of their own, in the graph of `Autodiff` around a known backend.
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

/// The derivative of a number by a matrix, as a function of that matrix and some other matrices.
pub(crate) trait Derivative: Clone + Debug + Send + 'static {
    /// Computes the derivative of `upstream [1]` times the number by `input`, in the shape of
    /// `input`.
    fn derivative<B: Backend>(
        &self,
        input: Tensor<B, 2>,
        others: Vec<Tensor<B, 2>>,
        upstream: Tensor<B, 1>,
    ) -> Tensor<B, 2>;
}

/// Puts `value [1]`, computed outside of the graph, into the graph as a function of `input` with
/// the gradient that `derivative` computes.
///
/// None of `others` may be a function of `input` in the graph. The backward pass keeps references
/// to the tensors given, and nothing else. Returns `None` on a backend that is not known.
pub(crate) fn with_derivative<B: Backend>(
    input: Tensor<B, 2>,
    value: Tensor<B, 1>,
    others: Vec<Tensor<B, 2>>,
    derivative: impl Derivative,
) -> Option<Tensor<B, 1>> {
    let known = Known::inside_autodiff::<B>()?;
    Some(known.run(WithDerivative {
        input,
        value,
        others,
        derivative,
    }))
}

/// A number to put into the graph of a backend inside of `Autodiff`.
struct WithDerivative<B: Backend, D> {
    input: Tensor<B, 2>,
    value: Tensor<B, 1>,
    others: Vec<Tensor<B, 2>>,
    derivative: D,
}

impl<B: Backend, D: Derivative> OnKnown for WithDerivative<B, D> {
    type Output = Tensor<B, 1>;

    fn run<K: Backend>(self) -> Tensor<B, 1> {
        let others = self.others.into_iter();
        let output: FloatTensor<B> = same(register::<K>(
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
struct Registered<D>(D);

impl<B: Backend, D: Derivative> Backward<B, 1> for Registered<D> {
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

fn register<K: Backend>(
    input: FloatTensor<Autodiff<K>>,
    value: FloatTensor<Autodiff<K>>,
    others: Vec<FloatTensor<Autodiff<K>>>,
    derivative: impl Derivative,
) -> FloatTensor<Autodiff<K>> {
    let others = others.into_iter().map(|other| other.primitive).collect();
    let operation = Registered(derivative)
        .prepare::<NoCheckpointing>([input.node.clone()])
        .compute_bound()
        .stateful();
    match operation {
        OpsKind::Tracked(operation) => operation.finish((input.primitive, others), value.primitive),
        OpsKind::UnTracked(operation) => operation.finish(value.primitive),
    }
}
