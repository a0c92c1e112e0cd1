//! The check that vectors can be encoded.

use bitcodes_core::{Bitcodes, Normalization};
use burn::tensor::backend::Backend;
use clap::ValueEnum;
use pulp::Arch;

/// What to do with elements that are NaN or infinite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NonFinite {
    /// End with an error
    Error,
    /// Take them as 0
    Zero,
}

/// The largest magnitude of an element whose products with the codebook and whose squares cannot overflow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit(f32);

/// An element that cannot be encoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BadElement {
    pub row: usize,
    pub column: usize,
    pub value: f32,
}

impl Limit {
    pub fn of<B: Backend>(quantizer: &Bitcodes<B>) -> Self {
        let features = quantizer.features();
        let codebook: Vec<f64> = quantizer.codebook.val().into_data().iter().collect();
        let length = |vector: &[f64]| vector.iter().map(|x| x * x).sum::<f64>().sqrt();
        // No decoded vector is longer.
        let decoded: f64 = codebook
            .chunks(2 * features)
            .map(|pair| length(&pair[..features]).max(length(&pair[features..])))
            .sum();
        // The search compares squares of residuals, which are no longer than both together.
        let longest = f64::from(f32::MAX).sqrt() / 4.0 - decoded;
        let (factor, center) = match &quantizer.normalization {
            Some(normalization) => {
                let center: Vec<f64> = normalization.center.val().into_data().iter().collect();
                let log_scale = normalization.log_scale.val().into_data();
                let log_scale: f64 = log_scale.iter::<f64>().sum();
                let factor = (-log_scale).exp() * Normalization::<B>::DEVIATION;
                (factor, length(&center))
            }
            None => (1.0, 0.0),
        };
        let limit = (longest - center) / (features as f64).sqrt() / factor;
        Self(limit.clamp(0.0, f64::from(f32::MAX)) as f32)
    }

    pub fn value(self) -> f32 {
        self.0
    }

    /// Returns whether an element can be encoded. NaN is not below the limit.
    #[inline(always)]
    fn allows(self, element: f32) -> bool {
        element.abs() <= self.0
    }

    /// Returns whether every element can be encoded.
    fn allows_all(self, elements: &[f32]) -> bool {
        let allowed = |element: &&f32| self.allows(**element);
        // The loop is compiled for the vector instructions of this processor.
        let count = Arch::new().dispatch(|| elements.iter().filter(allowed).count());
        count == elements.len()
    }

    /// Returns the first element of the rows that cannot be encoded, and the number of such elements.
    pub fn bad_elements(
        self,
        first_row: usize,
        features: usize,
        elements: &[f32],
    ) -> Option<(BadElement, usize)> {
        if self.allows_all(elements) {
            return None;
        }
        let at = elements.iter().position(|&x| !self.allows(x))?;
        let bad = BadElement {
            row: first_row + at / features,
            column: at % features,
            value: elements[at],
        };
        let all = elements.iter().filter(|&&x| !self.allows(x));
        Some((bad, all.count()))
    }
}

/// Replaces elements that are NaN or infinite by 0, and returns their number.
pub(crate) fn replace_non_finite(elements: &mut [f32]) -> usize {
    let bad = elements.iter_mut().filter(|element| !element.is_finite());
    bad.map(|element| *element = 0.0).count()
}
