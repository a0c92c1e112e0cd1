//! Finite scalar quantization: a few numbers, each rounded to one of a few levels
//! ([Mentzer et al. 2023](https://arxiv.org/abs/2309.15505)).

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Tensor, TensorData, backend::Backend};
use serde::{Deserialize, Serialize};

use super::Quantized;

/// How a [`FiniteScalar`] is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FiniteScalarConfig {
    /// Levels of each number.
    pub levels: Vec<usize>,
}

/// A linear map to a few numbers, a grid, and a linear map back.
#[derive(Module, Debug)]
pub struct FiniteScalar<B: Backend> {
    /// To the numbers.
    pub project_in: Linear<B>,
    /// From the numbers.
    pub project_out: Linear<B>,
    levels: Vec<usize>,
}

impl FiniteScalarConfig {
    /// For rows of so many features.
    pub fn init<B: Backend>(&self, features: usize, device: &B::Device) -> FiniteScalar<B> {
        let numbers = self.levels.len();
        FiniteScalar {
            project_in: LinearConfig::new(features, numbers).init(device),
            project_out: LinearConfig::new(numbers, features).init(device),
            levels: self.levels.clone(),
        }
    }
}

/// How much wider than the outermost levels the bounds are.
const MARGIN: f32 = 1e-3;

impl<B: Backend> FiniteScalar<B> {
    /// The same in training and after.
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

/// An even number of levels has none in the middle.
fn half_step(levels: usize) -> f32 {
    if levels.is_multiple_of(2) { 0.5 } else { 0.0 }
}
