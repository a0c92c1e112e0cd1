//! Lookup-free quantization: the signs of a few numbers
//! ([Yu et al. 2023](https://arxiv.org/abs/2310.05737)).

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use super::straight_through::straight_through;
use super::{Quantized, mean_squared};

/// How a [`LookupFree`] is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LookupFreeConfig {
    /// Numbers whose signs are taken.
    pub num_bits: usize,
    /// Weight of the loss that pulls the numbers to -1 and 1.
    pub commitment: f64,
}

/// A linear map to a few numbers, their signs, and a linear map back.
#[derive(Module, Debug)]
pub struct LookupFree<B: Backend> {
    /// To the numbers.
    pub project_in: Linear<B>,
    /// From the signs.
    pub project_out: Linear<B>,
    commitment: f64,
}

impl LookupFreeConfig {
    /// For rows of so many features.
    pub fn init<B: Backend>(&self, features: usize, device: &B::Device) -> LookupFree<B> {
        LookupFree {
            project_in: LinearConfig::new(features, self.num_bits).init(device),
            project_out: LinearConfig::new(self.num_bits, features).init(device),
            commitment: self.commitment,
        }
    }
}

impl<B: Backend> LookupFree<B> {
    pub(super) fn forward(&self, rows: Tensor<B, 2>) -> Quantized<B> {
        let numbers = self.project_in.forward(rows);
        let signs = signs(numbers.clone().detach());
        let loss = mean_squared(numbers.clone(), signs.clone()) * self.commitment;
        Quantized {
            vectors: self
                .project_out
                .forward(straight_through(numbers, signs.clone())),
            codes: Some(signs.greater_elem(0.0).int()),
            loss: Some(loss),
        }
    }

    pub(super) fn quantize(&self, rows: Tensor<B, 2>) -> Quantized<B> {
        let signs = signs(self.project_in.forward(rows));
        Quantized {
            vectors: self.project_out.forward(signs.clone()),
            codes: Some(signs.greater_elem(0.0).int()),
            loss: None,
        }
    }
}

/// 1 above 0, otherwise -1.
fn signs<B: Backend>(numbers: Tensor<B, 2>) -> Tensor<B, 2> {
    numbers.greater_elem(0.0).float() * 2.0 - 1.0
}
