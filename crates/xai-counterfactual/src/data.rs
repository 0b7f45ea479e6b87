//! What a search for a counterfactual says.

use std::collections::BTreeMap;

use ndarray::Array1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::figure::{Bar, Bars, Figure, Panel, Table, contrast, signed};
use xai_core::tabular::Change;
use xai_core::{Stop, serde_arrays};
use xai_optim::{Route, Status};

/// The counterfactual of one instance. The field names are the JSON keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CounterfactualData {
    /// The closest row found that reaches the target; `None` where none was found.
    pub cf: Option<CounterfactualRecord>,
    /// Hits of the descent by the place of their lambda: the closest of each, or as many as
    /// [`trace`](crate::CounterfactualParams::trace) says.
    pub all: BTreeMap<usize, Vec<CounterfactualRecord>>,
    /// The most probable class of the instance, the first of equals.
    pub orig_class: usize,
    /// Its probability.
    pub orig_proba: f64,
    /// Whether there is a counterfactual. With the reference semantics: true once the bisection began, whatever it
    /// found, and `None` before.
    pub success: Option<bool>,
    /// How the search ended; never `"empty-pp"` or `"trust-rejected"`.
    pub status: Status,
    /// The same in a sentence.
    pub reason: String,
    /// The way on which the counterfactual was found; `"start"` where the instance reaches the target itself.
    pub route: Option<Route>,
    /// Where nothing was found, the row that came closest to the target, and what the model says of it.
    pub nearest_miss: Option<CounterfactualRecord>,
    /// The features that differ in the counterfactual.
    pub changes: Vec<Change>,
    /// The weights of the distance that were tried.
    pub lambdas: Vec<Lambda>,
    /// The instance, shape `(n_columns,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub instance: Array1<f64>,
    /// Names of the features.
    pub feature_names: Vec<String>,
    /// The shape of an image; `None` for a row of a table.
    pub shape: Option<Vec<usize>>,
    /// Rows the model was asked for.
    pub n_queries: u64,
    /// Why the search ended: `converged` when it was done.
    pub stop: Stop,
}

/// A row, and what the model says of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CounterfactualRecord {
    /// The row, shape `(n_columns,)`.
    #[serde(rename = "X", with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub x: Array1<f64>,
    /// Its distance from the instance, at least 0.
    pub distance: f64,
    /// The lambda of the step that led here: for a polished row the hit of the descent that is closest to it. `None` where
    /// no step did.
    pub lambda: Option<f64>,
    /// The place of that step: `max_iter` times the place of lambda, plus the steps before it.
    pub index: Option<usize>,
    /// The most probable class, the first of equals.
    pub class: usize,
    /// The probabilities of the classes, shape `(n_classes,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub proba: Array1<f64>,
    /// `(p - target_proba)^2 + lambda * distance` with the probability `p` of the target class, lambda counting as 0
    /// where there is none. With the reference semantics `p` is the largest probability.
    pub loss: f64,
}

/// A weight of the distance, as it was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lambda {
    /// The weight.
    pub lambda: f64,
    /// Steps that were taken; 0 where the distance outweighs every change from the start.
    pub n_steps: usize,
    /// How many of them reached the target.
    pub n_hits: usize,
    /// The distance of the closest of these; `None` where none did.
    pub distance: Option<f64>,
}

impl CounterfactualData {
    /// The counterfactual as a figure: for an image the instance, the change as a map and the counterfactual, else a table of
    /// the changes, and for quantities that change a bar for each.
    #[must_use]
    pub fn figure(&self) -> Figure {
        let title = match &self.cf {
            Some(cf) => format!(
                "Class {} becomes {} with probability {:.3} at distance {:.4}",
                self.orig_class, cf.class, cf.proba[cf.class], cf.distance
            ),
            None => format!("Class {}, no counterfactual", self.orig_class),
        };
        let images = self.shape.as_ref().zip(self.cf.as_ref()).and_then(|(shape, cf)| {
            contrast(shape, ("instance", &self.instance), ("counterfactual", &cf.x))
        });
        let panels = images.unwrap_or_else(|| {
            let bars = self.bars().into_iter().map(Panel::Bars);
            bars.chain([Panel::Table(self.table())]).collect()
        });
        Figure { title, panels }
    }

    /// A table of the changes.
    #[must_use]
    pub fn table(&self) -> Table {
        let columns = ["feature", "instance", "change", "counterfactual"];
        let cells = |Change { feature, from, to, by }: &Change| {
            vec![feature.clone(), from.clone(), by.map_or_else(String::new, signed), to.clone()]
        };
        Table {
            title: self.reason.clone(),
            columns: columns.map(str::to_owned).to_vec(),
            rows: self.changes.iter().map(cells).collect(),
        }
    }

    /// The quantities that change, the largest change first; `None` where none does.
    fn bars(&self) -> Option<Bars> {
        let bar = |Change { feature, to, by, .. }: &Change| {
            let (label, detail) = (feature.clone(), to.clone());
            by.map(|value| Bar { label, detail, value, error: None })
        };
        let mut bars: Vec<Bar> = self.changes.iter().filter_map(bar).collect();
        bars.sort_by(|a, b| b.value.abs().total_cmp(&a.value.abs()));
        let (title, unit) = ("What has to change".to_owned(), "change".to_owned());
        (!bars.is_empty()).then_some(Bars { title, unit, bars })
    }
}
