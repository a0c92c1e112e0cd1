//! What came of trainings, kept in a file of one JSON object a line: a training that is there is not
//! run again, so a comparison can be stopped, gone on with, and added to.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use crate::autoencoder::Architecture;
use crate::contestants::Contestant;

/// All that decides what comes of a training, beside the program: after a change of that, begin another
/// file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The quantizer.
    pub contestant: Contestant,
    /// What it is in.
    pub architecture: Architecture,
    /// Name of the images, and a hash of their pixels.
    pub images: String,
    /// Those that are measured.
    pub measured: Measured,
    /// Passes over the images.
    pub epochs: usize,
    /// The seed.
    pub seed: u64,
}

/// Images that are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measured {
    /// Some of those to train on, held out of it.
    HeldOut,
    /// The test images.
    Test,
}

/// What came of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The training.
    pub run: Run,
    /// Bits of an image; none where it is not quantized.
    pub bits_per_image: Option<f64>,
    /// PSNR of the images that are measured, in dB; NaN where the training diverged.
    #[serde(deserialize_with = "number_or_nan")]
    pub psnr_db: f64,
    /// PSNR of those that were trained on, in dB; NaN where the training diverged.
    #[serde(deserialize_with = "number_or_nan")]
    pub train_psnr_db: f64,
    /// Different codes of the tokens measured; none where they are not quantized.
    pub codes_used: Option<usize>,
    /// Entropy in bits of the bit that has the least, over the tokens measured; none where codes are
    /// not of bits.
    pub least_bit_entropy: Option<f64>,
    /// Numbers that the quantizer learns.
    pub parameters: usize,
    /// Time of the training in seconds.
    pub seconds: f64,
}

/// JSON has no NaN; null stands for it.
fn number_or_nan<'de, D: Deserializer<'de>>(source: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(source)?.unwrap_or(f64::NAN))
}

/// Outcomes, and the file that they are added to, if any.
#[derive(Debug, Default)]
pub struct Outcomes {
    all: Vec<Outcome>,
    file: Option<Opened>,
}

/// A file that no other process opens meanwhile.
#[derive(Debug)]
struct Opened {
    path: PathBuf,
    file: File,
    /// Of its whole lines in bytes.
    length: u64,
}

/// How every line begins.
const BEGINNING: &str = r#"{"run":"#;

/// A file of outcomes that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OutcomesError(String);

impl Outcomes {
    /// Those of a file, which is made if it is not there, and which more are added to.
    ///
    /// # Errors
    ///
    /// Where it cannot be read or written, another process has it open, or a line is no outcome. A last
    /// line without an end, as an interrupted write leaves, is taken off.
    pub fn open(path: &Path) -> Result<Self, OutcomesError> {
        let error = |why: String| OutcomesError(format!("{}: {why}", path.display()));
        let of_io = |source: io::Error| error(source.to_string());
        let options = || {
            OpenOptions::new()
                .read(true)
                .append(true)
                .create(true)
                .clone()
        };
        let mut file = options().open(path).map_err(of_io)?;
        file.try_lock().map_err(|source| match source {
            TryLockError::WouldBlock => error("another process has it open".into()),
            TryLockError::Error(source) => of_io(source),
        })?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(of_io)?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n');
        let whole = whole.map_or(0, |end| end + 1);
        let mut all = Vec::new();
        for (index, line) in bytes[..whole]
            .split_inclusive(|&byte| byte == b'\n')
            .enumerate()
        {
            all.push(serde_json::from_slice(line).map_err(|source| {
                let line = index + 1;
                error(format!(
                    "line {line}: {source}, expected an outcome of this program"
                ))
            })?);
        }
        let rest = &bytes[whole..];
        if !rest.is_empty() {
            if rest
                .iter()
                .zip(BEGINNING.as_bytes())
                .any(|(found, wanted)| found != wanted)
            {
                let why = "the last line has no end and is not the beginning of an outcome";
                return Err(error(why.into()));
            }
            file.set_len(whole as u64).map_err(of_io)?;
        }
        let opened = Opened {
            path: path.to_path_buf(),
            file,
            length: whole as u64,
        };
        Ok(Self {
            all,
            file: Some(opened),
        })
    }

    /// What came of a training, if it was run.
    pub fn of(&self, run: &Run) -> Option<&Outcome> {
        self.all.iter().find(|outcome| outcome.run == *run)
    }

    /// Keeps one, in the file too.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written; it has whole lines still.
    pub fn add(&mut self, outcome: Outcome) -> Result<(), OutcomesError> {
        if let Some(Opened { path, file, length }) = &mut self.file {
            let line = serde_json::to_string(&outcome).expect("it has no maps") + "\n";
            let written = file.write_all(line.as_bytes()).or_else(|error| {
                file.set_len(*length)?;
                Err(error)
            });
            written.map_err(|error| OutcomesError(format!("{}: {error}", path.display())))?;
            *length += line.len() as u64;
        }
        self.all.push(outcome);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::contestants::contestants;

    #[test]
    fn those_of_the_documentation_are_read() {
        for text in [
            include_str!("../outcomes/digits.jsonl"),
            include_str!("../outcomes/strokes.jsonl"),
        ] {
            let outcomes = text.lines().map(serde_json::from_str::<Outcome>);
            let outcomes: Vec<Outcome> = outcomes.collect::<Result<_, _>>().expect("outcomes");
            assert!(outcomes.len() >= 20);
        }
    }

    fn outcome(seed: u64) -> Outcome {
        Outcome {
            run: Run {
                contestant: contestants(Architecture::Mixer).swap_remove(1),
                architecture: Architecture::Mixer,
                images: "digits".into(),
                measured: Measured::HeldOut,
                epochs: 60,
                seed,
            },
            bits_per_image: Some(32.0),
            psnr_db: 18.123456789,
            train_psnr_db: 19.5,
            codes_used: Some(200),
            least_bit_entropy: None,
            parameters: 4096,
            seconds: 1.5,
        }
    }

    #[test]
    fn a_file_keeps_what_was_added_and_heals_from_an_interruption() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("outcomes.jsonl");
        let mut outcomes = Outcomes::open(&path).expect("a new file");
        outcomes.add(outcome(0)).expect("written");
        outcomes.add(outcome(1)).expect("written");
        drop(outcomes);
        let text = fs::read_to_string(&path).expect("it is there");
        fs::write(&path, &text[..text.len() - 9]).expect("cut short");

        let mut outcomes = Outcomes::open(&path).expect("an interrupted file");
        assert_eq!(outcomes.of(&outcome(0).run), Some(&outcome(0)));
        assert_eq!(outcomes.of(&outcome(1).run), None);
        outcomes.add(outcome(1)).expect("written");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), text);

        let open = || Outcomes::open(&path).expect_err("an error").to_string();
        let found = open();
        assert!(found.ends_with(": another process has it open"), "{found}");
        drop(outcomes);
        fs::write(&path, text.clone() + "{}\n").expect("broken");
        let found = open();
        assert!(
            found.contains("outcomes.jsonl: line 3: missing field"),
            "{found}"
        );
        fs::write(&path, "[1, 2]").expect("another file");
        let found = open();
        assert!(found.contains("not the beginning of an outcome"), "{found}");
        assert_eq!(fs::read(&path).expect("as it was"), b"[1, 2]");
    }

    #[test]
    fn a_training_that_diverged_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("outcomes.jsonl");
        let diverged = Outcome {
            psnr_db: f64::NAN,
            train_psnr_db: f64::NAN,
            ..outcome(0)
        };
        let mut outcomes = Outcomes::open(&path).expect("a new file");
        outcomes.add(diverged).expect("written");
        drop(outcomes);
        let outcomes = Outcomes::open(&path).expect("it is read");
        let found = outcomes.of(&outcome(0).run).expect("it is there");
        assert!(found.psnr_db.is_nan(), "{found:?}");
    }
}
