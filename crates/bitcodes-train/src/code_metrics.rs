//! Metrics of how the codes are used, for Burn's learner and its dashboard.

use std::sync::Arc;

use bitcodes_core::BitStatistics;
use burn::train::metric::{
    Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes, NumericEntry,
    SerializedEntry,
};

use crate::metrics::BatchCodes;

/// A metric computed from the statistics of codes, for each batch and for the epoch so far.
#[derive(Clone)]
pub struct CodeMetric {
    name: MetricName,
    higher_is_better: bool,
    decimals: usize,
    from_statistics: fn(&BitStatistics) -> f64,
    batch: f64,
    epoch: Option<BitStatistics>,
}

impl CodeMetric {
    /// Makes the metric of the mean entropy of a bit: 1 if every bit is 0 and 1 equally often.
    pub fn bit_entropy() -> Self {
        Self::new("Bit entropy", true, 3, BitStatistics::mean_entropy)
    }

    /// Makes the metric of the mean magnitude of the correlation between two bits.
    pub fn bit_correlation() -> Self {
        Self::new("Bit correlation", false, 3, BitStatistics::mean_correlation)
    }

    /// Makes the metric of the number of different codes.
    pub fn codes_used() -> Self {
        Self::new("Codes used", true, 0, |statistics| {
            statistics.codes_used().value
        })
    }

    /// Makes the metric of the perplexity of the codes.
    pub fn perplexity() -> Self {
        Self::new("Perplexity", true, 1, |statistics| {
            statistics.perplexity().value
        })
    }

    fn new(
        name: &str,
        higher_is_better: bool,
        decimals: usize,
        from_statistics: fn(&BitStatistics) -> f64,
    ) -> Self {
        Self {
            name: Arc::new(name.into()),
            higher_is_better,
            decimals,
            from_statistics,
            batch: f64::NAN,
            epoch: None,
        }
    }

    fn epoch_value(&self) -> f64 {
        self.epoch.as_ref().map_or(f64::NAN, self.from_statistics)
    }
}

impl Metric for CodeMetric {
    type Input = Arc<BatchCodes>;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes {
            unit: None,
            higher_is_better: self.higher_is_better,
        }
        .into()
    }

    fn update(&mut self, codes: &Arc<BatchCodes>, _: &MetricMetadata) -> SerializedEntry {
        let statistics = codes.statistics();
        self.batch = (self.from_statistics)(statistics);
        match &mut self.epoch {
            Some(epoch) => epoch.merge(statistics),
            None => self.epoch = Some(statistics.clone()),
        }
        let (epoch, batch, decimals) = (self.epoch_value(), self.batch, self.decimals);
        SerializedEntry::new(
            format!("epoch {epoch:.decimals$} - batch {batch:.decimals$}"),
            NumericEntry::Value(self.batch).serialize(),
        )
    }

    fn clear(&mut self) {
        self.batch = f64::NAN;
        self.epoch = None;
    }
}

impl Numeric for CodeMetric {
    fn value(&self) -> NumericEntry {
        NumericEntry::Value(self.batch)
    }

    fn running_value(&self) -> NumericEntry {
        NumericEntry::Value(self.epoch_value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcodes_core::PackedCodes;
    use burn::data::dataloader::Progress;

    #[test]
    fn an_epoch_is_all_its_batches_together() {
        let metadata = MetricMetadata {
            progress: Progress::new(1, 2),
            global_progress: Progress::new(1, 1),
            iteration: None,
            lr: None,
        };
        let codes = |bytes: [u8; 2]| {
            let codes = PackedCodes::from_bytes([2], 2, bytes.to_vec()).unwrap();
            Arc::new(BatchCodes::new(codes))
        };
        let found = |mut metric: CodeMetric| {
            metric.update(&codes([0b00, 0b00]), &metadata);
            metric.update(&codes([0b01, 0b11]), &metadata);
            let values = (metric.value().current(), metric.running_value().current());
            metric.clear();
            metric.update(&codes([0b00, 0b00]), &metadata);
            (values, metric.running_value().current())
        };
        assert_eq!(found(CodeMetric::codes_used()), ((2.0, 3.0), 1.0));
        let ((batch, epoch), cleared) = found(CodeMetric::perplexity());
        assert_eq!((batch, epoch, cleared), (2.0, 2f64.powf(1.5), 1.0));
        let ((batch, epoch), cleared) = found(CodeMetric::bit_entropy());
        let quarter = 0.811_278_124_459_132_8;
        assert_eq!((batch, cleared), (0.5, 0.0));
        assert!((epoch - (1.0 + quarter) / 2.0).abs() < 1e-12);
        let ((batch, epoch), _) = found(CodeMetric::bit_correlation());
        assert_eq!(batch, 0.0);
        assert!((epoch - 1.0 / 3f64.sqrt()).abs() < 1e-12);
    }
}
