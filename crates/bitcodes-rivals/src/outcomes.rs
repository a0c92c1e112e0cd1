//! Outcomes of trainings, kept in a file with one JSON object per line.
//!
//! A training whose outcome is in the file is not run again, so a comparison can be stopped,
//! continued and extended.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use crate::autoencoder::Architecture;
use crate::contestants::Contestant;

/// Everything that decides the outcome of a training, except the program itself. After a change of
/// the program, begin another file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The quantizer.
    pub contestant: Contestant,
    /// Autoencoder around the quantizer.
    pub architecture: Architecture,
    /// Name of the images and a hash of their pixels.
    pub images: String,
    /// Images that are measured.
    pub measured: Measured,
    /// Passes over the training images.
    pub epochs: usize,
    /// Seed of the training.
    pub seed: u64,
}

/// The choice of images that are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measured {
    /// A part of the training images, held out of the training.
    HeldOut,
    /// The test images.
    Test,
}

/// The outcome of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The training.
    pub run: Run,
    /// Number of bits of an image's code; `None` if the image is not quantized.
    pub bits_per_image: Option<f64>,
    /// PSNR of the measured images in dB; NaN if the training diverged.
    #[serde(deserialize_with = "number_or_nan")]
    pub psnr_db: f64,
    /// PSNR of the training images in dB; NaN if the training diverged.
    #[serde(deserialize_with = "number_or_nan")]
    pub train_psnr_db: f64,
    /// Number of different codes among the measured tokens; `None` if they are not quantized.
    pub codes_used: Option<usize>,
    /// Smallest entropy of a bit over the measured tokens, in bits; `None` if codes are not made of
    /// bits.
    pub least_bit_entropy: Option<f64>,
    /// Number of values that the quantizer learns.
    pub parameters: usize,
    /// Time of the training in seconds.
    pub seconds: f64,
}

/// Reads a number, or null as NaN, which JSON does not have.
fn number_or_nan<'de, D: Deserializer<'de>>(source: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(source)?.unwrap_or(f64::NAN))
}

/// Outcomes, and the file to which new outcomes are added, if any.
#[derive(Debug, Default)]
pub struct Outcomes {
    all: Vec<Outcome>,
    file: Option<Opened>,
}

/// A file that is locked against other processes.
#[derive(Debug)]
struct Opened {
    path: PathBuf,
    file: File,
    /// Length of the file's whole lines in bytes.
    length: u64,
}

/// The beginning of every line.
const BEGINNING: &str = r#"{"run":"#;

/// Error of a file of outcomes that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OutcomesError(String);

impl Outcomes {
    /// Reads the outcomes of a file and keeps the file open to add more. A file that does not exist
    /// is made.
    ///
    /// If the last line has no end, as after an interrupted write, it is removed.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read or written, if another process has it open, or if
    /// a line is not an outcome.
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

    /// Returns the outcome of a training, if there is one.
    pub fn of(&self, run: &Run) -> Option<&Outcome> {
        self.all.iter().find(|outcome| outcome.run == *run)
    }

    /// Adds an outcome, also to the file.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written. The file still has whole lines only.
    pub fn add(&mut self, outcome: Outcome) -> Result<(), OutcomesError> {
        if let Some(Opened { path, file, length }) = &mut self.file {
            let line =
                serde_json::to_string(&outcome).expect("the value serializes to JSON") + "\n";
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
impl Outcome {
    /// Returns an outcome that was not measured, for tests.
    pub(crate) fn made_up(contestant: Contestant, seed: u64, psnr_db: f64) -> Self {
        let bits_per_token = contestant.settings.bits_per_token();
        Self {
            run: Run {
                contestant,
                architecture: Architecture::Mixer,
                images: "digits".into(),
                measured: Measured::HeldOut,
                epochs: 60,
                seed,
            },
            bits_per_image: bits_per_token.map(|bits| 4.0 * bits),
            psnr_db,
            train_psnr_db: psnr_db,
            codes_used: None,
            least_bit_entropy: None,
            parameters: 0,
            seconds: 0.0,
        }
    }

    /// Does the same for a built-in quantizer.
    pub(crate) fn made_up_of(name: &str, seed: u64, psnr_db: f64) -> Self {
        let mut all = crate::contestants::contestants(Architecture::Mixer).into_iter();
        let contestant = all.find(|one| one.name == name).expect("it exists");
        Self::made_up(contestant, seed, psnr_db)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_outcomes_of_the_documentation_are_read() {
        for text in [
            include_str!("../outcomes/digits.jsonl"),
            include_str!("../outcomes/tuned.jsonl"),
        ] {
            let outcomes = text.lines().map(serde_json::from_str::<Outcome>);
            let outcomes: Vec<Outcome> = outcomes.collect::<Result<_, _>>().expect("outcomes");
            assert!(outcomes.len() >= 20);
        }
    }

    fn outcome(seed: u64) -> Outcome {
        Outcome {
            train_psnr_db: 19.5,
            codes_used: Some(200),
            parameters: 4096,
            seconds: 1.5,
            ..Outcome::made_up_of("VQ 256", seed, 18.123456789)
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
        let text = fs::read_to_string(&path).expect("the file exists");
        fs::write(&path, &text[..text.len() - 9]).expect("cut short");

        let mut outcomes = Outcomes::open(&path).expect("an interrupted file");
        assert_eq!(outcomes.of(&outcome(0).run), Some(&outcome(0)));
        assert_eq!(outcomes.of(&outcome(1).run), None);
        outcomes.add(outcome(1)).expect("written");
        assert_eq!(fs::read_to_string(&path).expect("the file exists"), text);

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
        let found = outcomes
            .of(&outcome(0).run)
            .expect("the outcome is in the file");
        assert!(found.psnr_db.is_nan(), "{found:?}");
    }
}
