//! What a contrastive explanation says.

use std::fmt;

use ndarray::Array1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::figure::{Figure, Panel, Table, contrast, signed};
use xai_core::tabular::Change;
use xai_core::{Stop, serde_arrays};
use xai_optim::{Route, Status, Trial};

use crate::params::Mode;

/// The contrastive explanation of one instance. The field names are the JSON keys; arrays are by column, shape
/// `(n_columns,)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CemData {
    /// What was looked for.
    pub mode: Mode,
    /// How the search ended.
    pub status: Status,
    /// The same in a sentence.
    pub reason: String,
    /// The instance.
    #[serde(rename = "X", with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub x: Array1<f64>,
    /// What the model says of it.
    #[serde(rename = "X_pred")]
    pub x_pred: Prediction,
    /// The pertinent negative: the instance, changed as little as possible so that the decision is another one. `None`
    /// where none was found, and for pertinent positives.
    #[serde(rename = "PN", with = "serde_arrays::option")]
    #[schemars(with = "Option<Vec<f64>>")]
    pub pn: Option<Array1<f64>>,
    /// What the model says of it.
    #[serde(rename = "PN_pred")]
    pub pn_pred: Option<Prediction>,
    /// The pertinent positive: as little of the instance as possible, the other features at their value without
    /// information, so that the decision stays. `None` where none was found, and for pertinent negatives.
    #[serde(rename = "PP", with = "serde_arrays::option")]
    #[schemars(with = "Option<Vec<f64>>")]
    pub pp: Option<Array1<f64>>,
    /// What the model says of it.
    #[serde(rename = "PP_pred")]
    pub pp_pred: Option<Prediction>,
    /// The gradient of the loss at the result, clipped: of all its smooth terms for a white box, of those without the
    /// attack loss for a black box. The hinge counts as active. `None` without a result, or where the budget did not
    /// suffice.
    #[serde(with = "serde_arrays::option")]
    #[schemars(with = "Option<Vec<f64>>")]
    pub grads_graph: Option<Array1<f64>>,
    /// The numeric gradient of the weighted attack loss at the result, clipped; zeros for a white box.
    #[serde(with = "serde_arrays::option")]
    #[schemars(with = "Option<Vec<f64>>")]
    pub grads_num: Option<Array1<f64>>,
    /// The model's outputs for the instance, shape `(n_outputs,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub x_outputs: Array1<f64>,
    /// Its outputs for the result, shape `(n_outputs,)`.
    #[serde(with = "serde_arrays::option")]
    #[schemars(with = "Option<Vec<f64>>")]
    pub outputs: Option<Array1<f64>>,
    /// How far the result is from the instance, or for pertinent positives from the values without information.
    pub distances: Option<Distances>,
    /// The features that differ there.
    pub changes: Vec<Change>,
    /// Where nothing was found, the row whose outputs came closest to what was looked for.
    #[serde(with = "serde_arrays::option")]
    #[schemars(with = "Option<Vec<f64>>")]
    pub nearest_miss: Option<Array1<f64>>,
    /// Its outputs, shape `(n_outputs,)`.
    #[serde(with = "serde_arrays::option")]
    #[schemars(with = "Option<Vec<f64>>")]
    pub nearest_miss_outputs: Option<Array1<f64>>,
    /// The way on which the result was found.
    pub route: Option<Route>,
    /// The weights `c` that were tried, at most [`c_steps`](crate::CemParams::c_steps).
    pub trials: Vec<Trial>,
    /// Names of the features.
    pub feature_names: Vec<String>,
    /// The values without information.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub no_info_val: Array1<f64>,
    /// The shape of an image; `None` for a row of a table.
    pub shape: Option<Vec<usize>>,
    /// Rows the models were asked for, the autoencoder's among them.
    pub n_queries: u64,
    /// Why the search ended: `converged` when it was done.
    pub stop: Stop,
}

/// What the model says of a row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Prediction {
    /// A class, by index.
    Class(usize),
    /// The value of the output that an interval is asked for.
    Value(f64),
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Prediction::Class(class) => write!(f, "{class}"),
            Prediction::Value(value) => write!(f, "{value}"),
        }
    }
}

/// How far a result is from where its search started, each at least 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Distances {
    /// The sum of absolute changes.
    pub l1: f64,
    /// The sum of squared changes.
    pub l2: f64,
    /// What the search makes small: `l2 + beta * l1`.
    pub elastic_net: f64,
}

impl CemData {
    /// The result, whichever of the two was looked for.
    #[must_use]
    pub fn result(&self) -> Option<&Array1<f64>> {
        self.pn.as_ref().or(self.pp.as_ref())
    }

    /// What the model says of it.
    #[must_use]
    pub fn result_pred(&self) -> Option<Prediction> {
        self.pn_pred.or(self.pp_pred)
    }

    /// A table of the changes.
    #[must_use]
    pub fn table(&self) -> Table {
        let [from, to] = self.sides();
        let row = |Change { feature, from, to, by }: &Change| {
            vec![feature.clone(), from.clone(), by.map_or_else(String::new, signed), to.clone()]
        };
        Table {
            title: self.title(),
            columns: ["feature", from, "change", to].map(str::to_owned).to_vec(),
            rows: self.changes.iter().map(row).collect(),
        }
    }

    /// What changes, and what it changes to.
    fn sides(&self) -> [&'static str; 2] {
        match self.mode {
            Mode::PertinentNegative => ["instance", "pertinent negative"],
            Mode::PertinentPositive => ["without information", "pertinent positive"],
        }
    }

    fn title(&self) -> String {
        match self.result_pred() {
            Some(other) => format!("Prediction {} -> {other}. {}", self.x_pred, self.reason),
            None => format!("Prediction {}. {}", self.x_pred, self.reason),
        }
    }

    /// The explanation as a figure: for images what changes, the change as a map and the result, else a table. What changes
    /// is the instance, for pertinent positives the values without information.
    #[must_use]
    pub fn figure(&self) -> Figure {
        let before = match self.mode {
            Mode::PertinentNegative => &self.x,
            Mode::PertinentPositive => &self.no_info_val,
        };
        let [from, to] = self.sides();
        let images = self
            .shape
            .as_ref()
            .zip(self.result())
            .and_then(|(shape, result)| contrast(shape, (from, before), (to, result)));
        let panels = images.unwrap_or_else(|| vec![Panel::Table(self.table())]);
        Figure { title: self.title(), panels }
    }
}
