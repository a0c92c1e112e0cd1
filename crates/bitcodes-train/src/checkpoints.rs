//! The checkpoints of a run, of which one is whole at any time from the first epoch on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use burn::record::{
    FileRecorder, FullPrecisionSettings, NamedMpkBytesRecorder, Recorder, RecorderError,
};
use burn::tensor::backend::Backend;
use burn::train::checkpoint::{CheckpointingAction, CheckpointingStrategy};
use burn::train::metric::store::EventStoreClient;
use serde::{Serialize, de::DeserializeOwned};

use crate::files;
use crate::load::WholeEpoch;
use crate::whole_file::{Unwritten, write_file};

/// The files of a checkpoint, which Burn's learner writes on three threads.
pub(crate) const MODEL: &str = "model";
pub(crate) const OPTIMIZER: &str = "optim";
pub(crate) const SCHEDULER: &str = "scheduler";
/// The rows of an epoch in the file of metrics, which are a part of the epoch too.
const METRICS: &str = "metrics";

/// Keeps the account of what is on the disk. An epoch counts once all of its parts are. Only then do the
/// files of earlier epochs go.
#[derive(Debug, Clone)]
pub(crate) struct Checkpoints(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    folder: PathBuf,
    /// The parts that are on the disk of the epochs after the last whole one.
    parts: Vec<(usize, &'static str)>,
    whole: WholeEpoch,
    /// Time of the training before this process, in seconds.
    seconds_before: f64,
    start: Instant,
    /// The first error of writing. Burn's learner passes on only the error's text.
    error: Option<Unwritten>,
}

impl Checkpoints {
    /// Begins with the whole epochs of a run so far.
    pub fn after(whole: WholeEpoch, run: &Path) -> Self {
        Self(Arc::new(Mutex::new(State {
            folder: run.join(files::CHECKPOINTS),
            parts: Vec::new(),
            seconds_before: whole.seconds,
            whole,
            start: Instant::now(),
            error: None,
        })))
    }

    /// Returns the last whole epoch.
    pub fn whole(&self) -> WholeEpoch {
        self.state().whole
    }

    /// Takes the first error of writing, if there was one.
    pub fn take_error(&self) -> Option<Unwritten> {
        self.state().error.take()
    }

    /// Notes that the metrics of an epoch are on the disk.
    pub fn metrics_are_written(&self, epoch: usize) -> Result<(), Unwritten> {
        self.state().add(METRICS, epoch)
    }

    /// Keeps an error of writing.
    pub fn fail(&self, error: Unwritten) {
        self.state().error.get_or_insert(error);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0
            .lock()
            .expect("no thread panics while it holds the lock")
    }
}

impl State {
    fn add(&mut self, part: &'static str, epoch: usize) -> Result<(), Unwritten> {
        const ALL: [&str; 4] = [MODEL, OPTIMIZER, SCHEDULER, METRICS];
        self.parts.push((epoch, part));
        if !ALL.iter().all(|&part| self.parts.contains(&(epoch, part))) {
            return Ok(());
        }
        let whole = WholeEpoch {
            epoch,
            seconds: self.seconds_before + self.start.elapsed().as_secs_f64(),
        };
        let json = serde_json::to_vec(&whole).expect("numbers serialize to JSON");
        write_file(&self.folder.join(files::WHOLE_EPOCH), &json)?;
        self.whole = whole;
        self.parts.retain(|(other, _)| *other > epoch);
        for (path, of) in checkpoint_files(&self.folder).unwrap_or_default() {
            if of < epoch {
                // A file that stays takes space, and is no error.
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }
}

/// Saves a checkpoint after each epoch. [`Checkpoints`] removes those before it.
pub(crate) struct SaveEachEpoch;

impl CheckpointingStrategy for SaveEachEpoch {
    fn checkpointing(&mut self, _: usize, _: &EventStoreClient) -> Vec<CheckpointingAction> {
        vec![CheckpointingAction::Save]
    }
}

/// Returns the files of checkpoints in a folder, each with its epoch.
pub(crate) fn checkpoint_files(folder: &Path) -> io::Result<Vec<(PathBuf, usize)>> {
    let mut found = Vec::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if let Some((_, epoch)) = part_of(&path) {
            found.push((path, epoch));
        }
    }
    Ok(found)
}

/// Returns which part of which epoch a file is; `None` if it is not a part of a checkpoint.
pub(crate) fn part_of(path: &Path) -> Option<(&'static str, usize)> {
    let name = path.file_name()?.to_str()?.strip_suffix(".mpk")?;
    let (part, epoch) = name.rsplit_once('-')?;
    let known = [MODEL, OPTIMIZER, SCHEDULER];
    let part = known.into_iter().find(|&known| known == part)?;
    Some((part, epoch.parse().ok()?))
}

/// A recorder of Burn that writes each file whole or not at all, in full precision.
///
/// The bytes are those of Burn's `NamedMpkFileRecorder<FullPrecisionSettings>`. That recorder
/// deletes the old file and writes in place, and it takes the text after a dot in a file's name for
/// the extension.
#[derive(Debug, Default, Clone)]
pub struct WholeFileRecorder {
    bytes: NamedMpkBytesRecorder<FullPrecisionSettings>,
    checkpoints: Option<Checkpoints>,
}

impl WholeFileRecorder {
    /// Makes a recorder that notes the parts of checkpoints which it writes.
    pub(crate) fn of(checkpoints: Checkpoints) -> Self {
        Self {
            checkpoints: Some(checkpoints),
            ..Self::default()
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Unwritten> {
        write_file(path, bytes)?;
        match (&self.checkpoints, part_of(path)) {
            (Some(checkpoints), Some((part, epoch))) => checkpoints.state().add(part, epoch),
            _ => Ok(()),
        }
    }
}

impl<B: Backend> FileRecorder<B> for WholeFileRecorder {
    fn file_extension() -> &'static str {
        "mpk"
    }
}

impl<B: Backend> Recorder<B> for WholeFileRecorder {
    type Settings = FullPrecisionSettings;
    type RecordArgs = PathBuf;
    type RecordOutput = ();
    type LoadArgs = PathBuf;

    fn save_item<I: Serialize>(&self, item: I, path: PathBuf) -> Result<(), RecorderError> {
        let bytes = Recorder::<B>::save_item(&self.bytes, item, ())?;
        self.write(&with_extension(path), &bytes).map_err(|error| {
            let text = error.to_string();
            if let Some(checkpoints) = &self.checkpoints {
                checkpoints.fail(error);
            }
            RecorderError::Unknown(text)
        })
    }

    fn load_item<I: DeserializeOwned>(&self, path: &mut PathBuf) -> Result<I, RecorderError> {
        let path = with_extension(path.clone());
        let mut bytes = fs::read(&path).map_err(|error| {
            let message = format!("{}: {error}", path.display());
            match error.kind() {
                io::ErrorKind::NotFound => RecorderError::FileNotFound(message),
                _ => RecorderError::Unknown(message),
            }
        })?;
        Recorder::<B>::load_item(&self.bytes, &mut bytes)
    }
}

/// Appends the extension `.mpk` if the path does not have it.
fn with_extension(path: PathBuf) -> PathBuf {
    if path.extension().is_some_and(|extension| extension == "mpk") {
        return path;
    }
    let mut path = path.into_os_string();
    path.push(".mpk");
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_counts_when_all_is_there_and_then_earlier_ones_go() {
        let run = tempfile::tempdir().unwrap();
        let folder = run.path().join(files::CHECKPOINTS);
        fs::create_dir(&folder).unwrap();
        let checkpoints = Checkpoints::after(WholeEpoch::default(), run.path());
        let recorder = WholeFileRecorder::of(checkpoints.clone());
        let write = |part: &str, epoch: usize| {
            let path = folder.join(format!("{part}-{epoch}.mpk"));
            recorder.write(&path, b"record").unwrap();
        };
        let epochs = || {
            let files = checkpoint_files(&folder).unwrap();
            let mut epochs: Vec<usize> = files.into_iter().map(|(_, epoch)| epoch).collect();
            epochs.sort_unstable();
            epochs
        };
        write(MODEL, 1);
        checkpoints.metrics_are_written(1).unwrap();
        write(SCHEDULER, 1);
        assert_eq!(checkpoints.whole().epoch, 0);
        write(OPTIMIZER, 1);
        assert_eq!(checkpoints.whole().epoch, 1);

        // The second epoch has no metrics yet, as if it was interrupted.
        for part in [MODEL, OPTIMIZER, SCHEDULER] {
            write(part, 2);
        }
        assert_eq!(checkpoints.whole().epoch, 1);
        assert_eq!(epochs(), [1, 1, 1, 2, 2, 2]);
        checkpoints.metrics_are_written(2).unwrap();
        assert_eq!(checkpoints.whole().epoch, 2);
        assert_eq!(epochs(), [2, 2, 2]);
        let json = fs::read(folder.join(files::WHOLE_EPOCH)).unwrap();
        let whole: WholeEpoch = serde_json::from_slice(&json).unwrap();
        assert_eq!(whole, checkpoints.whole());

        // Other files stay.
        fs::write(folder.join("model-best.mpk"), "mine").unwrap();
        assert_eq!(epochs(), [2, 2, 2]);
    }
}
