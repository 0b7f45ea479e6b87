//! From many anchors to a view of the model.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::tabular::Features;
use xai_core::{ParamError, Result, Rows, require};

use super::rule::Rule;
use crate::bits::Bits;

/// One rule of a pick.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Pick {
    /// Its index in the list of rules.
    pub rule: usize,
    /// Rows that it satisfies and none before it does.
    pub n_new: usize,
    /// The share of rows that this rule or one before it covers.
    pub coverage: f64,
}

/// Picks up to `k` rules that together cover as many rows as they can, one after the other: each time the one that
/// covers most rows that none before it covers, the first of equals. It ends early when no rule adds a row.
///
/// No other choice of `k` rules covers more than `1 / (1 - 1/e)` times as many rows.
///
/// # Errors
/// As [`Rule::matches`], and [`Error::Param`](xai_core::Error::Param) when `k` is 0.
///
/// # Source
/// Ribeiro, Singh & Guestrin 2016, "Why should I trust you?", algorithm 2 (submodular pick), with anchors as in Ribeiro,
/// Singh & Guestrin 2018; Nemhauser, Wolsey & Fisher 1978 for the bound.
pub fn submodular_pick(
    rules: &[Rule],
    features: &Features,
    rows: &Rows,
    k: usize,
) -> Result<Vec<Pick>> {
    require(0 < k, "k", "at least 1", k)?;
    let mut sets = Vec::with_capacity(rules.len());
    for rule in rules {
        let mut set = Bits::none(rows.nrows());
        rule.covered(features, rows)?.into_iter().for_each(|row| set.insert(row));
        sets.push(set);
    }
    let mut left = Bits::all(rows.nrows());
    let mut picks = Vec::new();
    while picks.len() < k {
        let gains = sets.iter().map(|set| set.count_common(&left)).enumerate();
        let best = gains.reduce(|best, other| if best.1 < other.1 { other } else { best });
        let Some((rule, n_new @ 1..)) = best else { break };
        left = left.and(&sets[rule].not());
        let coverage = 1.0 - left.count() as f64 / rows.nrows() as f64;
        picks.push(Pick { rule, n_new, coverage });
    }
    Ok(picks)
}

/// Weights that give every class the same share of the draws, for
/// [`row_weights`](crate::AnchorTabularParams::row_weights): one for each row, the inverse of the size of its class.
///
/// `classes` is the class of each training row, as the model or the data has it.
///
/// # Errors
/// [`ParamError`] when there is no row.
pub fn class_balanced_weights(classes: &[usize]) -> Result<Vec<f64>, ParamError> {
    require(!classes.is_empty(), "classes", "at least one", 0)?;
    let mut sorted = classes.to_vec();
    sorted.sort_unstable();
    let size = |class: &usize| {
        let end = sorted.partition_point(|other| other <= class);
        end - sorted.partition_point(|other| other < class)
    };
    Ok(classes.iter().map(|class| 1.0 / size(class) as f64).collect())
}
