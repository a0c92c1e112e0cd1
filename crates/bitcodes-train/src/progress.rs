//! The log of a training while it runs: a file with the metrics of each epoch, and lines on
//! standard output if there is no dashboard.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use burn::train::logger::MetricLogger;
use burn::train::metric::store::{EpochSummary, MetricsUpdate, Split};
use burn::train::metric::{MetricDefinition, MetricId, NumericEntry};
use burn::train::renderer::{
    EvaluationName, EvaluationProgress, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining, ProgressType, TrainingProgress,
};
use burn::train::{Interrupter, LearnerSummary};

use crate::whole_file::Unwritten;

/// Writes the metrics of each epoch to a CSV file with the columns `epoch,split,mse,psnr_db`, and
/// can print a line for each epoch.
pub(crate) struct EpochLog {
    path: PathBuf,
    file: File,
    names: HashMap<MetricId, String>,
    /// Running values of the current split (training or test), by the metric's name.
    running: HashMap<String, f64>,
    /// Values of the epoch's training split, kept until its test split ends.
    train: Option<Measures>,
    lines: Option<Lines>,
    outcome: Outcome,
    interrupter: Interrupter,
}

struct Lines {
    epochs: usize,
    since: Instant,
}

#[derive(Clone, Copy)]
struct Measures {
    mse: f64,
    psnr_db: f64,
}

/// The outcome of a log. It is shared with the log, because Burn's learner owns the log and does
/// not give it back.
#[derive(Clone, Default)]
pub(crate) struct Outcome(Arc<Mutex<OutcomeState>>);

#[derive(Default)]
struct OutcomeState {
    epochs: usize,
    error: Option<Unwritten>,
}

impl Outcome {
    /// Returns the number of epochs that were trained and tested.
    pub fn epochs(&self) -> usize {
        self.state().epochs
    }

    /// Takes the first error of writing, if there was one.
    pub fn take_error(&self) -> Option<Unwritten> {
        self.state().error.take()
    }

    fn state(&self) -> MutexGuard<'_, OutcomeState> {
        self.0
            .lock()
            .expect("no thread panics while it holds the lock")
    }
}

impl EpochLog {
    /// Creates the file and writes its header. `lines` is the number of epochs if lines are to be
    /// printed, else `None`.
    pub fn create(
        path: PathBuf,
        lines: Option<usize>,
        interrupter: Interrupter,
    ) -> Result<(Self, Outcome), Unwritten> {
        let mut file = File::create(&path).map_err(Unwritten::to(&path))?;
        writeln!(file, "epoch,split,mse,psnr_db").map_err(Unwritten::to(&path))?;
        let outcome = Outcome::default();
        let log = Self {
            path,
            file,
            names: HashMap::new(),
            running: HashMap::new(),
            train: None,
            lines: lines.map(|epochs| Lines {
                epochs,
                since: Instant::now(),
            }),
            outcome: outcome.clone(),
            interrupter,
        };
        Ok((log, outcome))
    }

    /// Takes the values of the split that ends, so that the next split starts without any.
    fn end_of_split(&mut self) -> Measures {
        let running = core::mem::take(&mut self.running);
        let of = |name| running.get(name).copied().unwrap_or(f64::NAN);
        Measures {
            mse: of("MSE"),
            psnr_db: of("PSNR"),
        }
    }

    /// Writes both splits of an epoch in one call, so that the file holds whole epochs even if the
    /// program is killed.
    fn end_of_epoch(
        &mut self,
        epoch: usize,
        train: Measures,
        test: Measures,
    ) -> Result<(), Unwritten> {
        let row = |split, of: Measures| format!("{epoch},{split},{},{}\n", of.mse, of.psnr_db);
        let rows = row("train", train) + &row("test", test);
        self.file
            .write_all(rows.as_bytes())
            .map_err(Unwritten::to(&self.path))?;
        if let Some(Lines { epochs, since }) = &mut self.lines {
            let width = epochs.to_string().len();
            writeln!(
                io::stdout(),
                "epoch {epoch:width$}/{epochs}   train mse {:.4} psnr {:5.2} dB   \
                 test mse {:.4} psnr {:5.2} dB   {:.1} s",
                train.mse,
                train.psnr_db,
                test.mse,
                test.psnr_db,
                since.elapsed().as_secs_f64()
            )
            .map_err(Unwritten::to("standard output"))?;
            *since = Instant::now();
        }
        self.outcome.state().epochs = epoch;
        Ok(())
    }
}

impl MetricLogger for EpochLog {
    fn log(&mut self, update: MetricsUpdate, _epoch: usize, _split: &Split) {
        for numeric in update.entries_numeric {
            if let Some(name) = self.names.get(&numeric.entry.metric_id) {
                self.running
                    .insert(name.clone(), numeric.running_entry.current());
            }
        }
    }

    /// Returns nothing. Burn asks for values only to choose checkpoints by a metric, and ours are
    /// chosen by age.
    fn read_numeric(&mut self, _: &str, _: usize, _: &Split) -> Result<Vec<NumericEntry>, String> {
        Ok(Vec::new())
    }

    fn log_metric_definition(&mut self, definition: MetricDefinition) {
        self.names.insert(definition.metric_id, definition.name);
    }

    fn log_epoch_summary(&mut self, summary: EpochSummary) {
        let measures = self.end_of_split();
        if summary.split == Split::Train {
            self.train = Some(measures);
            return;
        }
        // An epoch that was stopped half-way is not written.
        let Some(train) = self
            .train
            .take()
            .filter(|_| !self.interrupter.should_stop())
        else {
            return;
        };
        if let Err(error) = self.end_of_epoch(summary.epoch_number, train, measures) {
            self.outcome.state().error.get_or_insert(error);
            self.interrupter.stop(Some("the metrics cannot be written"));
        }
    }
}

/// A renderer that shows nothing. The lines come from [`EpochLog`], which knows the values of whole
/// epochs.
pub(crate) struct NoDashboard;

impl MetricsRendererTraining for NoDashboard {
    fn update_train(&mut self, _: MetricState) {}
    fn update_valid(&mut self, _: MetricState) {}
    fn render_train(&mut self, _: TrainingProgress, _: Vec<ProgressType>) {}
    fn render_valid(&mut self, _: TrainingProgress, _: Vec<ProgressType>) {}
    fn on_train_end(
        &mut self,
        _: Option<LearnerSummary>,
    ) -> Result<(), Box<dyn core::error::Error>> {
        Ok(())
    }
}

impl MetricsRendererEvaluation for NoDashboard {
    fn update_test(&mut self, _: EvaluationName, _: MetricState) {}
    fn render_test(&mut self, _: EvaluationProgress, _: Vec<ProgressType>) {}
}

impl MetricsRenderer for NoDashboard {
    fn manual_close(&mut self) {}
    fn register_metric(&mut self, _: MetricDefinition) {}
}
