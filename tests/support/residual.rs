//! Bits that are decided on what the others leave, in plain loops over f64 vectors.

/// A quantizer by its formulas.
pub struct PlainResidual {
    /// Half of each pair's difference, `[num_bits][features]`.
    halves: Vec<Vec<f64>>,
    /// The sum of the pairs' means.
    mid: Vec<f64>,
    sweeps: usize,
}

/// How one vector is quantized.
pub struct Decided {
    /// The last logit of each bit, noise included.
    pub logits: Vec<f64>,
    /// The least magnitude of all logits that decided a bit, the earlier ones too.
    pub narrowest: f64,
    /// What the bits decode to.
    pub quantized: Vec<f64>,
}

impl PlainResidual {
    /// With a codebook `[2 * num_bits * features]`.
    pub fn new(codebook: &[f32], features: usize, sweeps: usize) -> Self {
        let wide: Vec<f64> = codebook.iter().map(|&c| f64::from(c)).collect();
        let pairs = wide.chunks(2 * features);
        let mut mid = vec![0.0; features];
        let mut halves = Vec::new();
        for pair in pairs {
            let (zero, one) = pair.split_at(features);
            halves.push(zero.iter().zip(one).map(|(z, o)| (o - z) / 2.0).collect());
            for (mid, (z, o)) in mid.iter_mut().zip(zero.iter().zip(one)) {
                *mid += (z + o) / 2.0;
            }
        }
        Self {
            halves,
            mid,
            sweeps,
        }
    }

    /// Of a vector as the codebook has it, with noise for each bit.
    pub fn decide(&self, x: &[f64], noise: &[f64]) -> Decided {
        let minus = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
        let mut left: Vec<f64> = minus(x, &self.mid);
        let mut logits = vec![0.0; self.halves.len()];
        let mut narrowest = f64::INFINITY;
        let add = |left: &mut Vec<f64>, half: &[f64], times: f64| {
            left.iter_mut().zip(half).for_each(|(l, h)| *l += times * h);
        };
        for sweep in 0..=self.sweeps {
            for (p, half) in self.halves.iter().enumerate() {
                if sweep > 0 {
                    add(&mut left, half, sign(logits[p]));
                }
                let square: f64 = half.iter().map(|h| h * h).sum();
                let product: f64 = left.iter().zip(half).map(|(l, h)| l * h).sum();
                logits[p] = product / square + noise[p];
                narrowest = narrowest.min(logits[p].abs());
                add(&mut left, half, -sign(logits[p]));
            }
        }
        Decided {
            logits,
            narrowest,
            quantized: minus(x, &left),
        }
    }
}

fn sign(logit: f64) -> f64 {
    if logit > 0.0 { 1.0 } else { -1.0 }
}
