//! The setting that makes a background smaller.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// How a background is made smaller. In JSON and TOML `true` is [`Auto`](Self::Auto) and `false` [`None`](Self::None).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SummariseBackground {
    /// Not at all.
    #[default]
    None,
    /// By [`Sample`](Self::Sample) when there are `groups` or `group_names`, when a feature is categorical or when the
    /// background is sparse, otherwise by [`KMeans`](Self::KMeans), down to `n_background_samples` rows or as many as
    /// there are.
    Auto,
    /// `n_background_samples` rows drawn without replacement, uniformly, in their order and with their weights; all
    /// rows where there are no more.
    Sample,
    /// The means of `n_background_samples` clusters, each with the weight of its members; for dense rows of numeric
    /// features. The rows themselves, with their counts, where no more are distinct.
    KMeans,
}

/// How [`SummariseBackground`] stands in JSON and TOML.
#[derive(Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "summarise_background must be a boolean, \"none\", \"auto\", \"sample\" or \"k-means\""
)]
enum Form {
    Flag(bool),
    Word(SummaryWord),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum SummaryWord {
    None,
    Auto,
    Sample,
    KMeans,
}

impl<'de> Deserialize<'de> for SummariseBackground {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Form::deserialize(deserializer)? {
            Form::Flag(false) | Form::Word(SummaryWord::None) => SummariseBackground::None,
            Form::Flag(true) | Form::Word(SummaryWord::Auto) => SummariseBackground::Auto,
            Form::Word(SummaryWord::Sample) => SummariseBackground::Sample,
            Form::Word(SummaryWord::KMeans) => SummariseBackground::KMeans,
        })
    }
}

impl JsonSchema for SummariseBackground {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SummariseBackground".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Form::json_schema(generator)
    }
}
