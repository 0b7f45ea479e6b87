//! Fewer background rows that stand for many.

use xai_core::tabular::{Features, Kind};
use xai_core::{ParamError, Result, Seed, require};

use crate::background::check_background;
use crate::background_rows::BackgroundRows;
use crate::k_means::k_means;
use crate::params::KernelShapParams;
use crate::summarise_background::SummariseBackground;

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
                    format_args!("\"sample\" or \"auto\" with the categorical feature `{feature}`");
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
