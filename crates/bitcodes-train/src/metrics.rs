//! Measures of a batch, and the squared error over all pixels as two metrics, MSE and PSNR.

use std::sync::{Arc, OnceLock};

use bitcodes_core::{BitStatistics, PackedCodes};
use burn::tensor::{ElementConversion, Int, Tensor, backend::Backend};
use burn::train::metric::{
    Adaptor, Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes,
    NumericEntry, SerializedEntry,
};
use burn::train::{ItemLazy, metric::format_float};

/// Returns the peak signal-to-noise ratio in dB of a mean squared error on pixels in [0, 1].
///
/// It is `10 log10(1 / mse)`. The mean has to be over all pixels of all images; the mean of each
/// image's ratio is another value.
pub fn psnr_db(mse: f64) -> f64 {
    -10.0 * mse.log10()
}

/// A sum of squared errors and the number of pixels that it is over.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SquaredError {
    /// Sum of the squared differences of pixels.
    pub sum: f64,
    /// Number of pixels compared.
    pub pixels: usize,
}

impl SquaredError {
    /// Returns the mean squared error; NaN if there are no pixels.
    pub fn mean(&self) -> f64 {
        self.sum / self.pixels as f64
    }
}

impl core::ops::AddAssign for SquaredError {
    fn add_assign(&mut self, other: Self) {
        self.sum += other.sum;
        self.pixels += other.pixels;
    }
}

/// The measures of a batch as tensors on the device.
pub struct BatchOutput<B: Backend> {
    /// Mean squared error `[1]`.
    pub mse: Tensor<B, 1>,
    /// Number of pixels compared.
    pub pixels: usize,
    /// The bits of the batch's tokens `[images, tokens, num_bits]`.
    pub bits: Tensor<B, 3, Int>,
}

impl<B: Backend> BatchOutput<B> {
    /// Joins the outputs of the parts of a batch of `pixels` pixels.
    ///
    /// Each part has its share of the batch's mean squared error, `[1]`, and its bits.
    pub(crate) fn of_parts(
        parts: impl IntoIterator<Item = (Tensor<B, 1>, Tensor<B, 3, Int>)>,
        pixels: usize,
    ) -> Self {
        let (mses, bits) = parts.into_iter().unzip();
        Self {
            mse: Tensor::cat(mses, 0).sum(),
            pixels,
            bits: Tensor::cat(bits, 0),
        }
    }
}

/// The measures of a batch, read from the device for the metrics.
#[derive(Debug, Clone)]
pub struct BatchMeasures {
    /// The squared error of the batch's reconstructions.
    pub error: SquaredError,
    /// The codes of the batch's tokens.
    pub codes: Arc<BatchCodes>,
}

/// The codes of a batch, and their statistics, which are computed when a metric first asks for
/// them.
#[derive(Debug)]
pub struct BatchCodes {
    /// The codes.
    pub codes: PackedCodes,
    statistics: OnceLock<BitStatistics>,
}

impl BatchCodes {
    /// Makes the codes of a batch from packed codes.
    pub fn new(codes: PackedCodes) -> Self {
        Self {
            codes,
            statistics: OnceLock::new(),
        }
    }

    /// Returns the statistics of the codes.
    pub fn statistics(&self) -> &BitStatistics {
        self.statistics.get_or_init(|| {
            let mut statistics = BitStatistics::new(self.codes.num_bits());
            let added = statistics.update(&self.codes);
            added.expect("the number of bits is the codes' own");
            statistics
        })
    }
}

impl<B: Backend> ItemLazy for BatchOutput<B> {
    type ItemSync = BatchMeasures;

    fn sync(self) -> BatchMeasures {
        BatchMeasures {
            error: SquaredError {
                sum: self.mse.into_scalar().elem::<f64>() * self.pixels as f64,
                pixels: self.pixels,
            },
            codes: Arc::new(BatchCodes::new(
                PackedCodes::from_bits(self.bits).expect("a quantizer's bits are 0 or 1"),
            )),
        }
    }
}

impl Adaptor<SquaredError> for BatchMeasures {
    fn adapt(&self) -> SquaredError {
        self.error
    }
}

impl Adaptor<Arc<BatchCodes>> for BatchMeasures {
    fn adapt(&self) -> Arc<BatchCodes> {
        self.codes.clone()
    }
}

/// A metric computed from the squared error, for Burn's learner.
#[derive(Clone)]
pub struct ReconstructionMetric {
    name: MetricName,
    unit: Option<&'static str>,
    higher_is_better: bool,
    from_mse: fn(f64) -> f64,
    batch: SquaredError,
    epoch: SquaredError,
}

impl ReconstructionMetric {
    /// Makes the metric of the mean squared error.
    pub fn mse() -> Self {
        Self {
            name: Arc::new("MSE".into()),
            unit: None,
            higher_is_better: false,
            from_mse: |mse| mse,
            batch: SquaredError::default(),
            epoch: SquaredError::default(),
        }
    }

    /// Makes the metric of the peak signal-to-noise ratio, [`psnr_db`].
    pub fn psnr() -> Self {
        Self {
            name: Arc::new("PSNR".into()),
            unit: Some("dB"),
            higher_is_better: true,
            from_mse: psnr_db,
            ..Self::mse()
        }
    }

    fn entry(&self, error: &SquaredError) -> NumericEntry {
        NumericEntry::Aggregated {
            aggregated_value: (self.from_mse)(error.mean()),
            count: error.pixels,
        }
    }
}

impl Metric for ReconstructionMetric {
    type Input = SquaredError;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes {
            unit: self.unit.map(Into::into),
            higher_is_better: self.higher_is_better,
        }
        .into()
    }

    fn update(&mut self, error: &SquaredError, _: &MetricMetadata) -> SerializedEntry {
        self.batch = *error;
        self.epoch += *error;
        let unit = self.unit.map_or(String::new(), |unit| format!(" {unit}"));
        let [epoch, batch] = [&self.epoch, &self.batch]
            .map(|error| format_float((self.from_mse)(error.mean()), 4) + &unit);
        SerializedEntry::new(
            format!("epoch {epoch} - batch {batch}"),
            self.entry(&self.batch).serialize(),
        )
    }

    fn clear(&mut self) {
        self.batch = SquaredError::default();
        self.epoch = SquaredError::default();
    }
}

impl Numeric for ReconstructionMetric {
    fn value(&self) -> NumericEntry {
        self.entry(&self.batch)
    }

    fn running_value(&self) -> NumericEntry {
        self.entry(&self.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::data::dataloader::Progress;

    #[test]
    fn psnr_is_of_the_mean_over_all_pixels_not_the_mean_of_the_batches() {
        let metadata = MetricMetadata {
            progress: Progress::new(1, 2),
            global_progress: Progress::new(1, 1),
            iteration: None,
            lr: None,
        };
        let mut psnr = ReconstructionMetric::psnr();
        for (sum, pixels) in [(1.0, 10), (0.1, 100)] {
            psnr.update(&SquaredError { sum, pixels }, &metadata);
        }
        assert_eq!(psnr.value().current(), 30.0);
        assert_eq!(psnr.running_value().current(), 20.0);
        psnr.clear();
        psnr.update(
            &SquaredError {
                sum: 1.0,
                pixels: 10,
            },
            &metadata,
        );
        assert_eq!(psnr.running_value().current(), 10.0);
    }
}
