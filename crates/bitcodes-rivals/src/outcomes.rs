//! What came of trainings, kept in a file of one JSON object a line: a training that is there is not
//! run again, so a comparison can be stopped, gone on with, and added to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::autoencoder::Architecture;
use crate::contestants::Contestant;

/// All that decides what comes of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The quantizer.
    pub contestant: Contestant,
    /// What it is in.
    pub architecture: Architecture,
    /// Name of the images.
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
    /// PSNR of the images that are measured, in dB.
    pub psnr_db: f64,
    /// PSNR of those that were trained on, in dB.
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

/// Outcomes, and the file that they are added to, if any.
#[derive(Debug, Default)]
pub struct Outcomes {
    all: Vec<Outcome>,
    file: Option<(PathBuf, File)>,
}

/// A file of outcomes that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OutcomesError(String);

impl Outcomes {
    /// Those of a file, which is made if it is not there, and which more are added to.
    ///
    /// # Errors
    ///
    /// Where it cannot be read or written, or a line is no outcome. A last line without an end, as
    /// an interrupted write leaves, is taken off.
    pub fn open(path: &Path) -> Result<Self, OutcomesError> {
        let of_io = |error: io::Error| OutcomesError(format!("{}: {error}", path.display()));
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(of_io(error)),
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let all: Result<_, _> = text[..whole]
            .lines()
            .enumerate()
            .map(|(index, line)| {
                serde_json::from_str(line).map_err(|error| {
                    let line = index + 1;
                    OutcomesError(format!(
                        "{}, line {line}: {error}, expected an outcome of this program",
                        path.display()
                    ))
                })
            })
            .collect();
        let all = all?;
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(of_io)?;
        if whole < text.len() {
            file.set_len(whole as u64).map_err(of_io)?;
        }
        Ok(Self {
            all,
            file: Some((path.to_path_buf(), file)),
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
    /// Where the file cannot be written.
    pub fn add(&mut self, outcome: Outcome) -> Result<(), OutcomesError> {
        if let Some((path, file)) = &mut self.file {
            let line = serde_json::to_string(&outcome).expect("it has no maps") + "\n";
            file.write_all(line.as_bytes())
                .map_err(|error| OutcomesError(format!("{}: {error}", path.display())))?;
        }
        self.all.push(outcome);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contestants::contestants;

    fn outcome(seed: u64) -> Outcome {
        Outcome {
            run: Run {
                contestant: contestants().swap_remove(1),
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

        fs::write(&path, text + "{}\n").expect("broken");
        let error = Outcomes::open(&path).expect_err("line 3").to_string();
        assert!(
            error.contains("outcomes.jsonl, line 3: missing field"),
            "{error}"
        );
    }
}
