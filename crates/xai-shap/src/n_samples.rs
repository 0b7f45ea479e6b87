//! The number of coalitions to evaluate.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xai_core::{ParamError, require};

/// More coalitions than this have no place in memory.
const MAX_SAMPLES: usize = 1 << 31;

/// The number of coalitions to evaluate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NSamples {
    /// `2 * M + 2048` with `M` the players that vary, as in shap.
    #[default]
    Auto,
    /// This many, `1..=2^31`.
    Count(usize),
}

impl NSamples {
    /// The number for a game of `n_players`.
    #[must_use]
    pub fn resolve(self, n_players: usize) -> usize {
        match self {
            NSamples::Auto => 2 * n_players + 2048,
            NSamples::Count(count) => count,
        }
    }

    /// Checks the range, as a part of the check of the parameters.
    pub(crate) fn check(self) -> Result<(), ParamError> {
        match self {
            NSamples::Auto => Ok(()),
            NSamples::Count(count) => {
                let allowed = (1..=MAX_SAMPLES).contains(&count);
                require(allowed, "nsamples", "in 1..=2^31 or \"auto\"", count)
            }
        }
    }
}

impl Serialize for NSamples {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            NSamples::Auto => serializer.serialize_str("auto"),
            NSamples::Count(count) => count.serialize(serializer),
        }
    }
}

/// How [`NSamples`] stands in JSON and TOML.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "nsamples must be a whole number or \"auto\"")]
enum NSamplesForm {
    Count(usize),
    Word(AutoWord),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum AutoWord {
    Auto,
}

impl<'de> Deserialize<'de> for NSamples {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match NSamplesForm::deserialize(deserializer)? {
            NSamplesForm::Count(count) => NSamples::Count(count),
            NSamplesForm::Word(AutoWord::Auto) => NSamples::Auto,
        })
    }
}

impl JsonSchema for NSamples {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NSamples".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        NSamplesForm::json_schema(generator)
    }
}
