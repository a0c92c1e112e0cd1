//! The table of outcomes.

use std::fmt::Write;

use crate::outcomes::{Outcome, Run};

/// The outcomes of one quantizer, which differ only in their seeds.
#[derive(Debug)]
pub struct Line<'a>(Vec<&'a Outcome>);

/// Groups outcomes into one line for each quantizer with its settings, in the order of their first
/// outcomes.
pub fn lines<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Vec<Line<'a>> {
    let mut lines: Vec<Line> = Vec::new();
    for outcome in outcomes {
        let same = |line: &&mut Line| {
            let first = line.first();
            let seed = first.run.seed;
            first.run
                == Run {
                    seed,
                    ..outcome.run.clone()
                }
        };
        match lines.iter_mut().find(same) {
            Some(line) => line.0.push(outcome),
            None => lines.push(Line(vec![outcome])),
        }
    }
    lines
}

impl<'a> Line<'a> {
    /// The first outcome of the line.
    pub fn first(&self) -> &'a Outcome {
        self.0[0]
    }

    /// The median of a value over the seeds.
    pub fn median(&self, value: impl Fn(&Outcome) -> f64) -> f64 {
        let values = self.sorted(value);
        let middle = values.len() / 2;
        match values.len() % 2 {
            1 => values[middle],
            _ => (values[middle - 1] + values[middle]) / 2.0,
        }
    }

    /// The smallest and the largest value over the seeds.
    pub fn range(&self, value: impl Fn(&Outcome) -> f64) -> (f64, f64) {
        let values = self.sorted(value);
        (values[0], values[values.len() - 1])
    }

    fn sorted(&self, value: impl Fn(&Outcome) -> f64) -> Vec<f64> {
        let mut values: Vec<f64> = self.0.iter().map(|outcome| value(outcome)).collect();
        values.sort_by(f64::total_cmp);
        values
    }
}

/// Prints the lines as a table. Values are medians over the seeds; the entropy is the smallest of
/// all bits and seeds.
pub fn table(lines: &[Line]) -> String {
    let width = lines
        .iter()
        .map(|line| line.first().run.contestant.name.len());
    let width = width.max().unwrap_or(0).max(9);
    let mut text = format!(
        "{:width$} {:>6} {:>5} {:>6} {:>16} {:>9} {:>6} {:>7} {:>7} {:>6}\n",
        "quantizer",
        "bits",
        "seeds",
        "PSNR",
        "min .. max",
        "train",
        "codes",
        "entropy",
        "params",
        "s"
    );
    for line in lines {
        let first = line.first();
        let shown = |value: Option<f64>, digits: usize| match value {
            Some(value) => format!("{value:.digits$}"),
            None => "-".into(),
        };
        let (least, most) = line.range(|run| run.psnr_db);
        let codes = first
            .codes_used
            .map(|_| line.median(|run| run.codes_used.unwrap_or(0) as f64));
        let entropy = first
            .least_bit_entropy
            .map(|_| line.range(|run| run.least_bit_entropy.unwrap_or(0.0)).0);
        writeln!(
            text,
            "{:width$} {:>6} {:>5} {:>6.2} {:>16} {:>9.2} {:>6} {:>7} {:>7} {:>6.1}",
            first.run.contestant.name,
            shown(first.bits_per_image, 1),
            line.0.len(),
            line.median(|run| run.psnr_db),
            format!("{least:.2} .. {most:.2}"),
            line.median(|run| run.train_psnr_db),
            shown(codes, 0),
            shown(entropy, 2),
            first.parameters,
            line.median(|run| run.seconds),
        )
        .expect("writing to a string does not fail");
    }
    text
}
