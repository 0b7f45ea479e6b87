//! What a grid search found, and what it proved.

use std::fmt;

use ndarray::{Array1, Array2};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::figure::{Bar, Bars, Figure, Panel, Table};
use xai_core::tabular::Change;
use xai_core::{OutputNames, Status, Stop, serde_arrays};

use crate::target::Prediction;

/// The counterfactuals of one instance. The field names are the JSON keys.
///
/// Answers are ordered by distance, then by how many features change, then by their cells.
/// For each set of features there are all its closest points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct GridCounterfactualData {
    /// Whether there is an answer: `found`, `none-exists` (all points were asked, or no output of this model could reach the
    /// target), `stopped` before there was one, or `already-satisfied` by the instance itself.
    pub status: Status,
    /// Why the search ended: `converged` when it was done; otherwise a part of the grid is left open.
    pub stop: Stop,
    /// Rows that reach the target, shape `(n_answers, n_columns)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<Vec<f64>>")]
    pub counterfactuals: Array2<f64>,
    /// Their distances from the instance, at least 0, shape `(n_answers,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub distances: Array1<f64>,
    /// What the model says of them, shape `(n_answers,)`.
    pub predictions: Vec<Prediction>,
    /// What each of them changes, in the order of the table, shape `(n_answers,)`.
    pub changes: Vec<Vec<Change>>,
    /// Whether no grid point within the limits that reaches the target is closer, shape `(n_answers,)`. Limits are the
    /// length, the features, the constraints, and with
    /// [`prune_supersets`](crate::GridCounterfactualParams::prune_supersets) that no part of the set does it alone.
    pub optimal: Vec<bool>,
    /// How much closer a point that changes exactly the same features could still be, where a stop left that open; 0
    /// where none is, shape `(n_answers,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub gaps: Array1<f64>,
    /// No grid point within the limits that reaches the target is closer than this. The first distance, when all was
    /// searched that could be closer; `null` when it is known that there is none at all.
    pub lower_bound: Option<f64>,
    /// The instance, shape `(n_columns,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub instance: Array1<f64>,
    /// What the model says of it.
    pub instance_prediction: Prediction,
    /// Names of the features.
    pub feature_names: Vec<String>,
    /// Their values in the instance, human-readable.
    pub feature_values: Vec<String>,
    /// Features whose value in the instance lies outside their range. They may change all the same.
    pub out_of_range: Vec<OutOfRange>,
    /// Grid points within the limits.
    pub n_points: u64,
    /// Sets of features within the limits.
    pub n_combinations: u64,
    /// Sets that were searched until their answer was certain.
    pub n_combinations_searched: u64,
    /// Sets that were left out because a part of them reaches the target.
    pub n_combinations_pruned: u64,
}

/// A feature whose value lies outside its range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct OutOfRange {
    /// The feature's name.
    pub feature: String,
    /// Its value, human-readable.
    pub value: String,
    /// Its range, human-readable.
    pub range: String,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {}, its range is {}", self.feature, self.value, self.range)
    }
}

impl GridCounterfactualData {
    /// How much closer the closest answer could still be; 0 when it is optimal, `None` without answers.
    #[must_use]
    pub fn gap(&self) -> Option<f64> {
        let first = self.distances.first()?;
        Some(first - self.lower_bound.unwrap_or(*first))
    }

    /// The names of the features that an answer changes.
    ///
    /// # Panics
    /// When there are no more than `answer` answers.
    #[must_use]
    pub fn changed_features(&self, answer: usize) -> Vec<&str> {
        self.changes[answer].iter().map(|change| change.feature.as_str()).collect()
    }

    /// The answers in words: the instance with its prediction, then for each answer its prediction, its distance and a
    /// line for each feature that differs. `names` are those of the classes where the answers have numbers.
    #[must_use]
    pub fn textualise(&self, names: &OutputNames) -> String {
        let cells = self.feature_names.iter().zip(&self.feature_values);
        let cells: Vec<String> = cells.map(|(name, value)| format!("*{name}*: {value}")).collect();
        let prediction = self.instance_prediction.describe(names);
        let mut text = format!("Instance of class *{prediction}*:\n{}\n", cells.join(", "));
        if self.changes.is_empty() {
            text += &format!("\n{}\n", self.reason());
        }
        for (answer, changes) in self.changes.iter().enumerate() {
            let prediction = self.predictions[answer].describe(names);
            let distance = self.distances[answer];
            text += &format!("\nCounterfactual of class *{prediction}* at distance {distance}:\n");
            for Change { feature, from, to, .. } in changes {
                text += &format!("    feature *{feature}*: *{from}* -> *{to}*\n");
            }
        }
        text
    }

    /// Why there is no answer, or how many there are.
    fn reason(&self) -> String {
        match self.status {
            Status::Found => format!("{} counterfactuals.", self.distances.len()),
            Status::AlreadySatisfied => "The instance itself reaches the target.".to_owned(),
            Status::Stopped => format!(
                "No counterfactual was found: {}. Not all of the grid was searched.",
                self.stop
            ),
            _ => "No point of the grid is a counterfactual.".to_owned(),
        }
    }

    /// A table of the answers: the changes, the prediction, the distance, and what is proved. `names` are those of the
    /// classes where the answers have numbers.
    #[must_use]
    pub fn table(&self, names: &OutputNames) -> Table {
        let row = |answer: usize| {
            let changes: Vec<String> = self.changes[answer].iter().map(Change::to_string).collect();
            let proof = match (self.optimal[answer], self.gaps[answer]) {
                (true, _) => "optimal".to_owned(),
                (false, 0.0) => "closest of its features".to_owned(),
                (false, gap) => format!("at most {gap} too far"),
            };
            let prediction = self.predictions[answer].describe(names);
            vec![changes.join(", "), prediction, self.distances[answer].to_string(), proof]
        };
        Table {
            title: format!(
                "Prediction {}. {}",
                self.instance_prediction.describe(names),
                self.reason()
            ),
            columns: ["changes", "prediction", "distance", "proof"].map(str::to_owned).to_vec(),
            rows: (0..self.distances.len()).map(row).collect(),
        }
    }

    /// The table, and for each set of features how far away its closest answer is. `names` are those of the classes where
    /// the answers have numbers.
    #[must_use]
    pub fn figure(&self, names: &OutputNames) -> Figure {
        let mut bars: Vec<Bar> = Vec::new();
        for answer in 0..self.changes.len() {
            let label = self.changed_features(answer).join(" + ");
            if bars.iter().all(|bar| bar.label != label) {
                let detail = self.predictions[answer].describe(names);
                bars.push(Bar { label, detail, value: self.distances[answer], error: None });
            }
        }
        let mut panels = vec![Panel::Table(self.table(names))];
        if !bars.is_empty() {
            let title = "Features that have to change together".to_owned();
            panels.push(Panel::Bars(Bars { title, unit: "distance".to_owned(), bars }));
        }
        Figure { title: "Grid counterfactuals".to_owned(), panels }
    }
}

impl xai_core::ToFigure for GridCounterfactualData {
    fn figure(&self, names: &xai_core::OutputNames) -> xai_core::Figure {
        self.figure(names)
    }
}
