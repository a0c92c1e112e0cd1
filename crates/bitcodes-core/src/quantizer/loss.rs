//! The losses of an output.

use alloc::vec::Vec;

use burn::tensor::{Bool, FloatDType, Int, Tensor, backend::Backend};

use super::Bitcodes;
use crate::codebook::Pairs;
use crate::losses::{EntropyLoss, mean_squared_distance};
use crate::vectors::vectors_first;

impl<B: Backend> Bitcodes<B> {
    /// Returns whether an output has a loss.
    pub(super) fn has_loss(&self) -> bool {
        self.normalization.is_some() || self.weights.are_any() || self.assignment().has_loss()
    }

    /// Returns the sum of the losses that the configuration asks for, `[1]`.
    ///
    /// Takes the vectors `given` before normalization, and `x` after it. `output` is quantized but for
    /// the vectors that training leaves unquantized. `valid` has one element along axis 1.
    pub(super) fn loss<const N: usize>(
        &self,
        pairs: &Pairs<B>,
        given: Tensor<B, N>,
        x: Tensor<B, N>,
        bits: &Tensor<B, N, Int>,
        output: Tensor<B, N>,
        valid: Option<Tensor<B, N, Bool>>,
    ) -> Option<Tensor<B, 1>> {
        if !self.has_loss() {
            return None;
        }
        let (weights, assignment) = (self.weights, self.assignment());
        let valid = valid.map(vectors_first);
        let bits: Tensor<B, N> = bits.clone().cast(FloatDType::from(x.dtype()));
        let squared = |x: Tensor<B, N>, fixed: Tensor<B, N>| {
            let [x, fixed] = [x, fixed].map(vectors_first);
            mean_squared_distance(x, fixed, valid.clone())
        };
        let mut losses = Vec::new();
        if weights.commitment > 0.0 {
            losses.push(squared(x.clone(), output) * weights.commitment);
        }
        if weights.codebook > 0.0 {
            let mut loss = squared(pairs.decode(bits.clone()), x.clone());
            let rows = vectors_first(bits.clone());
            if let Some(own) = assignment.codebook_loss(pairs, rows, valid.clone()) {
                loss = loss + own;
            }
            losses.push(loss * weights.codebook);
        }
        losses.extend(assignment.loss(pairs, x.clone(), bits.clone(), valid.clone()));
        if weights.entropy > 0.0 {
            let logits = assignment.logits_with_gradient(pairs, x, bits);
            let loss = EntropyLoss::new().with_diversity(weights.diversity);
            let loss = loss.of_rows(vectors_first(logits), valid.clone());
            losses.push(loss * weights.entropy);
        }
        if let Some(normalization) = &self.normalization {
            losses.push(normalization.following_loss(given, valid));
        }
        losses.into_iter().reduce(|sum, loss| sum + loss)
    }
}
