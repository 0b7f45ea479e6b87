//! What a search found, and why it ended.

use std::fmt;

use ndarray::Array1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::figure::{Bar, Bars, Figure, Panel, Table, contrast, signed};
use xai_core::{Stop, serde_arrays};
use xai_optim::{Route, Status, Trial};

/// The counterfactual of one instance. The field names are the JSON keys; those of alibi where it has the field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CfProtoData {
    /// How the search ended: `found`, or why not.
    pub status: Status,
    /// The counterfactual; `null` when there is none.
    pub cf: Option<Counterfactual>,
    /// The row that came closest to being one, where none was found.
    pub nearest_miss: Option<Counterfactual>,
    /// The way on which it was found.
    pub route: Option<Route>,
    /// The weights of the attack loss that were tried, in order; what alibi has as `all`.
    pub trials: Vec<Trial>,
    /// The class of the instance.
    pub orig_class: usize,
    /// What the model says of the instance: a number for each class, shape `(n_classes,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub orig_proba: Array1<f64>,
    /// The class whose prototype drew the search; `null` without prototypes.
    pub id_proto: Option<usize>,
    /// The instance, shape `(n_columns,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub instance: Array1<f64>,
    /// The shape of an image; `None` for a row of a table.
    pub shape: Option<Vec<usize>>,
    /// Names of the features.
    pub feature_names: Vec<String>,
    /// Their values in the instance, for people.
    pub feature_values: Vec<String>,
    /// Rows that the model and the encoder were asked for when the explainer was fitted; not part of `meta.queries`.
    pub fit_queries: u64,
    /// Why the search ended before it was done; `null` when it was.
    pub stop: Option<Stop>,
}

/// A row beside an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counterfactual {
    /// The row, shape `(n_columns,)`.
    #[serde(rename = "X", with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub x: Array1<f64>,
    /// The class that the model puts it in.
    pub class: usize,
    /// What the model says of it: a number for each class, shape `(n_classes,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub proba: Array1<f64>,
    /// The derivative at this row of what draws it beside the attack: the squared distance, the autoencoder and the
    /// prototype, by feature, shape `(n_features,)`. `null` where a budget forbade to ask for it.
    #[serde(with = "serde_arrays::option")]
    #[schemars(with = "Option<Vec<f64>>")]
    pub grads_graph: Option<Array1<f64>>,
    /// The derivative at this row of how far a wanted class is ahead, by feature, shape `(n_features,)`. `null` where a
    /// budget forbade to ask for it.
    #[serde(with = "serde_arrays::option")]
    #[schemars(with = "Option<Vec<f64>>")]
    pub grads_num: Option<Array1<f64>>,
    /// How far it is from the instance: `||d||^2 + beta ||d||_1` over the numbers of the features, at least 0.
    pub distance: f64,
    /// The sum of the absolute changes, at least 0.
    pub l1: f64,
    /// The root of the sum of the squared changes, at least 0.
    pub l2: f64,
    /// How many times farther it is from the instance's class than from its own; `null` without prototypes.
    pub trust: Option<f64>,
    /// The features that differ, for people, in the order of the table.
    pub changes: Vec<Change>,
}

/// One changed feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The feature's name.
    pub feature: String,
    /// Its value in the instance, for people.
    pub from: String,
    /// Its value in the row, for people.
    pub to: String,
    /// The change of its number.
    pub by: f64,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.feature, self.from, self.to)
    }
}

impl CfProtoData {
    /// Whether there is a counterfactual.
    #[must_use]
    pub fn success(&self) -> bool {
        self.cf.is_some()
    }

    /// A table of the changes.
    #[must_use]
    pub fn table(&self) -> Table {
        let row = |Change { feature, from, to, by }: &Change| {
            vec![feature.clone(), from.clone(), signed(*by), to.clone()]
        };
        let title = match &self.cf {
            Some(cf) => format!("Class {} would be {}", self.orig_class, cf.class),
            None => format!("Class {}: no counterfactual, {}", self.orig_class, self.reason()),
        };
        Table {
            title,
            columns: ["feature", "instance", "change", "counterfactual"]
                .map(str::to_owned)
                .to_vec(),
            rows: self.cf.iter().flat_map(|cf| cf.changes.iter().map(row)).collect(),
        }
    }

    /// Why there is none, in words.
    fn reason(&self) -> &'static str {
        match self.status {
            Status::Found | Status::EmptyPp => "there is one",
            Status::GradientVanished => "the model does not react to small changes",
            Status::TargetNotReached => "the target was not reached",
            Status::RangeInfeasible => "only forbidden changes lead to the target",
            Status::TrustRejected => "what reaches the target is not trusted",
            Status::Budget => "the search was stopped",
        }
    }

    /// The counterfactual as a figure: for an image the instance, the change as a map and the counterfactual, else a table
    /// of the changes and bars for them.
    #[must_use]
    pub fn figure(&self) -> Figure {
        let title = "Counterfactual guided by prototypes".to_owned();
        let images = self.shape.as_ref().zip(self.cf.as_ref()).and_then(|(shape, cf)| {
            contrast(shape, ("instance", &self.instance), ("counterfactual", &cf.x))
        });
        if let Some(panels) = images {
            return Figure { title: self.table().title, panels };
        }
        let mut panels = vec![Panel::Table(self.table())];
        if let Some(cf) = &self.cf {
            let bar = |change: &Change| Bar {
                label: change.feature.clone(),
                detail: format!("{} -> {}", change.from, change.to),
                value: change.by,
                error: None,
            };
            let mut bars: Vec<Bar> = cf.changes.iter().map(bar).collect();
            bars.sort_by(|a, b| b.value.abs().total_cmp(&a.value.abs()));
            let (title, unit) = ("Changes".to_owned(), "change of the feature's number".to_owned());
            panels.push(Panel::Bars(Bars { title, unit, bars }));
        }
        Figure { title, panels }
    }
}
