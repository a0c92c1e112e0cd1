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

/// Says, for each number of bits that Bitcodes has, how far it is ahead of the best rival of about the same
/// number of bits, by the medians over the seeds.
pub fn leads(lines: &[Line]) -> String {
    let mut text = String::new();
    let is_ours = |line: &&Line| line.first().run.contestant.name.starts_with("Bitcodes");
    let median = |line: &Line| line.median(|run| run.psnr_db);
    for ours in lines.iter().filter(is_ours) {
        let Some(bits) = ours.first().bits_per_image else {
            continue;
        };
        if median(ours).is_nan() {
            continue;
        }
        // FSQ has no levels for exactly as many bits.
        let near = |line: &&Line| {
            let other = line.first().bits_per_image;
            line.first().run.contestant.settings.is_rival()
                && other.is_some_and(|other| (other / bits - 1.0).abs() < 0.02)
        };
        let rivals = lines.iter().filter(near);
        let rivals = rivals.filter(|line| !median(line).is_nan());
        if let Some(best) = rivals.max_by(|a, b| median(a).total_cmp(&median(b))) {
            let ahead = median(ours) - median(best);
            let (least, _) = ours.range(|run| run.psnr_db);
            writeln!(
                text,
                "{}, {bits:.0} bits: {ahead:+.2} dB against {}; the worst seed is {:.2} dB below the median",
                ours.first().run.contestant.name,
                best.first().run.contestant.name,
                median(ours) - least,
            )
            .expect("writing to a string does not fail");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leads_are_over_the_best_rival_of_as_many_bits() {
        let outcomes = [
            Outcome::made_up_of("VQ 256", 0, 19.0),
            Outcome::made_up_of("VQ 256", 1, 21.0),
            Outcome::made_up_of("FSQ 8 6 5", 0, 20.5),
            Outcome::made_up_of("LFQ 8", 0, f64::NAN),
            Outcome::made_up_of("RVQ 2x256", 0, 30.0),
            Outcome::made_up_of("none", 0, 40.0),
            Outcome::made_up_of("bitcodes-pytorch 8", 0, 29.0),
            Outcome::made_up_of("Bitcodes 8", 0, 20.75),
            Outcome::made_up_of("Bitcodes 8", 1, 20.25),
            Outcome::made_up_of("Bitcodes 8", 2, 21.75),
            Outcome::made_up_of("Bitcodes 32", 0, 31.0),
        ];
        assert_eq!(
            leads(&lines(&outcomes)),
            "Bitcodes 8, 32 bits: +0.25 dB against FSQ 8 6 5; the worst seed is 0.50 dB below the median\n"
        );
    }
}
