//! The arithmetic, once for rows of vectors and for channel-first maps: axis 1 holds the features
//! or the bits, in `[vectors, features]` as in `[batch, features, positions]`.

use burn::tensor::{BasicOps, Bool, FloatDType, Int, Tensor, backend::Backend};

use super::Bitcodes;
use crate::losses::{CommitmentLoss, EntropyLoss};
use crate::precision::working;
use crate::sampling::sample_straight_through;

/// How the bits are chosen.
pub(super) enum Choice<B: Backend, const N: usize> {
    /// By the sign of their logits.
    Decided,
    /// By the sign of logit and noise, with gradients straight through.
    Trained(Option<Tensor<B, N>>),
}

/// What a pass gives; axis 1 of `bits` has `num_bits` elements.
pub(super) struct Pass<B: Backend, const N: usize> {
    pub quantized: Tensor<B, N>,
    pub bits: Tensor<B, N, Int>,
    pub loss: Option<Tensor<B, 1>>,
}

/// The codebook as the formulas have it, in the type that is computed in.
pub(super) struct Pairs<B: Backend> {
    /// `[num_bits, features]`
    delta: Tensor<B, 2>,
    /// `[1, features]`
    base: Tensor<B, 2>,
}

impl<B: Backend> Pairs<B> {
    pub fn logits<const N: usize>(&self, x: Tensor<B, N>) -> Tensor<B, N> {
        along_axis_1(self.delta.clone(), x)
    }

    pub fn decode<const N: usize>(&self, bits: Tensor<B, N>) -> Tensor<B, N> {
        let features = self.base.dims()[1];
        let mut shape = [1; N];
        shape[1] = features;
        along_axis_1(self.delta.clone().transpose(), bits) + self.base.clone().reshape(shape)
    }
}

/// Multiplies `matrix [out, in]` with each vector along axis 1, `in` elements to `out`, without a
/// copy of `x`.
fn along_axis_1<B: Backend, const N: usize>(matrix: Tensor<B, 2>, x: Tensor<B, N>) -> Tensor<B, N> {
    match N {
        2 => x.matmul(matrix.transpose().unsqueeze()),
        _ => matrix.unsqueeze().matmul(x),
    }
}

impl<B: Backend> Bitcodes<B> {
    /// The codebook in `dtype`.
    pub(super) fn pairs(&self, dtype: FloatDType) -> Pairs<B> {
        let (num_bits, features) = (self.num_bits(), self.features());
        let pairs = self.codebook.val().cast(dtype);
        let pairs = pairs.reshape([num_bits, 2 * features]);
        let [zeros, ones] = [0, 1].map(|bit| pairs.clone().narrow(1, bit * features, features));
        Pairs {
            delta: ones - zeros.clone(),
            base: zeros.sum_dim(0),
        }
    }

    /// What bits stand for, in the type of the codebook.
    pub(super) fn decoded<const N: usize>(&self, bits: Tensor<B, N, Int>) -> Tensor<B, N> {
        let stored = self.codebook.val().dtype();
        let dtype = working([stored]);
        let decoded = self.pairs(dtype).decode(bits.cast(dtype));
        decoded.cast(FloatDType::from(stored))
    }

    /// Quantizes `x`; `valid` has one element along axis 1, true where a vector counts.
    pub(super) fn pass<const N: usize>(
        &self,
        x: Tensor<B, N>,
        choice: Choice<B, N>,
        valid: Option<Tensor<B, N, Bool>>,
    ) -> Pass<B, N> {
        let given = FloatDType::from(x.dtype());
        let dtype = working([x.dtype(), self.codebook.val().dtype()]);
        let padding = valid.as_ref().map(|valid| valid.clone().bool_not());
        // Before all else: NaN times 0 would leak.
        let x = fill_padding(x.cast(dtype), &padding);

        let pairs = self.pairs(dtype);
        let logits = pairs.logits(x.clone());
        let (quantized, bits) = match choice {
            Choice::Decided => {
                let bits = logits.clone().greater_elem(0.0).int();
                (self.decoded(bits.clone()).cast(dtype), bits)
            }
            Choice::Trained(noise) => {
                let temperature = self.temperature();
                let bits = sample_straight_through(logits.clone(), noise, temperature);
                let hard = bits.clone().detach().greater_elem(0.5).int();
                (pairs.decode(bits), hard)
            }
        };
        let quantized = fill_padding(quantized, &padding);
        let loss = self.loss(x, &quantized, logits, valid);
        let bits = match padding {
            Some(padding) => {
                let padding = padding.expand(bits.dims());
                bits.mask_fill(padding, 0)
            }
            None => bits,
        };
        Pass {
            quantized: quantized.cast(given),
            bits,
            loss,
        }
    }

    /// The losses that the configuration gives a weight, `[1]`.
    fn loss<const N: usize>(
        &self,
        x: Tensor<B, N>,
        quantized: &Tensor<B, N>,
        logits: Tensor<B, N>,
        valid: Option<Tensor<B, N, Bool>>,
    ) -> Option<Tensor<B, 1>> {
        let Self {
            commitment_weight,
            entropy_weight,
            diversity,
            ..
        } = *self;
        let valid = valid.map(vectors_first);
        let commitment = (commitment_weight > 0.0).then(|| {
            let loss = CommitmentLoss::new();
            let (x, quantized) = (vectors_first(x), vectors_first(quantized.clone()));
            loss.of_rows(x, quantized, valid.clone()) * commitment_weight
        });
        let entropy = (entropy_weight > 0.0).then(|| {
            let loss = EntropyLoss::new().with_diversity(diversity);
            loss.of_rows(vectors_first(logits), valid) * entropy_weight
        });
        match (commitment, entropy) {
            (Some(commitment), Some(entropy)) => Some(commitment + entropy),
            (commitment, entropy) => commitment.or(entropy),
        }
    }
}

/// `[vectors, n]` as it is, `[batch, n, positions]` as `[batch * positions, n]`.
fn vectors_first<B: Backend, const N: usize, K: BasicOps<B>>(
    tensor: Tensor<B, N, K>,
) -> Tensor<B, 2, K> {
    let dims = tensor.dims();
    let vectors = dims.iter().product::<usize>() / dims[1];
    tensor.swap_dims(1, N - 1).reshape([vectors, dims[1]])
}

fn fill_padding<B: Backend, const N: usize>(
    tensor: Tensor<B, N>,
    padding: &Option<Tensor<B, N, Bool>>,
) -> Tensor<B, N> {
    match padding {
        Some(padding) => {
            let padding = padding.clone().expand(tensor.dims());
            tensor.mask_fill(padding, 0.0)
        }
        None => tensor,
    }
}
