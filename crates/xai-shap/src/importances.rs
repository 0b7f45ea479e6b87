//! Importances over a set of explanations, and sums of columns.

use std::ops::Range;

use ndarray::{Array1, Array2, Axis, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::{ParamError, Result, Rows, require, same_shape, serde_arrays};

use crate::data::KernelShapData;

/// Features ranked by their mean effect.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Importance {
    /// Mean magnitude of the Shapley values, descending, shape `(n_groups,)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<f64>")]
    pub ranked_effect: Array1<f64>,
    /// The features in that order; ties in the order of the features.
    pub names: Vec<String>,
}

/// Importances over a set of explanations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Importances {
    /// Names of the outputs, shape `(n_outputs,)`, those of the first explanation; see
    /// [`output_names`](KernelShapData::output_names).
    pub output_names: Vec<String>,
    /// The ranking for each output, in the order of the outputs.
    pub per_output: Vec<Importance>,
    /// The ranking by the effects summed over the outputs.
    pub total: Importance,
}

impl Importances {
    /// The ranking for the output with this name; an output without a name has its index, `"0"`, `"1"` and so on.
    #[must_use]
    pub fn of_output(&self, name: &str) -> Option<&Importance> {
        let output = self.output_names.iter().position(|other| other == name)?;
        self.per_output.get(output)
    }
}

/// Ranks the features over a set of explanations, for each output and in total. Without explanations all is empty.
///
/// # Errors
/// [`Error::Shape`](xai_core::Error::Shape) when the explanations differ in the number of outputs or features.
///
/// # Source
/// alibi's `rank_by_importance`; there ties come in reverse order of the features.
pub fn importances<'a>(
    explanations: impl IntoIterator<Item = &'a KernelShapData>,
) -> Result<Importances> {
    let mut explanations = explanations.into_iter().peekable();
    let Some(first) = explanations.peek().copied() else { return Ok(Importances::default()) };
    let mut effects = Array2::<f64>::zeros(first.shap_values.dim());
    let mut count = 0.0;
    for data in explanations {
        same_shape("the SHAP values", effects.shape(), data.shap_values.shape())?;
        effects += &data.shap_values.mapv(f64::abs);
        count += 1.0;
    }
    effects /= count;
    let rank = |effects: Array1<f64>| {
        let mut order: Vec<usize> = (0..effects.len()).collect();
        order.sort_by(|&a, &b| effects[b].total_cmp(&effects[a]).then(a.cmp(&b)));
        Importance {
            ranked_effect: effects.select(Axis(0), &order),
            names: order.iter().map(|&feature| first.feature_names[feature].clone()).collect(),
        }
    };
    Ok(Importances {
        output_names: first.output_names.clone(),
        per_output: effects.rows().into_iter().map(|row| rank(row.to_owned())).collect(),
        total: rank(effects.sum_axis(Axis(0))),
    })
}

/// Sums blocks of columns into one each: columns `starts[i]..starts[i] + lengths[i]` become one, the others stay, in
/// order. `values` has shape `(n_outputs, n_columns)`.
///
/// The sum of Shapley values is not the Shapley value of the joint feature when its parts interact with others;
/// [`groups`](crate::KernelShapParams::groups) give that one.
///
/// # Errors
/// [`Error::Param`](xai_core::Error::Param) when the lists have different lengths, a block is empty, blocks overlap or
/// are out of order, or one ends past the last column.
pub fn sum_columns(values: &Rows, starts: &[usize], lengths: &[usize]) -> Result<Array2<f64>> {
    let columns = blocks(values.ncols(), starts, lengths)?;
    let mut sums = Array2::zeros((values.nrows(), columns.len()));
    for (to, from) in columns.into_iter().enumerate() {
        sums.column_mut(to).assign(&values.slice(s![.., from]).sum_axis(Axis(1)));
    }
    Ok(sums)
}

/// The columns that are summed, block by block; a column outside the given blocks is one by itself.
pub(crate) fn blocks(
    n_columns: usize,
    starts: &[usize],
    lengths: &[usize],
) -> Result<Vec<Range<usize>>, ParamError> {
    let name = "cat_vars_enc_dim";
    let rule = format_args!("as long as the {} starts", starts.len());
    require(starts.len() == lengths.len(), name, rule, lengths.len())?;
    let mut columns = Vec::new();
    let mut next = 0;
    for (&start, &length) in starts.iter().zip(lengths) {
        require(1 <= length, name, "lengths of at least 1", length)?;
        let rule = "ascending, past the end of the block before";
        require(next <= start, "cat_vars_start_idx", rule, start)?;
        columns.extend((next..start).map(|column| column..column + 1));
        next = start.saturating_add(length);
        let rule = format_args!("lengths that end within the {n_columns} columns");
        require(next <= n_columns, name, rule, next)?;
        columns.push(start..next);
    }
    columns.extend((next..n_columns).map(|column| column..column + 1));
    Ok(columns)
}
