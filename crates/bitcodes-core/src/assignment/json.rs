//! The settings of a method in JSON.

use alloc::format;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::{Assignment, Independent, Joint};
use crate::{Initializer, Schedule};

/// An assignment as JSON has it: the method, and the settings of one method.
#[derive(Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "expected an assignment, as {\"method\": \"joint\", \"beam\": 8}"
)]
pub(super) struct Settings {
    pub method: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Schedule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initializer: Option<Initializer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beam: Option<usize>,
}

impl TryFrom<Settings> for Assignment {
    type Error = String;

    fn try_from(settings: Settings) -> Result<Self, String> {
        let Settings {
            method,
            temperature,
            initializer,
            beam,
        } = settings;
        let missing = |name: &str| format!("the method {method} has no {name}, expected one");
        let foreign = |name: &str, owner: &str, own: &str| {
            format!(
                "{name} is a setting of the method {owner}, expected those of the method {method}: {own}"
            )
        };
        match method.as_str() {
            "independent" => match (beam, temperature, initializer) {
                (Some(_), ..) => Err(foreign("beam", "joint", "temperature and initializer")),
                (_, None, _) => Err(missing("temperature")),
                (.., None) => Err(missing("initializer")),
                (None, Some(temperature), Some(initializer)) => Ok(Independent::new()
                    .with_temperature(temperature)
                    .with_initializer(initializer)
                    .into()),
            },
            "joint" => match (beam, temperature, initializer) {
                (_, Some(_), _) => Err(foreign("temperature", "independent", "beam")),
                (.., Some(_)) => Err(foreign("initializer", "independent", "beam")),
                (None, ..) => Err(missing("beam")),
                (Some(beam), ..) => Ok(Joint::new().with_beam(beam).into()),
            },
            unknown => Err(format!(
                "the method is {unknown:?}, expected \"independent\" or \"joint\""
            )),
        }
    }
}
