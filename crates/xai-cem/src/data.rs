//! What a contrastive explanation says.

use ndarray::Array1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::figure::{Figure, Panel, Table, contrast};
use xai_core::{OutputNames, Status, Stop, serde_arrays};
use xai_optim::{Classes, Counterfactual, Route, Trial, table_of_changes};

use crate::params::Mode;

/// The contrastive explanation of one instance. The field names are the JSON keys; arrays are by column, shape
/// `(n_columns,)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct CemData {
    /// What was looked for.
    pub mode: Mode,
    /// How the search ended; `empty` for a pertinent positive without features.
    pub status: Status,
    /// The same in a sentence.
    pub reason: String,
    /// The instance.
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
    /// The pertinent negative: the instance, changed as little as possible so that the decision is another one. Or the
    /// pertinent positive: as little of the instance as possible, the other features at their uninformative reference
    /// value, so that the decision stays; its distances and changes are those from the reference values. `None` where
    /// none was found.
    pub result: Option<Counterfactual>,
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
    /// Where nothing was found, the row whose outputs came closest to what was looked for.
    pub nearest_miss: Option<Counterfactual>,
    /// The way on which the result was found.
    pub route: Option<Route>,
    /// The weights `c` that were tried, at most `c_steps`.
    pub trials: Vec<Trial>,
    /// Names of the features.
    pub feature_names: Vec<String>,
    /// The uninformative reference values.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub no_info_val: Array1<f64>,
    /// The shape of an image; `None` for a row of a table.
    pub shape: Option<Vec<usize>>,
    /// Why the search ended: `converged` when it was done.
    pub stop: Stop,
}

impl CemData {
    /// Whether a pertinent negative or positive was found.
    #[must_use]
    pub fn success(&self) -> bool {
        self.result.is_some()
    }

    /// A table of the changes.
    #[must_use]
    pub fn table(&self) -> Table {
        let [from, to] = self.sides();
        let changes = self.result.as_ref().map_or(&[][..], |result| &result.changes);
        table_of_changes(self.reason.clone(), from, to, changes)
    }

    /// What changes, and what it changes to.
    fn sides(&self) -> [&'static str; 2] {
        match self.mode {
            Mode::PertinentNegative => ["instance", "pertinent negative"],
            Mode::PertinentPositive => ["uninformative reference", "pertinent positive"],
        }
    }

    fn title(&self, names: &OutputNames) -> String {
        let name = |class| self.classes.name(class, names, &self.outputs);
        let class = name(self.class);
        match (&self.result, self.mode) {
            (Some(result), Mode::PertinentNegative) => {
                format!("{class} would be {}", name(result.class))
            }
            (Some(_), Mode::PertinentPositive) => format!("What is enough for {class}"),
            (None, _) => format!("{class}, nothing found"),
        }
    }

    /// The explanation as a figure: for images what changes, the change as a map and the result, else a table. What changes
    /// is the instance, for pertinent positives the uninformative reference values.
    ///
    /// `names` are those of the model's outputs or classes; without any the names in [`classes`](Self::classes) are taken.
    #[must_use]
    pub fn figure(&self, names: &OutputNames) -> Figure {
        let before = match self.mode {
            Mode::PertinentNegative => &self.instance,
            Mode::PertinentPositive => &self.no_info_val,
        };
        let [from, to] = self.sides();
        let images = self
            .shape
            .as_ref()
            .zip(self.result.as_ref())
            .and_then(|(shape, result)| contrast(shape, (from, before), (to, &result.row)));
        let panels = images.unwrap_or_else(|| vec![Panel::Table(self.table())]);
        Figure { title: self.title(names), panels }
    }
}

impl xai_core::ToFigure for CemData {
    fn figure(&self, names: &xai_core::OutputNames) -> xai_core::Figure {
        self.figure(names)
    }
}
