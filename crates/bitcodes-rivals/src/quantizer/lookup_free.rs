//! Lookup-free quantization, LFQ: the code is the signs of a few numbers ([Yu et al.
//! 2023](https://arxiv.org/abs/2310.05737)).

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::softmax;
use burn::tensor::{Tensor, TensorData, backend::Backend};
use serde::{Deserialize, Serialize};

use super::straight_through::straight_through;
use super::{Quantized, mean_squared};

/// Settings of a [`LookupFree`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LookupFreeConfig {
    /// Number of values whose signs are the bits.
    pub num_bits: usize,
    /// Weight of the loss that pulls the values to -1 and 1.
    pub commitment: f64,
    /// Weight of the loss that makes the code of each vector certain and all codes equally
    /// frequent. The loss computes the probability of every code, so there can be only a few bits.
    #[serde(default)]
    pub entropy: f64,
}

/// A linear layer to a few values, their signs, and a linear layer back.
#[derive(Module, Debug)]
pub struct LookupFree<B: Backend> {
    /// Layer from the vector to the values.
    pub project_in: Linear<B>,
    /// Layer from the signs to the vector.
    pub project_out: Linear<B>,
    commitment: f64,
    entropy: f64,
}

impl LookupFreeConfig {
    /// Makes a quantizer of vectors with this number of features.
    pub fn init<B: Backend>(&self, features: usize, device: &B::Device) -> LookupFree<B> {
        LookupFree {
            project_in: LinearConfig::new(features, self.num_bits).init(device),
            project_out: LinearConfig::new(self.num_bits, features).init(device),
            commitment: self.commitment,
            entropy: self.entropy,
        }
    }
}

impl<B: Backend> LookupFree<B> {
    pub(super) fn forward(&self, rows: Tensor<B, 2>) -> Quantized<B> {
        let numbers = self.project_in.forward(rows);
        let signs = signs(numbers.clone().detach());
        let mut loss = mean_squared(numbers.clone(), signs.clone()) * self.commitment;
        if self.entropy != 0.0 {
            loss = loss + entropy_loss(numbers.clone()) * self.entropy;
        }
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

/// Inverse temperature of the softmax over the distances to all codes.
const INVERSE_TEMPERATURE: f64 = 100.0;

/// Returns the mean of the entropies of the vectors' codes, minus the entropy of the mean code, in
/// nats.
fn entropy_loss<B: Backend>(numbers: Tensor<B, 2>) -> Tensor<B, 1> {
    let [_, num_bits] = numbers.dims();
    let sign = |code: usize, bit: usize| if code >> bit & 1 == 1 { 1.0f32 } else { -1.0 };
    let codes =
        (0..1usize << num_bits).flat_map(|code| (0..num_bits).map(move |bit| sign(code, bit)));
    let codes = TensorData::new(codes.collect::<Vec<_>>(), [1 << num_bits, num_bits]);
    let codes = Tensor::from_data(codes, &numbers.device());
    let products = numbers.matmul(codes.transpose());
    let probabilities = softmax(products * (2.0 * INVERSE_TEMPERATURE), 1);
    let mean = probabilities.clone().mean_dim(0);
    entropy(probabilities) - entropy(mean)
}

/// Returns the mean over rows of the entropy of each row of probabilities, in nats.
fn entropy<B: Backend>(probabilities: Tensor<B, 2>) -> Tensor<B, 1> {
    let surprise = probabilities.clone().clamp_min(1e-5).log().neg();
    (probabilities * surprise).sum_dim(1).mean()
}

/// Returns 1 for numbers above 0 and -1 for all others.
fn signs<B: Backend>(numbers: Tensor<B, 2>) -> Tensor<B, 2> {
    numbers.greater_elem(0.0).float() * 2.0 - 1.0
}
