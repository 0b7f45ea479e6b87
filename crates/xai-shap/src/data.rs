//! What a KernelSHAP explanation holds.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::figure::{Bar, Bars, Figure, Panel, Table};
use xai_core::{Stop, serde_arrays};

use crate::uncertainty::{Intervals, Ranking};

/// The Shapley values of one instance. The field names are the JSON keys.
///
/// For every output, `expected_value` plus the sum of its `shap_values` is the instance's `raw.raw_prediction`
/// (without columns left out of all groups).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
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
    /// `null` when too few coalitions were evaluated to tell, and with the reference semantics unless all were.
    #[serde(with = "serde_arrays::option")]
    #[schemars(with = "Option<Vec<Vec<f64>>>")]
    pub standard_errors: Option<Array2<f64>>,
    /// Intervals around `shap_values` that hold, all those of one output at once, with the probability
    /// [`confidence`](crate::KernelShapParams::confidence). Like the standard errors they speak of the sampling of
    /// coalitions, with the background as it is. `null` with them.
    pub confidence_intervals: Option<Intervals>,
    /// Standard errors of `shap_values` from the choice of background rows, same shape: how far the values would move
    /// with another sample of the same size from where the background came. Told from the spread among 20 random parts
    /// of it (fewer for fewer rows), so it means little for rows that are no sample, such as the means of clusters.
    /// `null` for a single row, where it was not asked for, with the reference semantics, and where the coalitions are
    /// too many to keep the parts apart.
    #[serde(with = "serde_arrays::option")]
    #[schemars(with = "Option<Vec<Vec<f64>>>")]
    pub background_error: Option<Array2<f64>>,
    /// The features of largest effect on each output, and which of these ranks are certain. `null` with the standard
    /// errors, and when no ranks were asked for.
    pub ranking: Option<Vec<Ranking>>,
    /// How the values were computed.
    pub estimator: UsedEstimator,
    /// Whether every coalition was evaluated, so that the values hold to rounding.
    pub exact: bool,
    /// Whether all that was asked for is done: the values are exact, or within the tolerance, or without a tolerance
    /// `nsamples` was reached.
    pub converged: bool,
    /// Coalitions evaluated, besides the empty and the full one.
    pub n_coalitions: u64,
    /// Why no more were evaluated: `converged` when all was done, `budget` when queries, or `nsamples` before the
    /// tolerance, ran short, `deadline` or `observer` when the run was stopped and this is the best answer so far.
    pub stop: Stop,
    /// With an [`l1_reg`](crate::KernelShapParams::l1_reg), the indices of the groups that each output's regression
    /// kept, ascending (with the reference semantics in the order in which the rule found them); the others have the
    /// value 0. `null` without. A sum of columns stands here by the indices of its parts.
    pub selected: Option<Vec<Vec<usize>>>,
    /// Names of the features or groups, shape `(n_groups,)`.
    pub feature_names: Vec<String>,
    /// Their values in the instance, for people, shape `(n_groups,)`.
    pub feature_values: Vec<String>,
    /// Names of the categories of each categorical feature, by the feature's index in the table.
    pub categorical_names: BTreeMap<usize, Vec<String>>,
    /// The model's view of the instance.
    pub raw: Raw,
}

/// How values were computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
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

/// The model's view of the instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    /// The link of the model's outputs, shape `(n_outputs,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub raw_prediction: Array1<f64>,
    /// The index of the largest output (the first of equals); `null` for regression and for a single output, where
    /// no index says the class.
    pub prediction: Option<usize>,
    /// The instance, shape `(n_columns,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<serde_arrays::Number>")]
    pub instance: Array1<f64>,
}

impl KernelShapData {
    /// A table of the outputs, then one panel of bars for each: largest effect first, ties in the order of features.
    #[must_use]
    pub fn figure(&self) -> Figure {
        let output = |index: usize| match self.raw.prediction {
            Some(predicted) if predicted == index => format!("output {index} (predicted)"),
            _ => format!("output {index}"),
        };
        let outputs = 0..self.expected_value.len();
        let numbers = |index: usize| {
            let sum = self.shap_values.row(index).sum();
            [self.expected_value[index], sum, self.raw.raw_prediction[index]]
        };
        let all = || outputs.clone().flat_map(numbers);
        let largest = all().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        // Five digits of the largest number, whatever the scale of the model.
        let row = |index: usize| {
            let cells = numbers(index).map(|value| in_digits_of(largest, value));
            std::iter::once(output(index)).chain(cells).collect()
        };
        let columns = ["", "expected value", "sum of effects", "prediction"];
        let table = Table {
            title: "Model outputs".to_owned(),
            columns: columns.map(str::to_owned).to_vec(),
            rows: outputs.clone().map(row).collect(),
        };
        let panels = outputs.map(|index| Panel::Bars(self.bars(index, output(index))));
        Figure {
            title: "KernelSHAP".to_owned(),
            panels: std::iter::once(Panel::Table(table)).chain(panels).collect(),
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
