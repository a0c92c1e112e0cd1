//! The quantizers of the comparison. Each follows its paper, with the details of
//! `vector-quantize-pytorch` 1.32.

mod lookup_free;
mod moments;
mod scalar;
mod straight_through;
mod vector;

use bitcodes_core::Bitcodes;
use burn::module::Module;
use burn::tensor::{Int, Tensor, backend::Backend};
use rand::{RngExt, rngs::StdRng};

pub use self::lookup_free::{LookupFree, LookupFreeConfig};
pub use self::moments::Moments;
pub use self::scalar::{FiniteScalar, FiniteScalarConfig};
pub use self::vector::{ResidualVector, ResidualVectorConfig, VectorCodebook};
use crate::seeded::seeded;

/// A quantizer of vectors, which are the rows of a tensor `[rows, features]`.
#[derive(Module, Debug)]
pub enum Quantizer<B: Backend> {
    /// No quantizer.
    Identity(Identity),
    /// Our quantizer.
    Bitcodes(Bitcodes<B>),
    /// Vector quantization, or residual vector quantization with several codebooks.
    Vector(ResidualVector<B>),
    /// Finite scalar quantization.
    Scalar(FiniteScalar<B>),
    /// Lookup-free quantization.
    LookupFree(LookupFree<B>),
}

/// A quantizer that leaves vectors as they are.
#[derive(Module, Clone, Debug, Default)]
pub struct Identity;

/// Output of a quantizer.
#[derive(Debug, Clone)]
pub struct Quantized<B: Backend> {
    /// The quantized vectors, `[rows, features]`.
    pub vectors: Tensor<B, 2>,
    /// The codes, `[rows, n]`; `None` if vectors are not quantized.
    pub codes: Option<Tensor<B, 2, Int>>,
    /// The loss to add to the model's loss in training.
    pub loss: Option<Tensor<B, 1>>,
}

impl<B: Backend> Quantizer<B> {
    /// Quantizes as in training: gradients pass straight through, and codebooks with moving
    /// averages are updated.
    pub fn forward(&mut self, rows: Tensor<B, 2>, random: &mut StdRng) -> Quantized<B> {
        match self {
            Self::Identity(_) => unquantized(rows),
            Self::Bitcodes(bitcodes) => {
                let (seed, device) = (random.random(), rows.device());
                let output = seeded::<B, _>(seed, &device, || bitcodes.forward(rows));
                bitcodes.advance();
                Quantized {
                    vectors: output.quantized,
                    codes: Some(output.bits),
                    loss: output.loss,
                }
            }
            Self::Vector(vector) => vector.forward(rows, random),
            Self::Scalar(scalar) => scalar.forward(rows),
            Self::LookupFree(lookup_free) => lookup_free.forward(rows),
        }
    }

    /// Quantizes as after training.
    pub fn quantize(&self, rows: Tensor<B, 2>) -> Quantized<B> {
        match self {
            Self::Identity(_) => unquantized(rows),
            Self::Bitcodes(bitcodes) => {
                let bits = bitcodes.encode(rows);
                Quantized {
                    vectors: bitcodes.decode(bits.clone()),
                    codes: Some(bits),
                    loss: None,
                }
            }
            Self::Vector(vector) => vector.quantize(rows),
            Self::Scalar(scalar) => scalar.forward(rows),
            Self::LookupFree(lookup_free) => lookup_free.quantize(rows),
        }
    }
}

fn unquantized<B: Backend>(rows: Tensor<B, 2>) -> Quantized<B> {
    Quantized {
        vectors: rows,
        codes: None,
        loss: None,
    }
}

/// Returns the mean of the squared differences `[1]`.
fn mean_squared<B: Backend>(a: Tensor<B, 2>, b: Tensor<B, 2>) -> Tensor<B, 1> {
    (a - b).powi_scalar(2).mean()
}
