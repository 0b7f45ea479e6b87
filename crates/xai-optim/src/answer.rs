//! What the counterfactual methods answer: a row beside an instance, how far away it is and what differs.

use ndarray::Array1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::figure::{Bar, Bars, Table, signed};
use xai_core::serde_arrays;
use xai_core::tabular::Change;
use xai_core::{BatchPlan, ModelRef, Output, OutputNames, Reading, Result, Row, Run, Status, Stop};

use crate::loss::ClassScores;
use crate::outcome::Candidate;
use crate::problem::Instance;

/// A row beside an instance, and what the model says of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Counterfactual {
    /// The row, shape `(n_columns,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub row: Array1<f64>,
    /// The model's outputs for it, shape `(n_outputs,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub outputs: Array1<f64>,
    /// The class that the model decides for; for an interval 0 is outside and 1 inside.
    pub class: usize,
    /// How far the row is.
    pub distances: Distances,
    /// The features that differ, in the order of the table.
    pub changes: Vec<Change>,
}

impl Counterfactual {
    /// An answer of its parts.
    #[must_use]
    pub fn new(
        row: Array1<f64>,
        outputs: Array1<f64>,
        class: usize,
        distances: Distances,
        changes: Vec<Change>,
    ) -> Self {
        Counterfactual { row, outputs, class, distances, changes }
    }
}

/// How far a row is from where nothing costs, each at least 0. Changes count times the constraints' scales and costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Distances {
    /// The sum of the absolute changes.
    pub l1: f64,
    /// The root of the sum of the squared changes.
    pub l2: f64,
    /// What the search makes small: the squared and the absolute changes, each with the method's weight.
    pub elastic_net: f64,
}

impl Distances {
    /// The distances of a point that a search found for an instance.
    #[must_use]
    pub fn of(instance: &Instance, candidate: &Candidate) -> Self {
        let parts = instance.parts(&candidate.point);
        Distances { l1: parts.absolute, l2: parts.squares.sqrt(), elastic_net: candidate.distance }
    }
}

/// How the outputs of the model were read, and the names of its classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Classes {
    /// What the outputs were read as.
    pub output: Output,
    /// The names of the classes, those of the model where it has any.
    pub names: Vec<String>,
}

impl Classes {
    /// The classes of a model with these names, which may be none.
    #[must_use]
    pub fn new(scores: &ClassScores, names: Option<&[String]>) -> Self {
        let reading = scores.reading();
        let given = OutputNames::new(names.unwrap_or_default());
        let name = |class| given.class(class, reading);
        let names = (0..scores.n_classes()).map(name).collect();
        Classes { output: reading.meaning().clone(), names }
    }

    /// The name of a class, from `names` where there are any; `outputs` are those of any row, shape `(n_outputs,)`.
    #[must_use]
    pub fn name(&self, class: usize, names: &OutputNames, outputs: &Row) -> String {
        let reading = Reading::new(&self.output, None, outputs);
        match reading {
            Ok(reading) if !names.as_slice().is_empty() => names.class(class, &reading),
            _ => self.names.get(class).cloned().unwrap_or_else(|| format!("class {class}")),
        }
    }
}

impl Classes {
    /// The title of the figure of a counterfactual: the class of the instance, that of the counterfactual and, where the
    /// outputs are probabilities, how probable it is. `outputs` are those of the instance, shape `(n_outputs,)`.
    #[must_use]
    pub fn counterfactual_title(
        &self,
        class: usize,
        cf: Option<&Counterfactual>,
        names: &OutputNames,
        outputs: &Row,
    ) -> String {
        let name = |class| self.name(class, names, outputs);
        let Some(cf) = cf else { return format!("{}, no counterfactual", name(class)) };
        let title = format!("{} would be {}", name(class), name(cf.class));
        let reading = Reading::new(&self.output, None, &cf.outputs);
        let scores = reading.ok().and_then(|reading| reading.class_scores(&cf.outputs));
        match scores.and_then(|scores| scores.get(cf.class).copied()) {
            Some(proba) if (0.0..=1.0).contains(&proba) => {
                format!("{title} with probability {proba:.3}")
            }
            _ => title,
        }
    }
}

/// A sentence about the end of a search.
#[must_use]
pub fn reason(status: Status, stop: Option<Stop>) -> &'static str {
    match (status, stop) {
        (Status::Found, None) => "Found.",
        (Status::Found, Some(_)) => "The best that was found before the search was stopped.",
        (Status::Empty, _) => {
            "Empty: the model decides so for the uninformative reference values alone."
        }
        (Status::AlreadySatisfied, _) => "Found: the instance itself reaches the target.",
        (Status::GradientVanished, _) => {
            "Not found: the model is flat around the instance, and other ways found nothing."
        }
        (Status::RangeInfeasible, _) => {
            "Not found: only changes that are not allowed would lead closer."
        }
        (Status::TrustRejected, _) => "Not found: what reached the target was not trusted.",
        (Status::Stopped, _) => "Not found before the search was stopped.",
        _ => "Not found: the search did not reach the target.",
    }
}

/// A table of changes.
#[must_use]
pub fn table_of_changes(title: String, from: &str, to: &str, changes: &[Change]) -> Table {
    let row = |Change { feature, from, to, by }: &Change| {
        vec![feature.clone(), from.clone(), by.map_or_else(String::new, signed), to.clone()]
    };
    Table {
        title,
        columns: ["feature", from, "change", to].map(str::to_owned).to_vec(),
        rows: changes.iter().map(row).collect(),
    }
}

/// A bar for each quantity that changes, the largest change first; `None` where none does.
#[must_use]
pub fn bars_of_changes(changes: &[Change]) -> Option<Bars> {
    let bar = |change: &Change| {
        let (label, detail) = (change.feature.clone(), format!("{} -> {}", change.from, change.to));
        change.by.map(|value| Bar { label, detail, value, error: None })
    };
    let mut bars: Vec<Bar> = changes.iter().filter_map(bar).collect();
    bars.sort_by(|a, b| b.value.abs().total_cmp(&a.value.abs()));
    let (title, unit) = ("What has to change".to_owned(), "change".to_owned());
    (!bars.is_empty()).then_some(Bars { title, unit, bars })
}

/// The model's outputs for one row of each run, in shared calls; each of shape `(n_outputs,)`.
///
/// # Errors
/// As [`Run::query_batched`].
///
/// # Cost
/// One query for each row.
pub fn outputs_of_rows(
    model: ModelRef<'_>,
    rows: &[&Row],
    runs: &mut [Run<'_>],
) -> Result<Vec<Array1<f64>>> {
    let sizes = vec![1; rows.len()];
    let gradients = vec![0; rows.len()];
    let n_features = rows.first().map_or(0, |row| row.len());
    let mut outputs = Vec::with_capacity(rows.len());
    Run::query_batched(
        runs,
        ModelRef::BlackBox(model.predictor()),
        BatchPlan { sizes: &sizes, gradients: &gradients, n_features },
        |run, _, cells| cells.assign(rows[run]),
        |_, _, _| None,
        |_, _, row, _| {
            outputs.push(row.to_owned());
            Ok(())
        },
    )?;
    Ok(outputs)
}

/// The middle of a column, or the mean of the two in the middle; NaN of none.
#[must_use]
pub fn median(column: &Row) -> f64 {
    let mut values = column.to_vec();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}
