//! The log of a training while it runs: a file with the metrics of each epoch, and lines on standard
//! output.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::train::Interrupter;
use burn::train::logger::MetricLogger;
use burn::train::metric::store::{EpochSummary, MetricsUpdate, Split};
use burn::train::metric::{MetricDefinition, MetricId, NumericEntry};
use indicatif::ProgressBar;

use crate::checkpoints::Checkpoints;
use crate::curves::EpochPsnr;
use crate::whole_file::{Unwritten, write_file};

/// Reasons for which a training stops, as Burn's interrupter has them.
pub(crate) const DIVERGED: &str = "the training diverged";
const UNWRITTEN: &str = "the metrics cannot be written";

const HEADER: &str = "epoch,split,mse,psnr_db";

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
    checkpoints: Checkpoints,
    interrupter: Interrupter,
}

/// The lines on standard output.
pub(crate) struct Lines {
    epochs: usize,
    since: Instant,
    /// The bar that the lines are printed above.
    bar: Option<ProgressBar>,
}

impl Lines {
    pub fn new(epochs: usize, bar: Option<ProgressBar>) -> Self {
        Self {
            epochs,
            since: Instant::now(),
            bar,
        }
    }

    fn print(&mut self, epoch: usize, train: Measures, test: Measures) -> io::Result<()> {
        let epochs = self.epochs;
        let width = epochs.to_string().len();
        let line = format!(
            "epoch {epoch:width$}/{epochs}   train mse {:.4} psnr {:5.2} dB   \
             test mse {:.4} psnr {:5.2} dB   {:.1} s",
            train.mse,
            train.psnr_db,
            test.mse,
            test.psnr_db,
            self.since.elapsed().as_secs_f64()
        );
        self.since = Instant::now();
        let print = || writeln!(io::stdout(), "{line}");
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

#[derive(Clone, Copy)]
struct Measures {
    mse: f64,
    psnr_db: f64,
}

impl EpochLog {
    /// Opens the file, whose rows of whole epochs stay, and makes it if it does not exist.
    pub fn open(
        path: PathBuf,
        lines: Option<Lines>,
        checkpoints: Checkpoints,
        interrupter: Interrupter,
    ) -> Result<Self, Unwritten> {
        let kept = match checkpoints.whole().epoch {
            0 => Vec::new(),
            whole => rows(&path, whole).map_err(Unwritten::to(&path))?,
        };
        let mut text = String::from(HEADER) + "\n";
        for row in kept {
            text += &row;
            text.push('\n');
        }
        write_file(&path, text.as_bytes())?;
        let file = OpenOptions::new().append(true).open(&path);
        Ok(Self {
            file: file.map_err(Unwritten::to(&path))?,
            path,
            names: HashMap::new(),
            running: HashMap::new(),
            train: None,
            lines,
            checkpoints,
            interrupter,
        })
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
        let mut write = || {
            self.file.write_all(rows.as_bytes())?;
            self.file.sync_data()
        };
        write().map_err(Unwritten::to(&self.path))?;
        // First of all, as standard output may be closed, or wait for ever.
        self.checkpoints.metrics_are_written(epoch)?;
        if let Some(lines) = &mut self.lines {
            let printed = lines.print(epoch, train, test);
            printed.map_err(Unwritten::to("standard output"))?;
        }
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
        if !(train.mse.is_finite() && measures.mse.is_finite()) {
            // Without its metrics the epoch does not count, so its checkpoint replaces no other.
            self.interrupter.stop(Some(DIVERGED));
            return;
        }
        if let Err(error) = self.end_of_epoch(summary.epoch_number, train, measures) {
            self.checkpoints.fail(error);
            self.interrupter.stop(Some(UNWRITTEN));
        }
    }
}

/// Returns the rows of the first epochs in a file of metrics.
fn rows(path: &Path, epochs: usize) -> io::Result<Vec<String>> {
    let text = fs::read_to_string(path)?;
    let epoch = |row: &&str| row.split(',').next()?.parse::<usize>().ok();
    let rows = text
        .lines()
        .filter(|row| epoch(row).is_some_and(|epoch| epoch <= epochs));
    Ok(rows.map(String::from).collect())
}

/// Returns the PSNR of each epoch in a file of metrics.
pub(crate) fn read_psnr(path: &Path) -> io::Result<Vec<EpochPsnr>> {
    let rows = rows(path, usize::MAX)?;
    let psnr = |row: &String, wanted: &str| {
        let mut fields = row.split(',');
        let (epoch, split) = (fields.next()?, fields.next()?);
        let psnr = fields.nth(1)?.parse().ok()?;
        (split == wanted).then_some((epoch.parse().ok()?, psnr))
    };
    let pairs = rows.iter().zip(rows.iter().skip(1));
    let epochs = pairs.filter_map(|(train, test)| {
        let ((epoch, train), (_, test)) = (psnr(train, "train")?, psnr(test, "test")?);
        Some(EpochPsnr { epoch, train, test })
    });
    Ok(epochs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::WholeEpoch;

    #[test]
    fn an_epoch_whose_error_is_no_number_stops_the_training_and_is_not_written() {
        let run = tempfile::tempdir().unwrap();
        let path = run.path().join("metrics.csv");
        let interrupter = Interrupter::new();
        let checkpoints = Checkpoints::after(WholeEpoch::default(), run.path());
        let mut log = EpochLog::open(path.clone(), None, checkpoints, interrupter.clone()).unwrap();
        let mut epoch = |number, mse: f64| {
            for split in [Split::Train, Split::Valid] {
                log.running.insert("MSE".into(), mse);
                log.running.insert("PSNR".into(), 10.0);
                log.log_epoch_summary(EpochSummary::new(number, split));
            }
        };
        epoch(1, 0.1);
        let first = format!("{HEADER}\n1,train,0.1,10\n1,test,0.1,10\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), first);
        assert_eq!(interrupter.get_message(), None);
        epoch(2, f64::NAN);
        assert_eq!(fs::read_to_string(&path).unwrap(), first);
        assert_eq!(interrupter.get_message().as_deref(), Some(DIVERGED));
        let psnr = EpochPsnr {
            epoch: 1,
            train: 10.0,
            test: 10.0,
        };
        assert_eq!(read_psnr(&path).unwrap(), [psnr]);
    }
}
