//! The display of a training on a terminal: a bar below the lines of the epochs.

use std::collections::HashMap;

use burn::train::LearnerSummary;
use burn::train::metric::{MetricDefinition, MetricId};
use burn::train::renderer::{
    EvaluationName, EvaluationProgress, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining, ProgressType, TrainingProgress,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows how far the training is, its rate, the time left, and how the codes of the test images are used.
pub(crate) struct Live {
    bar: ProgressBar,
    /// Names of the metrics that are shown.
    names: HashMap<MetricId, String>,
    /// Values of the test images, in the order of the metrics.
    codes: Vec<(String, f64)>,
}

impl Live {
    /// Makes the bar of a training of some images for some epochs, of which some are done. It may be hidden.
    pub fn new(images: usize, epochs: usize, done: usize, hidden: bool) -> Self {
        let style =
            ProgressStyle::with_template("epoch {prefix}  {bar:24}  {per_sec}  {eta} left{msg}");
        let style = style.expect("the template is valid");
        let style = style.with_key(
            "per_sec",
            |state: &indicatif::ProgressState, to: &mut dyn std::fmt::Write| {
                // An error of writing would be one of a text in memory.
                let _ = write!(to, "{:.0} images/s", state.per_sec());
            },
        );
        let target = match hidden {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stdout(),
        };
        let bar = ProgressBar::with_draw_target(Some((images * epochs) as u64), target);
        let bar = bar.with_style(style).with_position((images * done) as u64);
        bar.reset_eta();
        Self {
            bar,
            names: HashMap::new(),
            codes: Vec::new(),
        }
    }

    /// Returns the bar, so that lines can be printed above it.
    pub fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }
}

impl MetricsRendererTraining for Live {
    fn update_train(&mut self, _: MetricState) {}

    fn update_valid(&mut self, state: MetricState) {
        let MetricState::Numeric(entry, value) = state else {
            return;
        };
        let Some(name) = self.names.get(&entry.metric_id) else {
            return;
        };
        match self.codes.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value.current(),
            None => self.codes.push((name.clone(), value.current())),
        }
        let codes = self.codes.iter();
        let texts = codes.map(|(name, value)| match *value >= 2.0 {
            true => format!("  {name} {value:.0}"),
            false => format!("  {name} {value:.2}"),
        });
        self.bar.set_message(texts.collect::<String>());
    }

    fn render_train(&mut self, progress: TrainingProgress, _: Vec<ProgressType>) {
        let epochs = progress.global_progress;
        if let Some(images) = progress.progress {
            self.bar
                .set_prefix(format!("{}/{}", epochs.items_processed, epochs.items_total));
            let before = (epochs.items_processed - 1) * images.items_total;
            self.bar
                .set_position((before + images.items_processed) as u64);
        }
    }

    fn render_valid(&mut self, _: TrainingProgress, _: Vec<ProgressType>) {
        self.bar.tick();
    }

    fn on_train_end(
        &mut self,
        _: Option<LearnerSummary>,
    ) -> Result<(), Box<dyn core::error::Error>> {
        self.bar.finish_and_clear();
        Ok(())
    }
}

impl MetricsRendererEvaluation for Live {
    fn update_test(&mut self, _: EvaluationName, _: MetricState) {}
    fn render_test(&mut self, _: EvaluationProgress, _: Vec<ProgressType>) {}
}

impl MetricsRenderer for Live {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, definition: MetricDefinition) {
        if definition.name != "MSE" && definition.name != "PSNR" {
            self.names
                .insert(definition.metric_id, definition.name.to_lowercase());
        }
    }
}
