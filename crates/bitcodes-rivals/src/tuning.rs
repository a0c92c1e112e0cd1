//! The choice of a rival's settings for a set of images.

use crate::contestants::{Contestant, Settings, read};
use crate::outcomes::Outcome;

/// Seed of the trainings by which settings are chosen, which no measurement uses.
pub const TUNING_SEED: u64 = u64::MAX >> 12;

/// Returns the settings of rivals from which the best are chosen.
pub fn candidates() -> Vec<Contestant> {
    read(include_str!("../settings/rivals.json")).expect("a test reads the file")
}

/// Returns whether two quantizers are the same one but for settings to be chosen: those that change neither
/// its kind nor its codes.
pub fn are_alternatives(a: &Contestant, b: &Contestant) -> bool {
    match (&a.settings, &b.settings) {
        (Settings::Vector(a), Settings::Vector(b)) => {
            (a.codebooks, a.size) == (b.codebooks, b.size)
        }
        (Settings::Scalar(a), Settings::Scalar(b)) => a.levels == b.levels,
        (Settings::LookupFree(a), Settings::LookupFree(b)) => a.num_bits == b.num_bits,
        _ => false,
    }
}

/// Returns, for each quantizer among the outcomes, the settings with the highest PSNR. A training that
/// diverged is the worst.
pub fn best<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Vec<Contestant> {
    let mut best: Vec<&Outcome> = Vec::new();
    for outcome in outcomes {
        let contestant = &outcome.run.contestant;
        let same = |other: &&mut &Outcome| are_alternatives(&other.run.contestant, contestant);
        match best.iter_mut().find(same) {
            Some(known) => {
                if known.psnr_db.is_nan() || outcome.psnr_db > known.psnr_db {
                    *known = outcome;
                }
            }
            None => best.push(outcome),
        }
    }
    let best = best.into_iter();
    best.map(|outcome| outcome.run.contestant.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_the_highest_psnr_are_chosen_for_each_quantizer() {
        let all = candidates();
        let of = |name: &str| -> Vec<&Contestant> {
            let begins = |one: &&Contestant| one.name.starts_with(name);
            all.iter().filter(begins).collect()
        };
        let (vq, fsq) = (of("VQ 256"), of("FSQ 8 6 5"));
        assert!(vq.len() > 3 && fsq.len() > 3);
        let made_up = |one: &Contestant, psnr_db| Outcome::made_up(one.clone(), 0, psnr_db);
        let outcomes = [
            made_up(vq[0], f64::NAN),
            made_up(fsq[0], 20.0),
            made_up(vq[1], 18.0),
            made_up(vq[2], 19.0),
            made_up(fsq[1], f64::NAN),
            made_up(vq[3], 17.0),
        ];
        assert_eq!(best(&outcomes), [vq[2].clone(), fsq[0].clone()]);
    }
}
