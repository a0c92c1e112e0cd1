//! The specification of joint bits in plain loops over f64.

/// A quantizer with joint bits, computed by its formulas.
pub struct PlainJoint {
    /// Half of each pair's difference, `[num_bits][features]`.
    halves: Vec<Vec<f64>>,
    /// The sum of the pairs' means.
    mid: Vec<f64>,
    beam: usize,
}

/// The result of quantizing one vector.
pub struct Decided {
    /// The last logit of each bit, with its noise.
    pub logits: Vec<f64>,
    /// The least magnitude of these logits.
    pub narrowest: f64,
    /// The least difference of costs on which a choice depends: between the last candidate that was
    /// kept and the first that was dropped, and between the two best candidates at the end.
    pub closest: f64,
    /// The vector that the bits decode to.
    pub quantized: Vec<f64>,
}

impl PlainJoint {
    /// Makes the quantizer with the codebook `[2 * num_bits * features]`.
    pub fn new(codebook: &[f32], features: usize, beam: usize) -> Self {
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
        Self { halves, mid, beam }
    }

    /// Quantizes a vector, which has to be normalized already, with the noise of each bit.
    pub fn decide(&self, x: &[f64], noise: &[f64]) -> Decided {
        let x: Vec<f64> = x.iter().zip(&self.mid).map(|(x, mid)| x - mid).collect();
        let mut closest = f64::INFINITY;
        let mut candidates: Vec<Vec<f64>> = vec![Vec::new()];
        for _ in &self.halves {
            let longer =
                |candidate: &Vec<f64>| [-1.0, 1.0].map(|sign| [&candidate[..], &[sign]].concat());
            candidates = candidates.iter().flat_map(longer).collect();
            candidates.sort_by(|a, b| self.cost(&x, noise, a).total_cmp(&self.cost(&x, noise, b)));
            if let [.., kept, dropped] = &candidates[..candidates.len().min(self.beam + 1)]
                && candidates.len() > self.beam
            {
                closest = closest.min(self.cost(&x, noise, dropped) - self.cost(&x, noise, kept));
            }
            candidates.truncate(self.beam);
        }
        if let [first, second, ..] = &candidates[..] {
            closest = closest.min(self.cost(&x, noise, second) - self.cost(&x, noise, first));
        }
        let mut signs = candidates.swap_remove(0);
        let mut logits = Vec::new();
        for (p, half) in self.halves.iter().enumerate() {
            signs[p] = 0.0;
            let square: f64 = half.iter().map(|h| h * h).sum();
            let left = self.left(&x, &signs);
            let product: f64 = left.iter().zip(half).map(|(l, h)| l * h).sum();
            logits.push(product / square + noise[p]);
            signs[p] = if logits[p] > 0.0 { 1.0 } else { -1.0 };
        }
        let left = self.left(&x, &signs);
        let quantized = x.iter().zip(&left).zip(&self.mid);
        Decided {
            narrowest: logits
                .iter()
                .fold(f64::INFINITY, |least, l| least.min(l.abs())),
            closest,
            quantized: quantized.map(|((x, left), mid)| x - left + mid).collect(),
            logits,
        }
    }

    /// Returns the residual of the bits that `signs` gives.
    fn left(&self, x: &[f64], signs: &[f64]) -> Vec<f64> {
        let mut left = x.to_vec();
        for (half, sign) in self.halves.iter().zip(signs) {
            left.iter_mut().zip(half).for_each(|(l, h)| *l -= sign * h);
        }
        left
    }

    /// Returns the cost that the beam search makes small.
    fn cost(&self, x: &[f64], noise: &[f64], signs: &[f64]) -> f64 {
        let square = |v: &[f64]| -> f64 { v.iter().map(|v| v * v).sum() };
        let noisy = self.halves.iter().zip(noise).zip(signs);
        let noisy: f64 = noisy
            .map(|((h, noise), sign)| sign * square(h) * noise)
            .sum();
        square(&self.left(x, signs)) - 2.0 * noisy
    }
}
