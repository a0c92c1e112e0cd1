//! The specification of the losses in plain loops over f64.

/// Returns the entropy in bits of a bit that is 1 with probability `p`.
pub fn bit_entropy(p: f64) -> f64 {
    let term = |p: f64| if p > 0.0 { -p * p.log2() } else { 0.0 };
    term(p) + term(1.0 - p)
}

/// Returns the entropy loss of `logits [rows][num_bits]` over the valid rows.
pub fn entropy_loss(logits: &[Vec<f64>], valid: &[bool], diversity: f64) -> f64 {
    let rows: Vec<&Vec<f64>> = logits
        .iter()
        .zip(valid)
        .filter_map(|(row, &valid)| valid.then_some(row))
        .collect();
    let (Some(first), count) = (rows.first(), rows.len() as f64) else {
        return 0.0;
    };
    let sigmoid = |logit: f64| 1.0 / (1.0 + (-logit).exp());
    let of_bit = |p: usize| {
        let ones = rows.iter().map(|row| sigmoid(row[p]));
        let mean = ones.clone().sum::<f64>() / count;
        let certain = ones.map(bit_entropy).sum::<f64>() / count;
        certain - diversity * bit_entropy(mean)
    };
    (0..first.len()).map(of_bit).sum::<f64>() / first.len() as f64
}

/// Returns the commitment loss of `x` to `quantized`, both `[rows][features]`, over the valid rows.
pub fn commitment_loss(x: &[Vec<f64>], quantized: &[Vec<f64>], valid: &[bool]) -> f64 {
    let rows = x.iter().zip(quantized).zip(valid);
    let counted = rows.filter_map(|(pair, &valid)| valid.then_some(pair));
    let (mut sum, mut elements) = (0.0, 0);
    for (x, quantized) in counted {
        sum += x
            .iter()
            .zip(quantized)
            .map(|(x, y)| (x - y).powi(2))
            .sum::<f64>();
        elements += x.len();
    }
    sum / elements.max(1) as f64
}
