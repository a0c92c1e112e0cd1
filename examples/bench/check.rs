//! Checks of the quantizer's answers against plain loops over f64.

use bitcodes_core::{Bitcodes, Independent, Normalization};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};

use super::Config;

/// Number of vectors that are checked. It is so small that the loops take hardly any time.
const CHECKED: usize = 512;

/// A sum, and the sum of the magnitudes of its terms.
#[derive(Clone, Copy, Default)]
struct Sum {
    value: f64,
    size: f64,
}

impl Sum {
    fn of(terms: impl Iterator<Item = f64>) -> Self {
        terms.fold(Self::default(), |sum, term| Self {
            value: sum.value + term,
            size: sum.size + term.abs(),
        })
    }

    fn with(self, other: Self) -> Self {
        Self {
            value: self.value + other.value,
            size: self.size + other.size,
        }
    }

    fn plus(self, term: f64) -> Self {
        self.with(Self::of([term].into_iter()))
    }

    fn times(self, factor: f64) -> Self {
        Self {
            value: self.value * factor,
            size: self.size * factor.abs(),
        }
    }

    /// Checks that `found` differs from the value by at most `tolerance` times the size.
    ///
    /// # Errors
    ///
    /// A message with `what`, the value found and the value expected.
    fn check(
        self,
        found: f64,
        tolerance: f64,
        what: impl FnOnce() -> String,
    ) -> Result<(), String> {
        // A comparison with NaN is false, so NaN is an error.
        match (found - self.value).abs() <= tolerance * self.size {
            true => Ok(()),
            false => Err(format!("{} is {found}, expected {}", what(), self.value)),
        }
    }
}

/// A codebook as two lists: the vector of each pair for a 0, and the pair's difference.
struct Pairs {
    zeros: Vec<Vec<f64>>,
    deltas: Vec<Vec<f64>>,
}

impl Pairs {
    fn of<B: Backend>(bitcodes: &Bitcodes<B>) -> Self {
        let codebook = values(bitcodes.codebook.val());
        let pairs = codebook.chunks(2 * bitcodes.features());
        let (zeros, ones): (Vec<_>, Vec<_>) =
            pairs.map(|pair| pair.split_at(bitcodes.features())).unzip();
        let minus = |(one, zero): (&[f64], &[f64])| {
            let both = one.iter().zip(zero);
            both.map(|(one, zero)| one - zero).collect()
        };
        Self {
            deltas: ones
                .into_iter()
                .zip(zeros.iter().copied())
                .map(minus)
                .collect(),
            zeros: zeros.into_iter().map(<[f64]>::to_vec).collect(),
        }
    }

    fn logits(&self, x: &[f64]) -> Vec<Sum> {
        let logit = |delta: &Vec<f64>| Sum::of(x.iter().zip(delta).map(|(x, delta)| x * delta));
        self.deltas.iter().map(logit).collect()
    }

    fn decode(&self, bits: &[f64], feature: usize) -> Sum {
        let zeros = self.zeros.iter().map(|zero| zero[feature]);
        let deltas = self.deltas.iter().zip(bits);
        Sum::of(zeros.chain(deltas.map(|(delta, bit)| bit * delta[feature])))
    }
}

/// Checks the bits and the vectors that `forward` and `decode` give for `x [1, vectors, features]`.
/// The quantizer must not have been trained.
///
/// Independent bits have to be the signs of their logits, except for logits too near zero to tell.
/// Joint bits have to leave a smaller residual, over all vectors, than with any one of them
/// flipped.
///
/// # Errors
///
/// A message with the first value that is wrong and the value expected.
pub fn forward<B: Backend>(
    bitcodes: &Bitcodes<B>,
    config: Config,
    x: Tensor<B, 3>,
    tolerance: f64,
) -> Result<(), String> {
    let [_, vectors, features] = x.dims();
    let num_bits = bitcodes.num_bits();
    let out = bitcodes.forward(x.clone());
    let decoded = bitcodes.decode(out.bits.clone());
    // Take vectors from both ends of the batch.
    let half = CHECKED / 2;
    let ends = |all: Tensor<B, 3>| {
        let end = all.clone().slice([0..1, vectors - half..vectors]);
        values(Tensor::cat(vec![all.slice([0..1, 0..half]), end], 1))
    };
    let x = ends(match bitcodes.normalization {
        // An untrained normalization has a center of 0 and a scale of 1.
        Some(_) => x * Normalization::<B>::DEVIATION,
        None => x,
    });
    let [quantized, decoded, bits] = [out.quantized, decoded, out.bits.float()].map(ends);

    let pairs = Pairs::of(bitcodes);
    // Growth of the squared residual, over all vectors, if a bit is flipped.
    let mut more = vec![0.0; num_bits];
    for vector in 0..CHECKED {
        let of_vector = vector * features..(vector + 1) * features;
        let (x, bits) = (
            &x[of_vector.clone()],
            &bits[vector * num_bits..][..num_bits],
        );
        for (p, (logit, &bit)) in pairs.logits(x).iter().zip(bits).enumerate() {
            let at = || format!("bit {p} of vector {vector} is {bit}");
            if bit != 0.0 && bit != 1.0 {
                return Err(format!("{}, expected 0 or 1", at()));
            }
            let told = logit.value.abs() > tolerance * logit.size;
            if config == Config::Reference && told && (bit == 1.0) != (logit.value > 0.0) {
                return Err(format!("{}, its logit {}", at(), logit.value));
            }
        }
        let mut left = Vec::new();
        for (feature, index) in of_vector.enumerate() {
            let wanted = pairs.decode(bits, feature);
            let what = |what| move || format!("{what} element {feature} of vector {vector}");
            wanted.check(quantized[index], tolerance, what("quantized"))?;
            wanted.check(decoded[index], tolerance, what("decoded"))?;
            left.push(x[feature] - wanted.value);
        }
        for ((more, delta), bit) in more.iter_mut().zip(&pairs.deltas).zip(bits) {
            // The flip adds c to the output, so the squared residual grows by |left - c|^2 -
            // |left|^2.
            let change = 1.0 - 2.0 * bit;
            let both = left.iter().zip(delta);
            *more += both
                .map(|(left, delta)| delta * delta - 2.0 * left * change * delta)
                .sum::<f64>();
        }
    }
    let nearer = more.iter().position(|&more| more.is_nan() || more <= 0.0);
    match (config, nearer) {
        (Config::New, Some(p)) => Err(format!(
            "flipping bit {p} reduces the residual of the vectors"
        )),
        _ => Ok(()),
    }
}

/// Checks the gradients of `mean((y - x)^2)` for an even and an odd number of vectors, with
/// independent bits and without noise.
///
/// # Errors
///
/// A message with the first value that is wrong and the value expected.
pub fn gradients<B: AutodiffBackend>(
    bitcodes: &Bitcodes<B>,
    x: Tensor<B::InnerBackend, 3>,
    tolerance: f64,
) -> Result<(), String> {
    for vectors in [CHECKED, CHECKED - 1] {
        let x = Tensor::<B, 3>::from_inner(x.clone().slice([0..1, 0..vectors]));
        gradients_of(bitcodes, x, tolerance)?;
    }
    Ok(())
}

fn gradients_of<B: AutodiffBackend>(
    bitcodes: &Bitcodes<B>,
    x: Tensor<B, 3>,
    tolerance: f64,
) -> Result<(), String> {
    let ([_, vectors, features], num_bits) = (x.dims(), bitcodes.num_bits());
    let x = x.require_grad();
    let out = bitcodes.forward_with_noise(
        x.clone(),
        Tensor::zeros([1, vectors, num_bits], &x.device()),
    );
    let bits = values(out.bits.float());
    let gradients = (out.quantized - x.clone()).square().mean().backward();
    let of_x = values(x.grad(&gradients).ok_or("x has no gradient")?);
    let of_codebook = bitcodes.codebook.val().grad(&gradients);
    let of_codebook = values(of_codebook.ok_or("the codebook has no gradient")?);
    let x = values(x);

    let pairs = Pairs::of(bitcodes);
    let temperature = Independent::new().temperature.value(0);
    let mut codebook = vec![Sum::default(); of_codebook.len()];
    for vector in 0..vectors {
        let bits = &bits[vector * num_bits..][..num_bits];
        let x = &x[vector * features..][..features];
        let scale = 2.0 / (vectors * features) as f64;
        let upstream: Vec<Sum> = (0..features)
            .map(|f| pairs.decode(bits, f).plus(-x[f]).times(scale))
            .collect();
        let of_logits: Vec<Sum> = pairs
            .logits(x)
            .iter()
            .zip(&pairs.deltas)
            .map(|(logit, delta)| {
                let soft = 1.0 / (1.0 + (-logit.value / temperature).exp());
                let slope = soft * (1.0 - soft) / temperature;
                let bit = upstream.iter().zip(delta);
                let bit = bit.fold(Sum::default(), |sum, (up, &d)| sum.with(up.times(d)));
                // The relative error of the slope is the error of the logit divided by the
                // temperature.
                let rounded = 1.0 + logit.size / temperature;
                Sum {
                    size: bit.size * rounded,
                    ..bit
                }
                .times(slope)
            })
            .collect();
        for (f, &up) in upstream.iter().enumerate() {
            let terms = of_logits.iter().zip(&pairs.deltas);
            let terms = terms.map(|(logit, delta)| logit.times(delta[f]));
            let wanted = terms.fold(up.times(-1.0), Sum::with);
            let what = || format!("gradient of element {f} of vector {vector}");
            wanted.check(of_x[vector * features + f], tolerance, what)?;
            for (p, (logit, &bit)) in of_logits.iter().zip(bits).enumerate() {
                let through = logit.times(x[f]);
                let [zero, one] = [[1.0 - bit, -1.0], [bit, 1.0]]
                    .map(|[chosen, sign]| up.times(chosen).with(through.times(sign)));
                let [at_zero, at_one] = [2 * p, 2 * p + 1].map(|row| row * features + f);
                codebook[at_zero] = codebook[at_zero].with(zero);
                codebook[at_one] = codebook[at_one].with(one);
            }
        }
    }
    for (index, (wanted, &found)) in codebook.iter().zip(&of_codebook).enumerate() {
        let what = || format!("gradient of element {index} of the codebook");
        wanted.check(found, tolerance, what)?;
    }
    Ok(())
}

fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f64> {
    let data: TensorData = tensor.into_data();
    data.iter::<f64>().collect()
}
