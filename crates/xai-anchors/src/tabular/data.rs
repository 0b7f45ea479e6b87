//! What an AnchorTabular explanation holds.

use ndarray::{Array1, Array2};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::figure::{Figure, Panel};
use xai_core::{ParamError, Stop, require, serde_arrays};

use super::condition::Operator;
use super::rule::Rule;
use crate::certificate::Certificate;
use crate::data::{Coverage, Estimate, Held, Queries, Status, TraceStep};

/// The anchor of one row. The field names are the JSON keys; those of alibi are where alibi has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnchorTabularData {
    /// The conditions of the anchor in words, one for each feature it holds; empty for the empty anchor.
    pub anchor: Vec<String>,
    /// The share of perturbations for which the model decides as for the row, as the search saw it: too large on
    /// average, since the anchor was chosen for it. `certificate` tells it without that bias.
    pub precision: f64,
    /// The share of training rows that satisfy the anchor; `coverage_of` says how it was counted.
    pub coverage: f64,
    /// How the search ended.
    pub status: Status,
    /// What the status means, in a sentence.
    pub reason: String,
    /// Why no more was done.
    pub stop: Stop,
    /// The precision on fresh samples; `null` without `final_samples`, and when the budget left none.
    pub certificate: Option<Certificate>,
    /// The coverage, and how it was counted.
    pub coverage_of: Coverage,
    /// The precision of the empty anchor: how often the model decides as for the row, whatever is held fixed.
    pub base_rate: Estimate,
    /// The predicates in the order in which the search added them.
    pub predicates: Vec<Predicate>,
    /// The anchor as a rule that can be applied to rows.
    pub rule: Rule,
    /// The highest precision that a chosen anchor of each size had, from one predicate on: how near the search came.
    pub best_of_size: Vec<Estimate>,
    /// Anchors that were considered, as `top_k` asks for them.
    pub candidates: Vec<Candidate>,
    /// What the model was asked.
    pub queries: Queries,
    /// The steps of the bandit, with `verbose`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<TraceStep>,
    /// The layout of alibi's explanation.
    pub raw: Raw,
}

/// One predicate of an anchor, and the anchor up to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Predicate {
    /// The feature, by index.
    pub feature: usize,
    /// Its name.
    pub name: String,
    /// The predicate in words.
    pub text: String,
    /// How it is compared.
    pub op: Operator,
    /// With what: the code of a category, or an edge; `null` for missing values.
    pub value: Option<f64>,
    /// The category, for `eq`.
    pub category: Option<String>,
    /// The edge by its place among those of the feature, for `le` and `gt`.
    pub edge_index: Option<usize>,
    /// The precision of the anchor up to this predicate, with its samples.
    pub precision: Estimate,
    /// What the predicate adds to the precision.
    pub gain: f64,
    /// The coverage of the anchor up to this predicate.
    pub coverage: Coverage,
}

/// An anchor that was considered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Its conditions in words.
    pub anchor: Vec<String>,
    /// It as a rule.
    pub rule: Rule,
    /// Its precision as the search saw it.
    pub precision: Estimate,
    /// Its coverage.
    pub coverage: Coverage,
    /// Whether it passed the test of validity; a strict search asks for a certificate besides.
    pub valid: bool,
}

/// The fields of alibi's explanation that are not above, with its names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    /// The features that the anchor holds, each once, in the order in which they were added.
    pub feature: Vec<usize>,
    /// The precision of the anchor up to each predicate.
    pub mean: Vec<f64>,
    /// The same.
    pub precision: Vec<f64>,
    /// The coverage of the anchor up to each predicate.
    pub coverage: Vec<f64>,
    /// Perturbations of the anchor up to each predicate.
    pub examples: Vec<Examples>,
    /// The precision of the empty anchor.
    pub all_precision: f64,
    /// Perturbations that the search asked the model for.
    pub num_preds: u64,
    /// Whether the precision constraint is met.
    pub success: bool,
    /// As `anchor`.
    pub names: Vec<String>,
    /// The model's decision for the row, shape `(1,)`: a class, or the number of a bin, or a quantity.
    pub prediction: Vec<f64>,
    /// The row, shape `(n_columns,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<serde_arrays::Number>")]
    pub instance: Array1<f64>,
    /// The row, shape `(1, n_columns)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<Vec<serde_arrays::Number>>")]
    pub instances: Array2<f64>,
}

/// Perturbations that an anchor covers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Examples {
    /// Those for which the model decides as for the row, shape `(n, n_columns)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<Vec<serde_arrays::Number>>")]
    pub covered_true: Array2<f64>,
    /// Those for which it does not, shape `(n, n_columns)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<Vec<serde_arrays::Number>>")]
    pub covered_false: Array2<f64>,
    /// Always empty, as in alibi.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<Vec<serde_arrays::Number>>")]
    pub uncovered_true: Array2<f64>,
    /// Always empty, as in alibi.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<Vec<serde_arrays::Number>>")]
    pub uncovered_false: Array2<f64>,
}

impl AnchorTabularData {
    /// The features of the anchor's first `size` predicates, each once; all for `None`.
    ///
    /// # Errors
    /// [`ParamError`] when the anchor has fewer predicates.
    pub fn features(&self, size: Option<usize>) -> Result<Vec<usize>, ParamError> {
        let mut features = Vec::new();
        for predicate in &self.predicates[..self.size(size)?] {
            if !features.contains(&predicate.feature) {
                features.push(predicate.feature);
            }
        }
        Ok(features)
    }

    /// The precision of the anchor's first `size` predicates; that of the empty anchor for 0, of all for `None`.
    ///
    /// # Errors
    /// As [`features`](Self::features).
    pub fn precision(&self, size: Option<usize>) -> Result<f64, ParamError> {
        Ok(match self.size(size)? {
            0 => self.base_rate.mean,
            n => self.predicates[n - 1].precision.mean,
        })
    }

    /// The coverage of the anchor's first `size` predicates; 1 for 0, of all for `None`.
    ///
    /// # Errors
    /// As [`features`](Self::features).
    pub fn coverage(&self, size: Option<usize>) -> Result<f64, ParamError> {
        Ok(match self.size(size)? {
            0 => 1.0,
            n => self.predicates[n - 1].coverage.coverage,
        })
    }

    /// The examples of the anchor's first `size` predicates, at least one; of all for `None`.
    ///
    /// # Errors
    /// As [`features`](Self::features), and for 0, since the empty anchor has none.
    pub fn examples(&self, size: Option<usize>) -> Result<&Examples, ParamError> {
        let size = self.size(size)?;
        require(0 < size, "size", "at least 1", size)?;
        Ok(&self.raw.examples[size - 1])
    }

    fn size(&self, size: Option<usize>) -> Result<usize, ParamError> {
        let all = self.predicates.len();
        let size = size.unwrap_or(all);
        require(size <= all, "size", format!("at most the anchor's {all} predicates"), size)?;
        Ok(size)
    }

    /// The anchor as a table: precision and coverage from the base rate through each predicate, then what is certain.
    #[must_use]
    pub fn figure(&self) -> Figure {
        let held =
            |own: &Predicate| (own.text.clone(), own.precision.clone(), own.coverage.coverage);
        let table = Held {
            reason: &self.reason,
            base_rate: &self.base_rate,
            held: self.predicates.iter().map(held).collect(),
            certificate: self.certificate.as_ref(),
        }
        .table();
        let title = match self.anchor.as_slice() {
            [] => "Anchor: none needed".to_owned(),
            anchor => format!("Anchor: {}", anchor.join(" AND ")),
        };
        Figure { title, panels: vec![Panel::Table(table)] }
    }
}
