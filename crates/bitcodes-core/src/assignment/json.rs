//! The settings of a method in JSON.

use alloc::format;
use alloc::string::String;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Assignment, Independent, Joint, Method};
use crate::{Initializer, Schedule};

/// An assignment as JSON has it: the method, and the settings of one method.
#[derive(Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "an assignment, as {\"method\": \"joint\", \"beam\": 8}"
)]
pub(super) struct Settings {
    pub method: Method,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub temperature: Option<Schedule>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub initializer: Option<Initializer>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub beam: Option<usize>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub unquantized_below: Option<f64>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub balance_weight: Option<f64>,
}

/// Reads a field that is there: `null` is a value of the wrong type, not a field that is missing.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    field: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(field).map(Some)
}

impl Settings {
    /// The settings of independent bits; an error if there are others.
    pub fn independent(self) -> Result<Assignment, String> {
        let own = "temperature and initializer";
        if self.unquantized_below.is_some() {
            return Err(self.foreign("unquantized_below", Method::Joint, own));
        }
        if self.balance_weight.is_some() {
            return Err(self.foreign("balance_weight", Method::Joint, own));
        }
        match (self.beam, self.temperature, self.initializer) {
            (Some(_), ..) => Err(self.foreign("beam", Method::Joint, own)),
            (_, None, _) => Err(self.missing("temperature")),
            (.., None) => Err(self.missing("initializer")),
            (None, Some(temperature), Some(initializer)) => Ok(Independent::new()
                .with_temperature(temperature)
                .with_initializer(initializer)
                .into()),
        }
    }

    /// The settings of joint bits; an error if there are others.
    pub fn joint(self) -> Result<Assignment, String> {
        let own = "beam, unquantized_below and balance_weight";
        match (self.beam, self.temperature, self.initializer) {
            (_, Some(_), _) => Err(self.foreign("temperature", Method::Independent, own)),
            (.., Some(_)) => Err(self.foreign("initializer", Method::Independent, own)),
            (None, ..) => Err(self.missing("beam")),
            // Files from before these settings are of trainings without them.
            (Some(beam), ..) => Ok(Joint::new()
                .with_beam(beam)
                .with_unquantized_below(self.unquantized_below.unwrap_or(0.0))
                .with_balance_weight(self.balance_weight.unwrap_or(0.0))
                .into()),
        }
    }

    fn missing(&self, name: &str) -> String {
        let method = self.method.name();
        format!("the method {method} has no {name}, expected one")
    }

    fn foreign(&self, name: &str, owner: Method, own: &str) -> String {
        let (owner, method) = (owner.name(), self.method.name());
        format!(
            "{name} is a setting of the method {owner}, expected those of the method {method}: {own}"
        )
    }
}
