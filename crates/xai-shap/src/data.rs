//! What a KernelSHAP explanation holds.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::decision::argmax;
use xai_core::figure::{Bar, Bars, Figure, Panel, Table};
use xai_core::{Attributions, OutputNames, Stop, serde_arrays};

use crate::uncertainty::{Intervals, Ranking};

/// The Shapley values of one instance. The field names are the JSON keys.
///
/// For every output, `expected_value` plus the sum of its `shap_values` is the instance's `raw_prediction`
/// (without columns left out of all groups).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct KernelShapData {
    /// Shapley values, shape `(n_outputs, n_groups)`, on the scale of the link.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<Vec<f64>>")]
    pub shap_values: Array2<f64>,
    /// The value without any feature, the link of the mean output over the background, shape `(n_outputs,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub expected_value: Array1<f64>,
    /// Standard errors of `shap_values` from the sampling of coalitions, same shape; 0 where the values are exact.
    /// `null` when too few coalitions were evaluated for an estimate, and with the reference semantics unless all were.
    #[serde(with = "serde_arrays::option")]
    #[schemars(with = "Option<Vec<Vec<f64>>>")]
    pub standard_errors: Option<Array2<f64>>,
    /// Simultaneous intervals around `shap_values`: all those of one output contain the exact values with the probability
    /// [`confidence`](crate::KernelShapParams::confidence). Like the standard errors they cover the sampling of
    /// coalitions and take the background as given. `null` where `standard_errors` is.
    pub confidence_intervals: Option<Intervals>,
    /// Standard errors of `shap_values` from the choice of background rows, same shape: how far the values would move
    /// with another sample of the same size from the same population. Estimated from the spread among 20 random parts of
    /// the background (fewer for fewer rows), so it means little for rows that are not a random sample, such as the means
    /// of clusters. `null` for a single row, where it was not asked for, with the reference semantics, and where there
    /// are too many coalitions to keep the parts apart.
    #[serde(with = "serde_arrays::option")]
    #[schemars(with = "Option<Vec<Vec<f64>>>")]
    pub background_error: Option<Array2<f64>>,
    /// The features of largest effect on each output, and which of these ranks are certain. `null` with the standard
    /// errors, and when no ranks were asked for.
    pub ranking: Option<Vec<Ranking>>,
    /// How the values were computed.
    pub estimator: UsedEstimator,
    /// Whether every coalition was evaluated, so that the values are exact to rounding.
    pub exact: bool,
    /// Coalitions evaluated, besides the empty and the full one.
    pub n_coalitions: u64,
    /// Why no more were evaluated. `converged`: the values are exact, or within the tolerance, or without a tolerance
    /// `nsamples` was reached. `budget`: the budget of queries, or `nsamples` before the tolerance, was used up.
    /// `deadline` or `observer`: the run was stopped, and this is the best answer so far.
    pub stop: Stop,
    /// With an [`l1_reg`](crate::KernelShapParams::l1_reg), the indices of the groups that each output's regression
    /// kept, ascending (with the reference semantics in the order in which the rule found them); the others have the
    /// value 0. `null` without one. A sum of columns is given by the indices of its parts.
    pub selected: Option<Vec<Vec<usize>>>,
    /// Names of the features or groups, shape `(n_groups,)`.
    pub feature_names: Vec<String>,
    /// Their values in the instance, human-readable, shape `(n_groups,)`.
    pub feature_values: Vec<String>,
    /// Names of the categories of each categorical feature, by the feature's index in the table.
    pub categorical_names: BTreeMap<usize, Vec<String>>,
    /// Names of the outputs, shape `(n_outputs,)`: those of the classes where the model has names. A single probability
    /// has the name of class 1, and an output without a name its index, `"0"`, `"1"` and so on.
    #[serde(default)]
    pub output_names: Vec<String>,
    /// The link of the model's outputs, shape `(n_outputs,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub raw_prediction: Array1<f64>,
    /// The model's decision for the instance, as `meta.output` says the outputs were read: the index of a class or a bin,
    /// or a label. `null` with the task `"regression"` and for outputs that are scores or quantities.
    pub prediction: Option<i64>,
    /// The instance, shape `(n_columns,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<serde_arrays::Number>")]
    pub instance: Array1<f64>,
}

/// How values were computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum UsedEstimator {
    /// From the values of all coalitions.
    Exact,
    /// From pairs of a coalition and its complement.
    Paired,
    /// From orders of the features, walked forwards and backwards.
    Permutation,
    /// From the coalitions and weights of shap.
    Reference,
}

impl Attributions for KernelShapData {
    fn attribution(&self, output: &str, feature: &str) -> Option<f64> {
        let output = self.output_names.iter().position(|name| name == output)?;
        let feature = self.feature_names.iter().position(|name| name == feature)?;
        self.shap_values.get([output, feature]).copied()
    }
}

impl KernelShapData {
    /// Whether all that was asked for is done: `stop` is [`Stop::Converged`].
    #[must_use]
    pub fn converged(&self) -> bool {
        self.stop == Stop::Converged
    }

    /// The output of the predicted class: `None` where no output stands for it.
    fn predicted_output(&self) -> Option<usize> {
        let class = usize::try_from(self.prediction?).ok()?;
        match self.raw_prediction.len() {
            // The output is that of class 1.
            1 => (class == 1).then_some(0),
            _ => (argmax(&self.raw_prediction) == class).then_some(class),
        }
    }

    /// A table of the outputs, then one panel of bars for each: the predicted output first, the others in their order.
    /// Bars come with the largest effect first, ties in the order of the features.
    ///
    /// `names` are those of outputs or classes; outputs that it does not name have their
    /// [`output_names`](Self::output_names).
    #[must_use]
    pub fn figure(&self, names: &OutputNames) -> Figure {
        let n_outputs = self.expected_value.len();
        let predicted = self.predicted_output();
        let name = |index: usize| {
            let known = self.output_names.get(index).filter(|&name| *name != index.to_string());
            let name = names.given(index, n_outputs).or(known.map(String::as_str));
            let name = name.map_or_else(|| names.output(index, n_outputs), str::to_owned);
            if predicted == Some(index) { format!("{name} (predicted)") } else { name }
        };
        let others = (0..n_outputs).filter(|&output| predicted != Some(output));
        let outputs: Vec<usize> = predicted.into_iter().chain(others).collect();
        let panels = outputs.iter().map(|&index| Panel::Bars(self.bars(index, name(index))));
        let table = Panel::Table(self.table(&outputs, name));
        Figure {
            title: "KernelSHAP".to_owned(),
            panels: std::iter::once(table).chain(panels).collect(),
        }
    }

    fn table(&self, outputs: &[usize], name: impl Fn(usize) -> String) -> Table {
        let numbers = |index: usize| {
            let sum = self.shap_values.row(index).sum();
            [self.expected_value[index], sum, self.raw_prediction[index]]
        };
        let all = outputs.iter().flat_map(|&index| numbers(index));
        let largest = all.fold(0.0_f64, |largest, value| largest.max(value.abs()));
        // Five digits of the largest number, whatever the scale of the model.
        let row = |&index: &usize| {
            let cells = numbers(index).map(|value| in_digits_of(largest, value));
            std::iter::once(name(index)).chain(cells).collect()
        };
        let columns = ["", "expected value", "sum of effects", "prediction"];
        Table {
            title: "Model outputs".to_owned(),
            columns: columns.map(str::to_owned).to_vec(),
            rows: outputs.iter().map(row).collect(),
        }
    }

    fn bars(&self, output: usize, title: String) -> Bars {
        let mut order: Vec<usize> = (0..self.feature_names.len()).collect();
        let effect = |feature: usize| self.shap_values[[output, feature]].abs();
        order.sort_by(|&a, &b| effect(b).total_cmp(&effect(a)).then(a.cmp(&b)));
        let bar = |feature: usize| Bar {
            label: self.feature_names[feature].clone(),
            detail: self.feature_values[feature].clone(),
            value: self.shap_values[[output, feature]],
            error: self.standard_errors.as_ref().map(|errors| errors[[output, feature]]),
        };
        Bars { title, unit: "SHAP value".to_owned(), bars: order.into_iter().map(bar).collect() }
    }
}

/// A number with as many decimals as show five digits of `largest`.
fn in_digits_of(largest: f64, value: f64) -> String {
    if largest == 0.0 {
        "0".to_owned()
    } else if (1e-6..1e9).contains(&largest) {
        let decimals =
            (0..12).find(|&decimals| 1e4 <= 10_f64.powi(decimals) * largest).unwrap_or(12);
        let decimals = usize::try_from(decimals).unwrap_or_default();
        format!("{value:.decimals$}")
    } else {
        format!("{value:.4e}")
    }
}

impl xai_core::ToFigure for KernelShapData {
    fn figure(&self, names: &xai_core::OutputNames) -> xai_core::Figure {
        self.figure(names)
    }
}
