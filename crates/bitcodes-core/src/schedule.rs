//! Settings that change over the steps of a training.

use core::f64::consts::PI;
use core::fmt;
use core::str::FromStr;

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A number for each step of a training: a constant, or a curve from a start to an end.
///
/// ```
/// use bitcodes_core::Schedule;
///
/// let schedule = Schedule::cosine(4.0, 0.5, 1000);
/// assert_eq!(schedule.value(0), 4.0);
/// assert_eq!(schedule.value(500), 2.25);
/// assert_eq!(schedule.value(1000), 0.5); // and at each later step
/// assert_eq!("cosine:4:0.5:1000".parse(), Ok(schedule));
/// assert_eq!("0.7".parse(), Ok(Schedule::from(0.7)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected a number, or a curve with start, end and steps"
)]
pub enum Schedule {
    /// The same number at each step; its JSON is the number itself.
    Constant(f64),
    /// A curve over the first `steps` steps, then its end at all later steps.
    Curve {
        /// The shape of the curve.
        curve: Curve,
        /// The number at step 0.
        start: f64,
        /// The number from step `steps` on.
        end: f64,
        /// Number of steps from the start to the end.
        steps: usize,
    },
}

/// The shape of a [`Schedule`]'s curve from its start (`t = 0`) to its end (`t = 1`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Curve {
    /// `start + (end - start) t`
    Linear,
    /// `start (end / start)^t`; start and end have to be above 0
    Exponential,
    /// `end + (start - end) (1 + cos(pi t)) / 2`
    Cosine,
}

/// The error of a text that is not a [`Schedule`]; it holds the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no schedule, expected a number, or linear, exponential or cosine with :START:END:STEPS"
)]
pub struct ScheduleParseError(String);

/// The error of a schedule that is not valid.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The schedule has no steps.
    #[error("the schedule {0} has 0 steps, expected at least 1")]
    NoSteps(Schedule),
    /// An exponential schedule starts or ends at 0 or below.
    #[error("the schedule {0} cannot reach 0, expected both ends above 0")]
    ExponentialToZero(Schedule),
}

impl Schedule {
    /// Makes a straight line from `start` at step 0 to `end` at step `steps`.
    pub const fn linear(start: f64, end: f64, steps: usize) -> Self {
        Self::from_curve(Curve::Linear, start, end, steps)
    }

    /// Makes an exponential curve from `start` at step 0 to `end` at step `steps`.
    ///
    /// The number changes by the same factor at each step. `start` and `end` have to be above 0.
    pub const fn exponential(start: f64, end: f64, steps: usize) -> Self {
        Self::from_curve(Curve::Exponential, start, end, steps)
    }

    /// Makes half a cosine from `start` at step 0 to `end` at step `steps`.
    ///
    /// The number changes slowly at both ends.
    pub const fn cosine(start: f64, end: f64, steps: usize) -> Self {
        Self::from_curve(Curve::Cosine, start, end, steps)
    }

    const fn from_curve(curve: Curve, start: f64, end: f64, steps: usize) -> Self {
        Self::Curve {
            curve,
            start,
            end,
            steps,
        }
    }

    /// Returns the number at a step; the first step is 0.
    pub fn value(&self, step: usize) -> f64 {
        match *self {
            Self::Constant(value) => value,
            Self::Curve { end, steps, .. } if step >= steps => end,
            Self::Curve {
                curve,
                start,
                end,
                steps,
            } => {
                let t = step as f64 / steps as f64;
                match curve {
                    Curve::Linear => start + (end - start) * t,
                    Curve::Exponential => start * libm::pow(end / start, t),
                    Curve::Cosine => end + (start - end) * 0.5 * (1.0 + libm::cos(PI * t)),
                }
            }
        }
    }

    /// Checks that a curve has steps, and that the ends of an exponential one are above 0.
    pub(crate) fn validate(&self) -> Result<(), ScheduleError> {
        match *self {
            Self::Curve { steps: 0, .. } => Err(ScheduleError::NoSteps(*self)),
            Self::Curve {
                curve: Curve::Exponential,
                start,
                end,
                ..
            } if start <= 0.0 || end <= 0.0 => Err(ScheduleError::ExponentialToZero(*self)),
            _ => Ok(()),
        }
    }

    /// Returns the two ends, between which all values lie.
    pub(crate) fn ends(&self) -> [f64; 2] {
        match *self {
            Self::Constant(value) => [value; 2],
            Self::Curve { start, end, .. } => [start, end],
        }
    }
}

/// Makes a constant schedule.
impl From<f64> for Schedule {
    fn from(value: f64) -> Self {
        Self::Constant(value)
    }
}

/// Writes the form that [`FromStr`] reads: `0.7`, or `cosine:4:0.5:1000`.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(value) => write!(f, "{value}"),
            Self::Curve {
                curve,
                start,
                end,
                steps,
            } => {
                let curve = match curve {
                    Curve::Linear => "linear",
                    Curve::Exponential => "exponential",
                    Curve::Cosine => "cosine",
                };
                write!(f, "{curve}:{start}:{end}:{steps}")
            }
        }
    }
}

impl FromStr for Schedule {
    type Err = ScheduleParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            if let Ok(value) = text.parse() {
                return Some(Self::Constant(value));
            }
            let parts: Vec<&str> = text.split(':').collect();
            let [curve, start, end, steps] = parts[..] else {
                return None;
            };
            let curve = match curve {
                "linear" => Curve::Linear,
                "exponential" => Curve::Exponential,
                "cosine" => Curve::Cosine,
                _ => return None,
            };
            Some(Self::from_curve(
                curve,
                start.parse().ok()?,
                end.parse().ok()?,
                steps.parse().ok()?,
            ))
        };
        read().ok_or_else(|| ScheduleParseError(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn curves_start_end_and_have_their_middle_where_their_formula_says() {
        for (schedule, middle) in [
            (Schedule::linear(8.0, 2.0, 10), 5.0),
            (Schedule::exponential(8.0, 2.0, 10), 4.0),
            (Schedule::cosine(8.0, 2.0, 10), 5.0),
        ] {
            assert_eq!(schedule.value(0), 8.0);
            assert!((schedule.value(5) - middle).abs() < 1e-12, "{schedule}");
            assert_eq!(schedule.value(10), 2.0);
            assert_eq!(schedule.value(usize::MAX), 2.0);
            let values: Vec<f64> = (0..=10).map(|step| schedule.value(step)).collect();
            assert!(values.is_sorted_by(|a, b| a > b), "{schedule}: {values:?}");
        }
        // A quarter of the steps takes the cosine less than a quarter of the way.
        let cosine = Schedule::cosine(8.0, 2.0, 100);
        let quarter = 2.0 + 6.0 * (1.0 + core::f64::consts::FRAC_1_SQRT_2) / 2.0;
        assert!((cosine.value(25) - quarter).abs() < 1e-12);
        assert_eq!(Schedule::from(0.3).value(7), 0.3);
    }

    #[test]
    fn a_schedule_is_read_back_from_its_text_and_from_its_json() {
        for schedule in [
            Schedule::from(0.25),
            Schedule::linear(1.0, 0.0, 3),
            Schedule::exponential(2.0, 1e-3, 500),
            Schedule::cosine(4.0, 0.5, 1000),
        ] {
            assert_eq!(schedule.to_string().parse(), Ok(schedule));
            let json = serde_json::to_string(&schedule).unwrap();
            assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), schedule);
        }
        assert_eq!(
            serde_json::to_string(&Schedule::from(0.25)).unwrap(),
            "0.25"
        );
        let longer = r#"{"curve": "linear", "start": 1, "end": 0, "steps": 3, "warm": 1}"#;
        let error = serde_json::from_str::<Schedule>(longer).unwrap_err();
        assert!(
            error.to_string().starts_with("expected a number, or"),
            "{error}"
        );
        for wrong in [
            "",
            "warm",
            "cosine:1:2",
            "cosine:1:2:-3",
            "sine:1:2:3",
            "cosine:1:2:3:4",
        ] {
            let error = wrong.parse::<Schedule>().unwrap_err().to_string();
            assert!(
                error.starts_with(&alloc::format!("{wrong:?} is no")),
                "{error}"
            );
        }
    }
}
