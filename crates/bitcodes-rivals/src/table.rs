//! What came of all trainings, as a table.

use std::fmt::Write;

use crate::train::Outcome;

/// A line for each quantizer, in the order of their first outcome.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for outcome in outcomes {
        if !names.contains(&outcome.name.as_str()) {
            names.push(&outcome.name);
        }
    }
    let mut text = format!(
        "{:18} {:>6} {:>6} {:>16} {:>9} {:>6} {:>7} {:>6}\n",
        "quantizer", "bits", "PSNR", "min .. max", "train", "codes", "params", "s"
    );
    for name in names {
        let runs: Vec<&Outcome> = outcomes.iter().filter(|run| run.name == name).collect();
        let psnr = sorted(&runs, |run| run.psnr_db);
        let bits = match runs[0].bits_per_image {
            Some(bits) => format!("{bits:.1}"),
            None => "-".into(),
        };
        let codes = match runs[0].codes_used {
            Some(_) => {
                let codes = sorted(&runs, |run| run.codes_used.unwrap_or_default() as f64);
                format!("{:.0}", median(&codes))
            }
            None => "-".into(),
        };
        let range = format!("{:.2} .. {:.2}", psnr[0], psnr[psnr.len() - 1]);
        writeln!(
            text,
            "{name:18} {bits:>6} {:>6.2} {range:>16} {:>9.2} {codes:>6} {:>7} {:>6.1}",
            median(&psnr),
            median(&sorted(&runs, |run| run.train_psnr_db)),
            runs[0].parameters,
            median(&sorted(&runs, |run| run.seconds)),
        )
        .expect("a string takes all");
    }
    text
}

fn sorted(runs: &[&Outcome], value: impl Fn(&Outcome) -> f64) -> Vec<f64> {
    let mut values: Vec<f64> = runs.iter().map(|run| value(run)).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Of sorted values.
fn median(values: &[f64]) -> f64 {
    let middle = values.len() / 2;
    match values.len() % 2 {
        1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}
