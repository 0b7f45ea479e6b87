//! Where paths start.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, Axis, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::input::all_finite;
use xai_core::{ParamError, Result, Row, require, same_shape, serde_arrays, setters};

use crate::layout::Layout;

/// Where the paths start: an uninformative instance.
///
/// Rows have one number for each column of the model's input; those of inputs without attributions are not read, since
/// the path keeps the instance's numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a number, a list of numbers, or a table of `rows`, of a `distribution` or of inputs by name"
)]
#[non_exhaustive]
pub enum Baselines {
    /// The same number everywhere, finite. The default is 0.
    Constant(f64),
    /// One row, shape `(n_columns,)`, finite.
    Row(Vec<f64>),
    /// Several rows: the attributions are the weighted mean of those of each.
    Several(Several),
    /// Rows to draw from: expected gradients, with standard errors.
    Distribution(Distribution),
    /// By name of the input; inputs that are not named start at 0.
    PerInput(BTreeMap<String, BaselineValue>),
}

/// The baseline of one input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number or a list of numbers")]
pub enum BaselineValue {
    /// The same number everywhere, finite.
    Constant(f64),
    /// The numbers of the tensor in row-major order, finite.
    Values(Vec<f64>),
}

/// Several baselines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Several {
    /// Shape `(n_baselines, n_columns)`, at least one row, finite.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<Vec<f64>>")]
    pub rows: Array2<f64>,
    /// A weight for each row, finite and at least 0, one above; they are divided by their sum. Default: equal.
    #[serde(default)]
    pub weights: Option<Vec<f64>>,
}

/// A distribution of baselines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Distribution {
    /// The rows to draw from, with replacement; shape `(n_baselines, n_columns)`, at least one row, finite.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<Vec<f64>>")]
    pub distribution: Array2<f64>,
    /// How often each is drawn, as for several baselines. Default: equally.
    #[serde(default)]
    pub weights: Option<Vec<f64>>,
    /// Draws of a baseline and a point between it and the instance, at least 2. Default 50.
    #[serde(default = "fifty")]
    pub n_samples: usize,
    /// The standard deviation of normal noise that each draw adds to the instance, in the units of the inputs, finite and
    /// at least 0. Default 0.
    #[serde(default)]
    pub stdev: f64,
}

fn fifty() -> usize {
    50
}

setters! { Several { with_weights => weights: Option<Vec<f64>> } }

setters! { Distribution {
    with_weights => weights: Option<Vec<f64>>,
    with_n_samples => n_samples: usize,
    with_stdev => stdev: f64,
} }

impl Several {
    /// Rows with equal weights, shape `(n_baselines, n_columns)`.
    #[must_use]
    pub fn new(rows: Array2<f64>) -> Self {
        Several { rows, weights: None }
    }
}

impl Distribution {
    /// Rows to draw 50 times from, equally often and without noise; shape `(n_baselines, n_columns)`.
    #[must_use]
    pub fn new(rows: Array2<f64>) -> Self {
        Distribution { distribution: rows, weights: None, n_samples: fifty(), stdev: 0.0 }
    }
}

impl Default for Baselines {
    fn default() -> Self {
        Baselines::Constant(0.0)
    }
}

impl Baselines {
    /// Several rows with equal weights.
    #[must_use]
    pub fn several(rows: Array2<f64>) -> Self {
        Baselines::Several(Several::new(rows))
    }

    /// Rows to draw `n_samples` times from, equally often.
    #[must_use]
    pub fn distribution(rows: Array2<f64>, n_samples: usize) -> Self {
        Baselines::Distribution(Distribution::new(rows).with_n_samples(n_samples))
    }

    /// Checks what does not depend on the inputs.
    pub(crate) fn validate(&self) -> Result<(), ParamError> {
        let finite = |value: &f64| require(value.is_finite(), "baselines", "finite", value);
        let rows = |rows: &Array2<f64>, weights: &Option<Vec<f64>>| {
            require(0 < rows.nrows(), "baselines", "at least one row", 0)?;
            rows.iter().try_for_each(finite)?;
            let Some(weights) = weights else { return Ok(()) };
            let allowed = |weight: &f64| (0.0..f64::INFINITY).contains(weight);
            let sum: f64 = weights.iter().sum();
            let some = weights.iter().all(allowed) && 0.0 < sum && sum < f64::INFINITY;
            let rule = "weights that are finite and at least 0, one above";
            require(some, "baselines", rule, weights)?;
            let rule = || format!("one weight for each of {} rows", rows.nrows());
            require(weights.len() == rows.nrows(), "baselines", rule(), weights.len())
        };
        match self {
            Baselines::Constant(value) => finite(value),
            Baselines::Row(values) => values.iter().try_for_each(finite),
            Baselines::Several(several) => rows(&several.rows, &several.weights),
            Baselines::Distribution(distribution) => {
                rows(&distribution.distribution, &distribution.weights)?;
                let n_samples = distribution.n_samples;
                require(2 <= n_samples, "n_samples", "at least 2", n_samples)?;
                let allowed = (0.0..f64::INFINITY).contains(&distribution.stdev);
                require(allowed, "stdev", "finite and at least 0", distribution.stdev)
            }
            Baselines::PerInput(inputs) => inputs.values().try_for_each(|value| match value {
                BaselineValue::Constant(value) => finite(value),
                BaselineValue::Values(values) => values.iter().try_for_each(finite),
            }),
        }
    }

    /// The rows themselves, once the inputs are known.
    pub(crate) fn lay_out(&self, layout: &Layout) -> Result<Starts> {
        let n_columns = layout.n_columns();
        let one = |row: Array1<f64>| Starts::new(row.insert_axis(Axis(0)), None);
        match self {
            Baselines::Constant(value) => Ok(one(Array1::from_elem(n_columns, *value))),
            Baselines::Row(values) => {
                same_shape("the baseline", &[n_columns], &[values.len()])?;
                Ok(one(Array1::from(values.clone())))
            }
            Baselines::Several(Several { rows, weights })
            | Baselines::Distribution(Distribution { distribution: rows, weights, .. }) => {
                same_shape("the baselines", &[rows.nrows(), n_columns], rows.shape())?;
                all_finite("the baselines", rows)?;
                Ok(Starts::new(rows.clone(), weights.as_deref()))
            }
            Baselines::PerInput(inputs) => {
                let mut row = Array1::zeros(n_columns);
                for (name, value) in inputs {
                    let Some((_, columns)) = layout.find(name) else {
                        let rule = "by name of an input with attributions";
                        return Err(require(false, "baselines", rule, name)
                            .expect_err("refused")
                            .into());
                    };
                    let mut cells = row.slice_mut(s![columns.clone()]);
                    match value {
                        BaselineValue::Constant(value) => cells.fill(*value),
                        BaselineValue::Values(values) => {
                            same_shape(
                                "the baseline of an input",
                                &[columns.len()],
                                &[values.len()],
                            )?;
                            cells.iter_mut().zip(values).for_each(|(cell, &value)| *cell = value);
                        }
                    }
                }
                Ok(one(row))
            }
        }
    }
}

/// The rows where paths start, and their weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Starts {
    /// Shape `(n_baselines, n_columns)`.
    pub(crate) rows: Array2<f64>,
    /// Adding up to 1, `(n_baselines,)`.
    pub(crate) weights: Vec<f64>,
}

impl Starts {
    fn new(rows: Array2<f64>, weights: Option<&[f64]>) -> Self {
        let weights = weights.map_or_else(|| vec![1.0; rows.nrows()], <[f64]>::to_vec);
        let sum: f64 = weights.iter().sum();
        Starts { rows, weights: weights.iter().map(|weight| weight / sum).collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.weights.len()
    }

    /// The rows for one instance: the inputs without attributions are the instance's.
    pub(crate) fn of(&self, layout: &Layout, x: &Row) -> Array2<f64> {
        let mut rows = self.rows.clone();
        rows.rows_mut().into_iter().for_each(|mut row| layout.pass(x, &mut row));
        rows
    }

    /// The row that a uniform number picks, in proportion to the weights.
    pub(crate) fn pick(&self, uniform: f64) -> usize {
        let mut below = 0.0;
        let reached = self.weights.iter().position(|weight| {
            below += weight;
            uniform < below
        });
        // Rounding can leave the sum of the weights below a number that is itself below 1.
        reached
            .or_else(|| self.weights.iter().rposition(|&weight| 0.0 < weight))
            .expect("one weight is above 0")
    }
}
