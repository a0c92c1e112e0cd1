//! The method of an assignment without its settings, and what a record holds of an assignment.

use serde::{Deserialize, Serialize};

use super::{Assignment, Independent, Joint};

/// A method of deciding bits, without its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Method {
    /// The method of [`Assignment::Independent`].
    Independent,
    /// The method of [`Assignment::Joint`].
    Joint,
}

impl Method {
    /// Returns the name of the method, as configurations and records hold it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Independent => "independent",
            Self::Joint => "joint",
        }
    }

    /// Returns the method with its default settings.
    pub(crate) fn with_defaults(self) -> Assignment {
        match self {
            Self::Independent => Independent::new().into(),
            Self::Joint => Joint::new().into(),
        }
    }
}

/// The part of an assignment that a record holds. Schedules and initializers are not in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentRecord {
    pub(crate) method: Method,
    pub(crate) beam: Option<usize>,
}
