//! What a contrastive explanation says.

use std::fmt;

use ndarray::Array1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::figure::{Figure, HeatMap, Panel, Table};
use xai_core::optim::{Route, Status, Trial};
use xai_core::{Stop, nested};

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
    #[serde(rename = "X", with = "nested")]
    #[schemars(with = "Vec<f64>")]
    pub x: Array1<f64>,
    /// What the model says of it.
    #[serde(rename = "X_pred")]
    pub x_pred: Prediction,
    /// The pertinent negative: the instance, changed as little as possible so that the decision is another one. `None`
    /// where none was found, and for pertinent positives.
    #[serde(rename = "PN", with = "nested::option")]
    #[schemars(with = "Option<Vec<f64>>")]
    pub pn: Option<Array1<f64>>,
    /// What the model says of it.
    #[serde(rename = "PN_pred")]
    pub pn_pred: Option<Prediction>,
    /// The pertinent positive: as little of the instance as possible, the other features at their value without
    /// information, so that the decision stays. `None` where none was found, and for pertinent negatives.
    #[serde(rename = "PP", with = "nested::option")]
    #[schemars(with = "Option<Vec<f64>>")]
    pub pp: Option<Array1<f64>>,
    /// What the model says of it.
    #[serde(rename = "PP_pred")]
    pub pp_pred: Option<Prediction>,
    /// The gradient of the loss at the result, clipped: of all its smooth terms for a white box, of those without the
    /// attack loss for a black box. The hinge counts as active. `None` without a result, or where the budget did not
    /// suffice.
    #[serde(with = "nested::option")]
    #[schemars(with = "Option<Vec<f64>>")]
    pub grads_graph: Option<Array1<f64>>,
    /// The numeric gradient of the weighted attack loss at the result, clipped; zeros for a white box.
    #[serde(with = "nested::option")]
    #[schemars(with = "Option<Vec<f64>>")]
    pub grads_num: Option<Array1<f64>>,
    /// The model's outputs for the instance, shape `(n_outputs,)`.
    #[serde(with = "nested")]
    #[schemars(with = "Vec<f64>")]
    pub x_outputs: Array1<f64>,
    /// Its outputs for the result, shape `(n_outputs,)`.
    #[serde(with = "nested::option")]
    #[schemars(with = "Option<Vec<f64>>")]
    pub outputs: Option<Array1<f64>>,
    /// How far the result is from the instance, or for pertinent positives from the values without information.
    pub distances: Option<Distances>,
    /// The features that differ there.
    pub changes: Vec<Change>,
    /// Where nothing was found, the row whose outputs came closest to what was looked for.
    #[serde(with = "nested::option")]
    #[schemars(with = "Option<Vec<f64>>")]
    pub nearest_miss: Option<Array1<f64>>,
    /// Its outputs, shape `(n_outputs,)`.
    #[serde(with = "nested::option")]
    #[schemars(with = "Option<Vec<f64>>")]
    pub nearest_miss_outputs: Option<Array1<f64>>,
    /// The way on which the result was found.
    pub route: Option<Route>,
    /// The weights `c` that were tried, at most [`c_steps`](crate::CemParams::c_steps).
    pub trials: Vec<Trial>,
    /// Names of the features.
    pub feature_names: Vec<String>,
    /// The values without information.
    #[serde(with = "nested")]
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

/// One feature that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The feature's name.
    pub feature: String,
    /// Its value in the instance, or for pertinent positives the one without information, for people.
    pub from: String,
    /// Its value in the result, for people.
    pub to: String,
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
        let columns = match self.mode {
            Mode::PertinentNegative => ["feature", "instance", "pertinent negative"],
            Mode::PertinentPositive => ["feature", "without information", "pertinent positive"],
        };
        let row = |Change { feature, from, to }: &Change| [feature, from, to].map(Clone::clone);
        Table {
            title: self.title(),
            columns: columns.map(str::to_owned).to_vec(),
            rows: self.changes.iter().map(|change| row(change).to_vec()).collect(),
        }
    }

    fn title(&self) -> String {
        match self.result_pred() {
            Some(other) => format!("Prediction {} -> {other}. {}", self.x_pred, self.reason),
            None => format!("Prediction {}. {}", self.x_pred, self.reason),
        }
    }

    /// The explanation as a figure: for images the instance, the change and the result as maps, else a table.
    #[must_use]
    pub fn figure(&self) -> Figure {
        let maps = self.shape.as_ref().zip(self.result()).map(|(shape, result)| {
            let center = match self.mode {
                Mode::PertinentNegative => &self.x,
                Mode::PertinentPositive => &self.no_info_val,
            };
            let change = result - center;
            [("instance", &self.x), ("change", &change), ("result", result)]
                .map(|(title, pixels)| Panel::HeatMap(map(title, shape, pixels)))
                .to_vec()
        });
        let panels = maps.unwrap_or_else(|| vec![Panel::Table(self.table())]);
        Figure { title: self.title(), panels }
    }
}

/// Pixels as a map, channels summed.
fn map(title: &str, shape: &[usize], pixels: &Array1<f64>) -> HeatMap {
    let n_channels = shape.get(2).copied().unwrap_or(1);
    let pixels = pixels.as_slice().unwrap_or_default();
    let values = pixels.chunks(n_channels).map(|channels| channels.iter().sum()).collect();
    HeatMap::new(title, "pixel value", (shape[0], shape[1]), values)
}
