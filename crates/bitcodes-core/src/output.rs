//! The output of a forward pass.

use burn::tensor::{Int, Tensor, backend::Backend};

/// The output of [`Bitcodes::forward`](crate::Bitcodes::forward).
#[derive(Debug, Clone)]
pub struct BitcodesOutput<B: Backend, const D: usize> {
    /// The quantized vectors, in the shape and the type of the input. They are in the units of
    /// normalized vectors if the quantizer normalizes. In training, some of them may be unquantized
    /// ([`Joint::unquantized_below`](crate::Joint::unquantized_below)).
    pub quantized: Tensor<B, D>,
    /// The bits of all vectors, 0 or 1, `[.., num_bits]`.
    pub bits: Tensor<B, D, Int>,
    /// The sum of the losses that the configuration gives a weight, and of the loss by which the
    /// normalization learns, whose value is 0; `[1]`, to be added to the model's own loss. `None` if
    /// there are no such losses, as in the reference's configuration, and if the pass does not train:
    /// without noise given, on a backend that does not differentiate.
    pub loss: Option<Tensor<B, 1>>,
}
