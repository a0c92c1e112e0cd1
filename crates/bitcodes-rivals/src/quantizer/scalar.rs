//! Finite scalar quantization, FSQ: a few numbers, each rounded to one of a few levels ([Mentzer et
//! al. 2023](https://arxiv.org/abs/2309.15505)).

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Tensor, TensorData, backend::Backend};
use serde::{Deserialize, Serialize};

use super::Quantized;

/// Settings of a [`FiniteScalar`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FiniteScalarConfig {
    /// Number of levels of each number.
    pub levels: Vec<usize>,
}

/// A linear layer to a few numbers, the rounding, and a linear layer back.
#[derive(Module, Debug)]
pub struct FiniteScalar<B: Backend> {
    /// Layer from the vector to the numbers.
    pub project_in: Linear<B>,
    /// Layer from the rounded numbers to the vector.
    pub project_out: Linear<B>,
    levels: Vec<usize>,
}

impl FiniteScalarConfig {
    /// Makes a quantizer of vectors with this number of features.
    pub fn init<B: Backend>(&self, features: usize, device: &B::Device) -> FiniteScalar<B> {
        let numbers = self.levels.len();
        FiniteScalar {
            project_in: LinearConfig::new(features, numbers).init(device),
            project_out: LinearConfig::new(numbers, features).init(device),
            levels: self.levels.clone(),
        }
    }
}

/// Relative distance of the bounds from the outermost levels.
const MARGIN: f32 = 1e-3;

impl<B: Backend> FiniteScalar<B> {
    /// Quantizes vectors. Training makes no difference.
    pub(super) fn forward(&self, rows: Tensor<B, 2>) -> Quantized<B> {
        let device = rows.device();
        let row = |value: fn(usize) -> f32| {
            let values: Vec<f32> = self.levels.iter().map(|&levels| value(levels)).collect();
            let shape = [1, values.len()];
            Tensor::<B, 2>::from_data(TensorData::new(values, shape), &device)
        };
        let reach = row(|levels| (levels - 1) as f32 * (1.0 + MARGIN) / 2.0);
        let offset = row(half_step);
        let shift = row(|levels| {
            let reach = (levels - 1) as f32 * (1.0 + MARGIN) / 2.0;
            (half_step(levels) / reach).atanh()
        });
        let half_width = row(|levels| (levels / 2) as f32);

        let bounded = (self.project_in.forward(rows) + shift).tanh() * reach - offset;
        let rounded = bounded.clone().detach().round();
        let codes = (rounded.clone() + half_width.clone()).int();
        let rounded = rounded + (bounded.clone() - bounded.detach());
        Quantized {
            vectors: self.project_out.forward(rounded / half_width),
            codes: Some(codes),
            loss: None,
        }
    }
}

/// Returns the shift of the levels: an even number of levels has no level in the middle, so it is
/// shifted by half a step.
fn half_step(levels: usize) -> f32 {
    if levels.is_multiple_of(2) { 0.5 } else { 0.0 }
}
