//! Fewer background rows that stand for many.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use xai_core::tabular::{Features, Kind};
use xai_core::{ParamError, Result, Seed, require};

use crate::background::check_background;
use crate::background_rows::BackgroundRows;
use crate::k_means::k_means;
use crate::params::KernelShapParams;

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

/// How a background is made smaller, once decided.
#[derive(Clone, Copy)]
enum Method {
    Sample,
    KMeans,
}

/// The rows that stand for the background, with their weights; `None` where all stand for themselves.
///
/// # Errors
/// Those of rows and weights that do not fit the table; [`ParamError`] when k-means was asked for and there are fewer
/// rows than means, categories, or sparse rows.
pub(crate) fn summarise(
    params: &KernelShapParams,
    rows: &BackgroundRows,
    features: &Features,
) -> Result<Option<(BackgroundRows, Vec<f64>)>> {
    let Some(method) = method(params, rows, features)? else { return Ok(None) };
    check_background(params, rows, params.weights.as_deref(), features)?;
    let weights = params.weights.clone().unwrap_or_else(|| vec![1.0; rows.n_rows()]);
    let seed = Seed::new(params.background_seed);
    let n = params.n_background_samples;
    let all = rows.n_rows();
    let (rows, weights) = match (method, rows) {
        (Method::KMeans, BackgroundRows::Dense(rows)) => {
            let strict = params.summarise_background == SummariseBackground::KMeans;
            let n = if strict { n } else { n.min(all) };
            let (rows, weights) = k_means(rows, &weights, n, params.round_background, seed)?;
            (BackgroundRows::Dense(rows), weights)
        }
        _ => {
            let chosen = sample(&weights, n, seed);
            (rows.select(&chosen), chosen.iter().map(|&row| weights[row]).collect())
        }
    };
    Ok(Some((rows, weights)))
}

fn method(
    params: &KernelShapParams,
    rows: &BackgroundRows,
    features: &Features,
) -> Result<Option<Method>, ParamError> {
    let name = "summarise_background";
    let categorical = features.iter().find(|feature| feature.kind != Kind::Numeric);
    let sparse = matches!(rows, BackgroundRows::Sparse(_));
    let grouped = params.groups.is_some() || params.group_names.is_some();
    Ok(match params.summarise_background {
        SummariseBackground::None => None,
        SummariseBackground::Sample => Some(Method::Sample),
        SummariseBackground::Auto if grouped || sparse || categorical.is_some() => {
            Some(Method::Sample)
        }
        SummariseBackground::Auto => Some(Method::KMeans),
        SummariseBackground::KMeans => {
            // Categories and mostly empty rows have no mean that could be such a row.
            let rule = "\"sample\" or \"auto\" for sparse rows";
            require(!sparse, name, rule, "k-means")?;
            if let Some(feature) = categorical {
                let feature = &feature.name;
                let rule =
                    format!("\"sample\" or \"auto\" with the categorical feature `{feature}`");
                require(false, name, rule, "k-means")?;
            }
            Some(Method::KMeans)
        }
    })
}

/// Which `n` of the rows with weight to take, ascending; all rows where there are no more.
fn sample(weights: &[f64], n: usize, seed: Seed) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..weights.len()).filter(|&row| 0.0 < weights[row]).collect();
    if rows.len() <= n {
        return (0..weights.len()).collect();
    }
    seed.stream().shuffle(&mut rows);
    rows.truncate(n);
    rows.sort_unstable();
    rows
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
