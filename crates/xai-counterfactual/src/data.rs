//! What a search for a counterfactual says.

use ndarray::Array1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::figure::{Figure, Panel, Table, contrast};
use xai_core::{OutputNames, Status, Stop, serde_arrays};
use xai_optim::{Classes, Counterfactual, Route, bars_of_changes, table_of_changes};

/// The counterfactual of one instance. The field names are the JSON keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct CounterfactualData {
    /// How the search ended; `already-satisfied` where the instance itself reaches the target.
    pub status: Status,
    /// The same in a sentence.
    pub reason: String,
    /// The instance, shape `(n_columns,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub instance: Array1<f64>,
    /// The model's outputs for it, shape `(n_outputs,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub outputs: Array1<f64>,
    /// The class that the model decides for.
    pub class: usize,
    /// How outputs were read, and the names of the classes.
    pub classes: Classes,
    /// The closest row found that reaches the target; `None` where none was found.
    pub cf: Option<Counterfactual>,
    /// The step of the descent that led to it: for a polished row the hit of the descent that is closest to it. `None`
    /// where no step did.
    pub step: Option<Step>,
    /// Where nothing was found, the row that came closest to the target.
    pub nearest_miss: Option<Counterfactual>,
    /// The way on which the counterfactual was found; `"start"` where the instance reaches the target itself.
    pub route: Option<Route>,
    /// The weights of the distance that were tried, with their hits. With the reference semantics those of the bisection,
    /// empty where it did not begin.
    pub lambdas: Vec<Lambda>,
    /// Names of the features.
    pub feature_names: Vec<String>,
    /// The shape of an image; `None` for a row of a table.
    pub shape: Option<Vec<usize>>,
    /// Why the search ended: `converged` when it was done.
    pub stop: Stop,
}

/// A step of a descent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Step {
    /// The weight of the distance.
    pub lambda: f64,
    /// The place of the step: `max_iterations` times the place of lambda, plus the steps before it.
    pub index: usize,
    /// The loss of the counterfactual with this lambda, as in [`Hit`].
    pub loss: f64,
}

/// A weight of the distance, as it was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Lambda {
    /// The weight.
    pub lambda: f64,
    /// Steps that were taken; 0 where the distance outweighs every change from the start.
    pub n_steps: usize,
    /// How many of them reached the target.
    pub n_hits: usize,
    /// The distance of the closest of these; `None` where none did.
    pub distance: Option<f64>,
    /// The closest of these, or as many as [`trace`](crate::CounterfactualParams::trace) says.
    pub hits: Vec<Hit>,
}

/// A step that reached the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Hit {
    /// The place of the step, as in [`Step`].
    pub index: usize,
    /// The row, shape `(n_columns,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub row: Array1<f64>,
    /// The model's outputs for it, shape `(n_outputs,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub outputs: Array1<f64>,
    /// Its distance from the instance, at least 0.
    pub distance: f64,
    /// `(p - target_proba)^2 + lambda * distance` with the probability `p` of the target class. With the reference
    /// semantics `p` is the largest probability.
    pub loss: f64,
}

impl CounterfactualData {
    /// Whether there is a counterfactual.
    #[must_use]
    pub fn success(&self) -> bool {
        self.cf.is_some()
    }

    /// The counterfactual as a figure: for an image the instance, the change as a map and the counterfactual, else a table of
    /// the changes, and for quantities that change a bar for each.
    ///
    /// `names` are those of the model's outputs or classes; without any the names in [`classes`](Self::classes) are taken.
    #[must_use]
    pub fn figure(&self, names: &OutputNames) -> Figure {
        let title =
            self.classes.counterfactual_title(self.class, self.cf.as_ref(), names, &self.outputs);
        let images = self.shape.as_ref().zip(self.cf.as_ref()).and_then(|(shape, cf)| {
            contrast(shape, ("instance", &self.instance), ("counterfactual", &cf.row))
        });
        let panels = images.unwrap_or_else(|| {
            let changes = self.cf.as_ref().map_or(&[][..], |cf| &cf.changes);
            let bars = bars_of_changes(changes).into_iter().map(Panel::Bars);
            bars.chain([Panel::Table(self.table())]).collect()
        });
        Figure { title, panels }
    }

    /// A table of the changes.
    #[must_use]
    pub fn table(&self) -> Table {
        let changes = self.cf.as_ref().map_or(&[][..], |cf| &cf.changes);
        table_of_changes(self.reason.clone(), "instance", "counterfactual", changes)
    }
}

impl xai_core::ToFigure for CounterfactualData {
    fn figure(&self, names: &xai_core::OutputNames) -> xai_core::Figure {
        self.figure(names)
    }
}
