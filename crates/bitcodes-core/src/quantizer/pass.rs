//! The arithmetic, once for rows of vectors and for channel-first maps: axis 1 holds the features
//! or the bits, in `[vectors, features]` as in `[batch, features, positions]`.

use alloc::vec::Vec;

use burn::tensor::{BasicOps, Bool, FloatDType, Int, Tensor, backend::Backend};

use super::product::{along, product};
use super::unused::unused_loss;
use super::{Bitcodes, Weights, residual};
use crate::Assignment;
use crate::backend::kernels;
use crate::losses::{EntropyLoss, mean_squared_distance, untracked};
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
        product(self.delta.clone(), x, None)
    }

    pub fn decode<const N: usize>(&self, bits: Tensor<B, N>) -> Tensor<B, N> {
        let base = self.base.clone().flatten::<1>(0, 1);
        product(self.delta.clone().transpose(), bits, Some(base))
    }

    /// Half of each pair's difference, `h_p` of [`Assignment::Residual`], `[num_bits, features]`.
    fn half(&self) -> Tensor<B, 2> {
        self.delta.clone() * 0.5
    }

    /// The same values, but that `mid` has no gradient: of normalized vectors the center says where
    /// they lie. With both trained, vectors settled anywhere beside the origin, held to `mid` by the
    /// commitment as it followed them, and some bits were the same for nearly all.
    fn with_mid_held(self) -> Self {
        let sum = self.half().sum_dim(0);
        Self {
            base: untracked(self.base) + (untracked(sum.clone()) - sum),
            ..self
        }
    }

    /// `(x - mid) . h_p` for each bit.
    fn products<const N: usize>(&self, x: Tensor<B, N>) -> Tensor<B, N> {
        let mid = self.base.clone() + self.half().sum_dim(0);
        product(self.half(), x - along(mid.flatten::<1>(0, 1)), None)
    }

    /// The logits by which the bits of `x` are decided, noise included, `[vectors, num_bits]` and
    /// without a gradient.
    fn residual_logits<const N: usize>(
        &self,
        x: Tensor<B, N>,
        noise: Option<Tensor<B, N>>,
        beam: usize,
    ) -> Tensor<B, 2> {
        let products = vectors_first(self.products(untracked(x)));
        let dtype = FloatDType::from(products.dtype());
        let noise = noise.map(|noise| vectors_first(noise).cast(dtype));
        residual::decided(products, noise, self.half(), beam)
    }

    /// The logit of each bit for what the others leave of `x`, with a gradient.
    fn logits_given<const N: usize>(&self, x: Tensor<B, N>, bits: Tensor<B, N>) -> Tensor<B, N> {
        let signs = bits * 2.0 - 1.0;
        let half = self.half();
        let gram = half.clone().matmul(half.clone().transpose());
        let left = self.products(x) - product(gram, signs.clone(), None);
        left / along(residual::squares(half)) + signs
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
        let codebook = self.codebook.val();
        if are_rows::<N>()
            && let Some(decoded) = kernels::decode(&bits, &codebook)
        {
            return decoded;
        }
        let stored = codebook.dtype();
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
        let given_x = fill_padding(x.cast(dtype), &padding);
        let x = match (&choice, &self.normalization) {
            (Choice::Trained(_), Some(normalization)) => {
                normalization.normalized_in_training(given_x.clone(), &valid)
            }
            _ => self.normalized(given_x.clone()),
        };
        let pairs = match self.assignment() {
            Assignment::Residual { .. } if self.normalization.is_some() => {
                self.pairs(dtype).with_mid_held()
            }
            _ => self.pairs(dtype),
        };
        let (quantized, bits) = match (choice, self.assignment()) {
            (Choice::Decided, _) => self.quantized(x.clone(), &pairs),
            (Choice::Trained(noise), Assignment::Independent) => {
                let logits = pairs.logits(x.clone());
                let bits = sample_straight_through(logits, noise, self.temperature());
                let hard = bits.clone().detach().greater_elem(0.5).int();
                (pairs.decode(bits), hard)
            }
            (Choice::Trained(noise), Assignment::Residual { beam }) => {
                let logits = pairs.residual_logits(x.clone(), noise, beam);
                let bits = along_axis_1_again(logits.greater_elem(0.0).int(), x.dims());
                let nearest = pairs.decode(bits.clone().cast(dtype)).detach();
                // What is added is zero, so the value is `nearest` to the last bit.
                (nearest + (x.clone() - x.clone().detach()), bits)
            }
        };
        let quantized = fill_padding(quantized, &padding);
        let loss = self.loss(&pairs, [given_x, x], &bits, valid);
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

    /// `x` as the codebook has it, along axis 1.
    pub(super) fn normalized<const N: usize>(&self, x: Tensor<B, N>) -> Tensor<B, N> {
        match &self.normalization {
            Some(normalization) => normalization.normalized(x),
            None => x,
        }
    }

    /// The bits of normalized vectors, `[vectors, num_bits]`.
    pub(super) fn encoded<const N: usize>(
        &self,
        x: Tensor<B, N>,
        pairs: &Pairs<B>,
    ) -> Tensor<B, 2, Int> {
        if are_rows::<N>()
            && self.assignment() == Assignment::Independent
            && let Some(bits) = kernels::encode(&x, &self.codebook.val())
        {
            return vectors_first(bits);
        }
        self.decided(x, pairs).greater_elem(0.0).int()
    }

    /// Normalized vectors as they are quantized, in the type that is computed in, and their bits.
    fn quantized<const N: usize>(
        &self,
        x: Tensor<B, N>,
        pairs: &Pairs<B>,
    ) -> (Tensor<B, N>, Tensor<B, N, Int>) {
        let (dims, dtype) = (x.dims(), FloatDType::from(x.dtype()));
        if are_rows::<N>()
            && self.assignment() == Assignment::Independent
            && let Some(quantized) = kernels::quantize(&x, &self.codebook.val())
        {
            return quantized;
        }
        let bits = along_axis_1_again(self.encoded(x, pairs), dims);
        (self.decoded(bits.clone()).cast(dtype), bits)
    }

    /// The logits whose signs are the bits of normalized vectors, `[vectors, num_bits]`.
    pub(super) fn decided<const N: usize>(
        &self,
        x: Tensor<B, N>,
        pairs: &Pairs<B>,
    ) -> Tensor<B, 2> {
        match self.assignment() {
            Assignment::Independent => vectors_first(pairs.logits(x)),
            Assignment::Residual { beam } => pairs.residual_logits(x, None, beam),
        }
    }

    /// Whether a pass has a loss.
    pub(super) fn has_loss(&self) -> bool {
        let Weights {
            commitment,
            codebook,
            entropy,
            ..
        } = self.weights;
        self.normalization.is_some() || [commitment, codebook, entropy].iter().any(|&w| w > 0.0)
    }

    /// The sum of the losses that the configuration asks for, `[1]`; of vectors as they were given
    /// and as they were quantized.
    fn loss<const N: usize>(
        &self,
        pairs: &Pairs<B>,
        [given, x]: [Tensor<B, N>; 2],
        bits: &Tensor<B, N, Int>,
        valid: Option<Tensor<B, N, Bool>>,
    ) -> Option<Tensor<B, 1>> {
        if !self.has_loss() {
            return None;
        }
        let weights = self.weights;
        let valid = valid.map(vectors_first);
        let bits: Tensor<B, N> = bits.clone().cast(FloatDType::from(x.dtype()));
        let squared = |x: Tensor<B, N>, fixed: Tensor<B, N>| {
            let [x, fixed] = [x, fixed].map(vectors_first);
            mean_squared_distance(x, fixed, valid.clone())
        };
        let mut losses = Vec::new();
        if weights.commitment > 0.0 || weights.codebook > 0.0 {
            let y = pairs.decode(bits.clone());
            if weights.commitment > 0.0 {
                losses.push(squared(x.clone(), y.clone()) * weights.commitment);
            }
            if weights.codebook > 0.0 {
                let mut loss = squared(y, x.clone());
                if let Assignment::Residual { .. } = self.assignment() {
                    let bits = vectors_first(bits.clone());
                    loss = loss + unused_loss(pairs.delta.clone(), bits, valid.clone());
                }
                losses.push(loss * weights.codebook);
            }
        }
        if weights.entropy > 0.0 {
            let logits = match self.assignment() {
                Assignment::Independent => pairs.logits(x),
                Assignment::Residual { .. } => pairs.logits_given(x, bits),
            };
            let loss = EntropyLoss::new().with_diversity(weights.diversity);
            let loss = loss.of_rows(vectors_first(logits), valid.clone());
            losses.push(loss * weights.entropy);
        }
        if let Some(normalization) = &self.normalization {
            losses.push(normalization.following(given, valid));
        }
        losses.into_iter().reduce(|sum, loss| sum + loss)
    }
}

/// Whether vectors lie along the last axis, as kernels take them; a map would have to be copied.
const fn are_rows<const N: usize>() -> bool {
    N == 2
}

/// The reverse of [`vectors_first`], for vectors of these dimensions.
fn along_axis_1_again<B: Backend, const N: usize>(
    rows: Tensor<B, 2, Int>,
    vectors: [usize; N],
) -> Tensor<B, N, Int> {
    let mut dims = vectors;
    dims[1] = vectors[N - 1];
    dims[N - 1] = rows.dims()[1];
    rows.reshape(dims).swap_dims(1, N - 1)
}

/// `[vectors, n]` as it is, `[batch, n, positions]` as `[batch * positions, n]`.
pub(super) fn vectors_first<B: Backend, const N: usize, K: BasicOps<B>>(
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
