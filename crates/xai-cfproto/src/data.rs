//! What a search found, and why it ended.

use ndarray::Array1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::figure::{Figure, Panel, Table, contrast};
use xai_core::{OutputNames, Status, Stop, serde_arrays};
use xai_optim::{Classes, Counterfactual, Route, Trial, bars_of_changes, table_of_changes};

/// The counterfactual of one instance. The field names are the JSON keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct CfProtoData {
    /// How the search ended: `found`, or why not.
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
    /// The class of the instance: that of the settings, or the one that the model decides for.
    pub class: usize,
    /// How outputs were read, and the names of the classes.
    pub classes: Classes,
    /// The counterfactual; `None` where none was found. Its distances are over the numbers of the features.
    pub cf: Option<Counterfactual>,
    /// The derivative at the counterfactual of the loss beside the attack: the squared distance, the autoencoder and the
    /// prototype, by feature, shape `(n_features,)`. `None` where a budget forbade to ask for it.
    #[serde(with = "serde_arrays::option")]
    #[schemars(with = "Option<Vec<f64>>")]
    pub grads_graph: Option<Array1<f64>>,
    /// The derivative at the counterfactual of how far a wanted class is ahead, by feature, shape `(n_features,)`. `None`
    /// where a budget forbade to ask for it.
    #[serde(with = "serde_arrays::option")]
    #[schemars(with = "Option<Vec<f64>>")]
    pub grads_num: Option<Array1<f64>>,
    /// How many times farther the counterfactual is from the instance's class than from its own; `None` without
    /// prototypes.
    pub trust: Option<f64>,
    /// The row that came closest to being a counterfactual, where none was found.
    pub nearest_miss: Option<Counterfactual>,
    /// The way on which the counterfactual was found.
    pub route: Option<Route>,
    /// The weights of the attack loss that were tried, in order.
    pub trials: Vec<Trial>,
    /// The class whose prototype attracted the search; `None` without prototypes.
    pub id_proto: Option<usize>,
    /// Names of the features.
    pub feature_names: Vec<String>,
    /// Their human-readable values in the instance.
    pub feature_values: Vec<String>,
    /// Rows that the model and the encoder were asked for when the explainer was fitted; not part of `meta.queries`.
    pub fit_queries: u64,
    /// The shape of an image; `None` for a row of a table.
    pub shape: Option<Vec<usize>>,
    /// Why the search ended: `converged` when it was done.
    pub stop: Stop,
}

impl CfProtoData {
    /// Whether there is a counterfactual.
    #[must_use]
    pub fn success(&self) -> bool {
        self.cf.is_some()
    }

    /// A table of the changes; its title says which prototype attracted the search and how much the answer is trusted.
    ///
    /// `names` are those of the model's outputs or classes; without any the names in [`classes`](Self::classes) are taken.
    #[must_use]
    pub fn table(&self, names: &OutputNames) -> Table {
        let changes = self.cf.as_ref().map_or(&[][..], |cf| &cf.changes);
        let title = if self.success() { self.guidance(names) } else { None };
        let title = title.unwrap_or_else(|| self.reason.clone());
        table_of_changes(title, "instance", "counterfactual", changes)
    }

    /// What the prototype has to do with the counterfactual.
    fn guidance(&self, names: &OutputNames) -> Option<String> {
        let class = |class| self.classes.name(class, names, &self.outputs);
        let prototype =
            self.id_proto.map(|id| format!("Attracted by the prototype of {}", class(id)));
        let trust = self.trust.map(|trust| {
            format!("{trust:.2} times farther from the old class than from the new one")
        });
        let parts: Vec<String> = prototype.into_iter().chain(trust).collect();
        (!parts.is_empty()).then(|| format!("{}.", parts.join("; ")))
    }

    /// The counterfactual as a figure: for an image the instance, the change as a map and the counterfactual, else a table
    /// of the changes, and for quantities that change a bar for each.
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
            let bars = bars_of_changes(changes).map(Panel::Bars);
            [Panel::Table(self.table(names))].into_iter().chain(bars).collect()
        });
        Figure { title, panels }
    }
}

impl xai_core::ToFigure for CfProtoData {
    fn figure(&self, names: &xai_core::OutputNames) -> xai_core::Figure {
        self.figure(names)
    }
}
