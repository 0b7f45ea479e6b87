//! The answer of AnchorTabular.

use ndarray::{Array1, Array2};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::figure::{Figure, Panel};
use xai_core::{OutputNames, ParamError, serde_arrays};

use super::condition::Operator;
use super::rule::Rule;
use crate::data::{
    AnchorResult, AnchorTable, Coverage, Estimate, TableRow, nonempty_size, partial_size,
};

/// The anchor of one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct AnchorTabularData {
    /// The conditions of the anchor in words, one for each feature in it; empty for the empty anchor.
    pub anchor: Vec<String>,
    /// Precision, coverage, status and what else all anchors have.
    #[serde(flatten)]
    pub result: AnchorResult,
    /// The predicates in the order in which the search added them.
    pub predicates: Vec<Predicate>,
    /// The anchor as a rule that can be applied to rows.
    pub rule: Rule,
    /// Perturbations of the anchor up to each predicate, in the order of `predicates`, as `n_covered_ex` asks for them.
    pub examples: Vec<Examples>,
    /// Anchors that were considered, as `top_k` asks for them.
    pub candidates: Vec<Candidate>,
    /// The row, shape `(n_columns,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<serde_arrays::Number>")]
    pub instance: Array1<f64>,
}

/// One predicate of an anchor, and the anchor up to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
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
#[non_exhaustive]
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

/// Perturbations that an anchor covers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Examples {
    /// Those for which the model decides as for the row, shape `(n, n_columns)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<Vec<serde_arrays::Number>>")]
    pub covered_true: Array2<f64>,
    /// Those for which it does not, shape `(n, n_columns)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<Vec<serde_arrays::Number>>")]
    pub covered_false: Array2<f64>,
}

impl AnchorTabularData {
    /// The features of the anchor's first `size` predicates, each once; all for `None`.
    ///
    /// # Errors
    /// [`ParamError`] when the anchor has fewer predicates.
    pub fn features(&self, size: Option<usize>) -> Result<Vec<usize>, ParamError> {
        let mut features = Vec::new();
        for predicate in &self.predicates[..partial_size(size, self.predicates.len())?] {
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
        Ok(match partial_size(size, self.predicates.len())? {
            0 => self.result.base_rate.mean,
            n => self.predicates[n - 1].precision.mean,
        })
    }

    /// The coverage of the anchor's first `size` predicates; 1 for 0, of all for `None`.
    ///
    /// # Errors
    /// As [`features`](Self::features).
    pub fn coverage(&self, size: Option<usize>) -> Result<f64, ParamError> {
        Ok(match partial_size(size, self.predicates.len())? {
            0 => 1.0,
            n => self.predicates[n - 1].coverage.coverage,
        })
    }

    /// The examples of the anchor's first `size` predicates, at least one; of all for `None`.
    ///
    /// # Errors
    /// As [`features`](Self::features), and for 0, since the empty anchor has none.
    pub fn examples(&self, size: Option<usize>) -> Result<&Examples, ParamError> {
        Ok(&self.examples[nonempty_size(size, self.predicates.len())? - 1])
    }

    /// The anchor as a table: precision and coverage from the base rate through each predicate, then the certificate.
    /// `names` are those of the classes.
    #[must_use]
    pub fn figure(&self, names: &OutputNames) -> Figure {
        let row = |predicate: &Predicate| TableRow {
            predicate: predicate.text.clone(),
            precision: predicate.precision.clone(),
            coverage: predicate.coverage.coverage,
        };
        let rows = self.predicates.iter().map(row).collect();
        let table = AnchorTable { result: &self.result, rows }.table();
        let title = self.result.title(names, &self.anchor.join(" AND "));
        Figure { title, panels: vec![Panel::Table(table)] }
    }
}

impl xai_core::ToFigure for AnchorTabularData {
    fn figure(&self, names: &xai_core::OutputNames) -> xai_core::Figure {
        self.figure(names)
    }
}
