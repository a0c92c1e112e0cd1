//! The training pass in the host's memory.
//!
//! A kernel computes bits, output, losses and the sums over vectors of which the losses' gradients are
//! made. The graph gets an operation for the output, and one for each parameter of the losses.

use alloc::vec;
use alloc::vec::Vec;

use bitcodes_kernels::gradients::{commitment_gradient, normalization_gradient, sum_of_vectors};
use bitcodes_kernels::joint::Normalization as OfKernels;
use bitcodes_kernels::{
    Balance, Codebook as Slice, Decoder, JointEncoder, JointPass, JointSums, leave_unquantized,
};
use burn::tensor::{Bool, DType, FloatDType, Tensor, TensorData, backend::Backend};

use super::balance::excess;
use super::constant_bits::add_constant_bits_gradient;
use super::host::{of_kernels, with_vectors};
use super::{Joint, unquantized};
use crate::BitcodesOutput;
use crate::backend::autodiff::{Derivative, with_derivative};
use crate::backend::kernels;
use crate::backend::known::Known;
use crate::backend::lend::with_rows;
use crate::codebook::Codebook;
use crate::graph::untracked;
use crate::losses::Weights;
use crate::noise::Noise;
use crate::normalization::{Inputs, MEAN_VECTORS, Normalization};
use crate::vectors::{along_axis_1, floats_first, vectors_first};

/// Computes the output along axis 1, its bits and the loss, if there is one. Returns `None` unless
/// the backend is `Autodiff` around one in host memory, the vectors are of f32, and the entropy loss
/// has no weight.
pub(super) fn train<B: Backend, const N: usize>(
    inputs: &Inputs<'_, B, N>,
    noise: &Noise<B, N>,
    valid: &Option<Tensor<B, N, Bool>>,
    codebook: &Codebook<B>,
    weights: Weights,
    settings: &Joint,
) -> Option<BitcodesOutput<B, N>> {
    let is_known = Known::inside_autodiff::<B>().is_some_and(Known::is_in_host_memory);
    if !is_known || inputs.x.dtype() != DType::F32 || weights.entropy > 0.0 {
        return None;
    }
    let (shape, device) = (inputs.x.dims(), inputs.x.device());
    let x = floats_first(inputs.x.clone());
    let dims = x.dims();
    let valid: Option<Vec<bool>> = valid
        .as_ref()
        .map(|valid| vectors_first(valid.clone()).into_data().iter().collect());
    let normalization = inputs.normalization.map(|of| of.values());
    let of_inputs = normalization.as_ref().map(of_kernels);
    let (encoder, decoder) = codebook.lend(|codebook| {
        (
            JointEncoder::new(codebook, of_inputs, settings.beam),
            Decoder::new(codebook),
        )
    });
    let pass = with_vectors(&untracked(x.clone()), noise, |x, noise| {
        let pass = JointPass {
            encoder: &encoder,
            decoder: &decoder,
            normalization: of_inputs,
            x,
            noise,
            valid: valid.as_deref(),
        };
        pass.run()
    });
    let bits = kernels::bits(&pass.packed, [dims[0], encoder.num_bits()], &device);
    let (mut decoded, mut of_unquantized) = (pass.quantized, 0.0);
    let rows = untracked(x.clone());
    let excess = match settings.balance_weight > 0.0 {
        true => excess(&pass.sums.bits, pass.sums.vectors),
        false => None,
    };
    let elements = elements(&pass.sums);
    let balance = excess.map(|excess| {
        with_rows(&rows, |x| {
            codebook.lend(|codebook| {
                let balance = Balance {
                    x,
                    normalization: of_inputs,
                    codebook,
                    packed: &pass.packed,
                    quantized: &decoded,
                    valid: valid.as_deref(),
                    excess: &excess,
                    weight: (settings.balance_weight / elements) as f32,
                };
                balance.loss_and_gradient()
            })
        })
    });
    let share = unquantized_share(&pass.sums, settings);
    let mut each = shape;
    each[1] = 1;
    if share > 0.0
        && let Some(draws) = noise.draws(each, &device)
    {
        let draws: Vec<f32> = floats_first(untracked(draws)).into_data().iter().collect();
        of_unquantized = with_rows(&rows, |x| {
            let (valid, share) = (valid.as_deref(), share as f32);
            leave_unquantized(x, of_inputs, valid, share, &draws, &mut decoded)
        });
    }
    let quantized = TensorData::new(decoded, dims);
    let quantized = Tensor::<B, 2>::from_data(quantized, (&device, DType::F32));
    let sums = &pass.sums;
    let mut values = quantized.clone();
    if !sums.squared_residuals.is_finite() {
        // NaN where a vector is not finite, so that a diverged training shows, and 0 elsewhere.
        let inputs = Inputs {
            x: untracked(inputs.x.clone()),
            ..*inputs
        };
        let z = floats_first(inputs.normalized());
        values = values + (z.clone() - z);
    }

    // This node stands for the normalized vectors in the graph, but holds the values of `x`: only the
    // derivatives below read them, and those normalize again.
    let normalized = match &normalization {
        Some((factor, _)) => {
            let values = untracked(x.clone());
            with_derivative(x, values, Vec::new(), Normalized::new(*factor, sums))?
        }
        None => x,
    };
    let output = with_derivative(normalized.clone(), values, Vec::new(), StraightThrough)?;
    let has_loss =
        inputs.normalization.is_some() || weights.are_any() || settings.balance_weight > 0.0;
    let loss = match has_loss {
        true => {
            let losses = Losses {
                sums,
                of_unquantized,
                balance,
                is_balanced: settings.balance_weight > 0.0,
                weights,
                codebook,
                normalization: inputs.normalization,
            };
            let commitment = Commitment {
                normalization: normalization.clone(),
                valid,
                weight: (2.0 * weights.commitment / elements) as f32,
            };
            Some(losses.sum(normalized, quantized, commitment)?)
        }
        false => None,
    };
    Some(BitcodesOutput {
        quantized: along_axis_1(output, shape),
        bits: along_axis_1(bits, shape),
        loss,
    })
}

/// The losses of an output, and all that their gradients are made of.
struct Losses<'a, B: Backend> {
    sums: &'a JointSums,
    /// Sum of the squared residuals of the vectors that were left unquantized.
    of_unquantized: f64,
    /// The weighted balance loss and its gradient by normalized vectors, if a bit is unbalanced.
    balance: Option<(f64, Vec<f32>)>,
    /// Whether the balance loss has a weight.
    is_balanced: bool,
    weights: Weights,
    codebook: &'a Codebook<B>,
    normalization: Option<&'a Normalization<B>>,
}

impl<B: Backend> Losses<'_, B> {
    /// Computes the sum of the losses `[1]`, a function of the normalized vectors by the commitment loss
    /// and of each parameter.
    fn sum(
        mut self,
        normalized: Tensor<B, 2>,
        quantized: Tensor<B, 2>,
        commitment: Commitment,
    ) -> Option<Tensor<B, 1>> {
        let (sums, weights, device) = (self.sums, self.weights, normalized.device());
        let holds_mid = self.normalization.is_some();
        let (constant, of_codebook) = self
            .codebook
            .lend(|codebook| codebook_gradient(codebook, sums, weights.codebook, holds_mid));
        let mut value = constant;
        for (weight, without) in [
            (weights.commitment, self.of_unquantized),
            (weights.codebook, 0.0),
        ] {
            // Without a weight, a NaN in the vectors does not matter.
            if weight > 0.0 {
                value += weight * (sums.squared_residuals - without) / elements(sums);
            }
        }
        // So that the loss is in the graph at every step, its gradient may be zeros.
        let zeros = self.is_balanced && weights.commitment == 0.0;
        let zeros = || zeros.then(|| (0.0, vec![0.0; normalized.shape().num_elements()]));
        let balance = self.balance.take().or_else(zeros).map(|(loss, gradient)| {
            value += loss;
            let gradient = TensorData::new(gradient, normalized.dims());
            Tensor::<B, 2>::from_data(gradient, (&device, DType::F32))
        });
        let mut loss = Tensor::<B, 1>::from_data([value as f32], (&device, DType::F32));
        if weights.commitment > 0.0 {
            loss = with_derivative(normalized.clone(), loss, vec![quantized], commitment)?;
        }
        if let Some(gradient) = balance {
            let zero = loss.zeros_like();
            loss = loss + with_derivative(normalized, zero, vec![gradient], Constant)?;
        }
        let mut parameters = Vec::new();
        if weights.codebook > 0.0 {
            parameters.push((self.codebook.rows.clone(), of_codebook));
        }
        if let Some(normalization) = self.normalization {
            let (of_center, of_log_scale) = normalization.following_gradients(
                sums.vectors,
                &sums.normalized,
                sums.squared_normalized,
            );
            parameters.push((normalization.center.val().unsqueeze(), of_center));
            parameters.push((
                normalization.log_scale.val().unsqueeze(),
                vec![of_log_scale],
            ));
        }
        for (parameter, gradient) in parameters {
            let gradient = TensorData::new(gradient, parameter.dims());
            let gradient = Tensor::from_data(gradient, (&device, DType::F32));
            let (parameter, zero) = (parameter.cast(FloatDType::F32), loss.zeros_like());
            loss = loss + with_derivative(parameter, zero, vec![gradient], Constant)?;
        }
        Some(loss)
    }
}

/// Returns the number of elements of the vectors that count.
fn elements(sums: &JointSums) -> f64 {
    (sums.vectors.max(1) * sums.residuals.len()) as f64
}

/// Least sum of squared distances from the mean that is told from rounding errors, as a part of the sum of
/// squares.
const LEAST_DISTANCES: f64 = 1e-4;

/// Returns the share of vectors to leave unquantized.
fn unquantized_share(sums: &JointSums, settings: &Joint) -> f64 {
    let of_mean: f64 = sums
        .normalized
        .iter()
        .map(|&sum| f64::from(sum) * f64::from(sum))
        .sum();
    let squared_distances = sums.squared_normalized - of_mean / sums.vectors.max(1) as f64;
    // If vectors that are not normalized lie far from the origin, rounding decides the difference.
    if squared_distances < LEAST_DISTANCES * sums.squared_normalized {
        return 0.0;
    }
    let below = settings.unquantized_below;
    unquantized::share(sums.squared_residuals, squared_distances, below)
}

/// Computes the weighted loss of constant bits, and the gradient of the codebook's losses, `[2 *
/// num_bits, features]`, which holds `mid` if the vectors are normalized.
fn codebook_gradient(
    codebook: Slice<'_>,
    sums: &JointSums,
    weight: f64,
    holds_mid: bool,
) -> (f64, Vec<f32>) {
    let features = codebook.features();
    let elements = (sums.vectors.max(1) * features) as f64;
    let by = (-2.0 * weight / elements) as f32;
    let mut gradient = Vec::with_capacity(2 * sums.residuals_of_bits.len());
    for of_bit in sums.residuals_of_bits.chunks_exact(features) {
        // Each row of a pair is the output's term for the vectors that choose it. What all vectors have
        // in common would move `mid`.
        let each = || of_bit.iter().zip(&sums.residuals);
        match holds_mid {
            true => {
                gradient.extend(each().map(|(one, all)| by * (0.5 * all - one)));
                gradient.extend(each().map(|(one, all)| by * (one - 0.5 * all)));
            }
            false => {
                gradient.extend(each().map(|(one, all)| by * (all - one)));
                gradient.extend(each().map(|(one, _)| by * one));
            }
        }
    }
    let constant =
        add_constant_bits_gradient(codebook, &sums.bits, sums.vectors, weight, &mut gradient);
    (weight * constant, gradient)
}

/// The derivative of the output by normalized vectors: the identity.
#[derive(Debug, Clone)]
struct StraightThrough;

impl Derivative<2> for StraightThrough {
    fn derivative<B: Backend>(
        &self,
        _: Tensor<B, 2>,
        _: Vec<Tensor<B, 2>>,
        upstream: Tensor<B, 2>,
    ) -> Tensor<B, 2> {
        upstream
    }
}

/// The derivative of normalized vectors by the vectors, of whose mean a part is left out.
#[derive(Debug, Clone)]
struct Normalized {
    factor: f32,
    /// What the sum of the gradients is multiplied by, `[features]`.
    left_out: Vec<f32>,
}

impl Normalized {
    fn new(factor: f64, sums: &JointSums) -> Self {
        let part = 1.0 / (sums.vectors as f64 + MEAN_VECTORS);
        // A NaN in one vector does not affect the others.
        let part = |sum: &f32| if sum.is_finite() { part as f32 } else { 0.0 };
        Self {
            factor: factor as f32,
            left_out: sums.normalized.iter().map(part).collect(),
        }
    }
}

impl Derivative<2> for Normalized {
    fn derivative<B: Backend>(
        &self,
        x: Tensor<B, 2>,
        _: Vec<Tensor<B, 2>>,
        upstream: Tensor<B, 2>,
    ) -> Tensor<B, 2> {
        let gradient = with_rows(&upstream, |upstream| {
            let sums = sum_of_vectors(upstream).into_iter().zip(&self.left_out);
            let means = sums.map(|(sum, part)| if *part > 0.0 { sum * part } else { 0.0 });
            normalization_gradient(upstream, &means.collect::<Vec<f32>>(), self.factor)
        });
        let gradient = TensorData::new(gradient, x.dims());
        Tensor::from_data(gradient, (&x.device(), DType::F32))
    }
}

/// The derivative of the commitment loss by normalized vectors. It takes the vectors as they were given,
/// and the quantized vectors.
#[derive(Debug, Clone)]
struct Commitment {
    normalization: Option<(f64, Vec<f32>)>,
    valid: Option<Vec<bool>>,
    weight: f32,
}

impl Derivative<1> for Commitment {
    fn derivative<B: Backend>(
        &self,
        x: Tensor<B, 2>,
        others: Vec<Tensor<B, 2>>,
        upstream: Tensor<B, 1>,
    ) -> Tensor<B, 2> {
        let normalization: Option<OfKernels<'_>> = self.normalization.as_ref().map(of_kernels);
        let weight = self.weight * upstream.into_data().iter::<f32>().sum::<f32>();
        let gradient = with_rows(&x, |x| {
            with_rows(&others[0], |quantized| {
                commitment_gradient(x, quantized, normalization, self.valid.as_deref(), weight)
            })
        });
        let gradient = TensorData::new(gradient, x.dims());
        Tensor::from_data(gradient, (&x.device(), DType::F32))
    }
}

/// A derivative that was computed together with the value.
#[derive(Debug, Clone)]
struct Constant;

impl Derivative<1> for Constant {
    fn derivative<B: Backend>(
        &self,
        _: Tensor<B, 2>,
        others: Vec<Tensor<B, 2>>,
        upstream: Tensor<B, 1>,
    ) -> Tensor<B, 2> {
        let [derivative] = others.try_into().expect("one derivative is given");
        derivative * upstream.unsqueeze()
    }
}
