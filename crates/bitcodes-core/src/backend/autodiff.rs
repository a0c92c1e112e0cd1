//! Operations with a gradient of their own, where the backend differentiates and is known.
//!
//! A user's code is bounded by `B: Backend`, which tells nothing of a graph. So the type of `B`'s
//! tensors is compared with those of each known backend inside of `Autodiff`, which covers every
//! strategy of checkpointing; on any other backend the caller has its portable way.

use alloc::vec::Vec;
use core::any::{Any, TypeId};
use core::fmt::Debug;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};

/// The derivative of a number by a matrix, from the matrix and some others.
pub(crate) trait Derivative: Clone + Debug + Send + 'static {
    /// The derivative of `upstream [1]` times the number by `input`, of its shape.
    fn derivative<B: Backend>(
        &self,
        input: Tensor<B, 2>,
        others: Vec<Tensor<B, 2>>,
        upstream: Tensor<B, 1>,
    ) -> Tensor<B, 2>;
}

/// The backends that are known, by the features that bring them.
macro_rules! known {
    ($($feature:literal $Inner:ident),*) => {
        /// A backend inside of `Autodiff`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Known {
            $( #[cfg(feature = $feature)] $Inner, )*
        }

        impl Known {
            fn of<B: Backend>() -> Option<Self> {
                let tensor = TypeId::of::<FloatTensor<B>>();
                $(
                    #[cfg(feature = $feature)]
                    if tensor == TypeId::of::<FloatTensor<Autodiff<burn::backend::$Inner>>>() {
                        return Some(Self::$Inner);
                    }
                )*
                let _ = tensor;
                None
            }

            fn with_derivative<B: Backend>(
                self,
                input: Tensor<B, 2>,
                value: Tensor<B, 1>,
                others: Vec<Tensor<B, 2>>,
                derivative: impl Derivative,
            ) -> Tensor<B, 1> {
                let output: FloatTensor<B> = match self {
                    $(
                        #[cfg(feature = $feature)]
                        Self::$Inner => same(register::<burn::backend::$Inner>(
                            same(input.into_primitive().tensor()),
                            same(value.into_primitive().tensor()),
                            others
                                .into_iter()
                                .map(|other| same(other.into_primitive().tensor()))
                                .collect(),
                            derivative,
                        )),
                    )*
                };
                Tensor::from_primitive(TensorPrimitive::Float(output))
            }
        }
    };
}

known!("flex" Flex, "ndarray" NdArray, "wgpu" Wgpu, "cuda" Cuda);

/// `value [1]`, computed outside of the graph, as a function of `input` whose gradient is
/// `derivative`'s; none of `others` is a function of `input` in the graph. Kept for the backward
/// pass are only references to the tensors given. `None` on a backend that is not known.
pub(crate) fn with_derivative<B: Backend>(
    input: Tensor<B, 2>,
    value: Tensor<B, 1>,
    others: Vec<Tensor<B, 2>>,
    derivative: impl Derivative,
) -> Option<Tensor<B, 1>> {
    let known = Known::of::<B>()?;
    Some(known.with_derivative(input, value, others, derivative))
}

/// Moves a value as one of another type that is the same.
pub(super) fn same<A: 'static, T: 'static>(value: A) -> T {
    let mut slot = Some(value);
    let same = (&mut slot as &mut dyn Any).downcast_mut::<Option<T>>();
    same.and_then(Option::take)
        .expect("the types were compared")
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

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::autodiff::checkpoint::strategy::BalancedCheckpointing;

    /// Or every test of a gradient would pass on the portable way alone.
    #[test]
    fn every_backend_is_known_inside_of_autodiff_with_any_checkpointing() {
        macro_rules! check {
            ($($feature:literal $Inner:ident),*) => { $(
                #[cfg(feature = $feature)]
                {
                    use burn::backend::$Inner;
                    assert_eq!(Known::of::<Autodiff<$Inner>>(), Some(Known::$Inner));
                    let balanced = Known::of::<Autodiff<$Inner, BalancedCheckpointing>>();
                    assert_eq!(balanced, Some(Known::$Inner));
                    assert_eq!(Known::of::<$Inner>(), None);
                }
            )* };
        }
        check!("flex" Flex, "ndarray" NdArray, "wgpu" Wgpu, "cuda" Cuda);
    }
}
