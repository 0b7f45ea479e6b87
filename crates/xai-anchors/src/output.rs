//! How a model's outputs are read as decisions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::{ParamError, Result, Row, require};

/// When two outputs of the model are the same decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Output {
    /// [`Proba`](Self::Proba) for two columns or more, [`Label`](Self::Label) for one.
    #[default]
    Auto,
    /// One column for each class, at least two; the decision is the largest, the first of equals.
    Proba,
    /// One column of class labels, whole numbers.
    Label,
    /// One column is a score; the decision is the interval it falls in.
    Bins {
        /// The cuts, ascending and finite, at least one; a score equal to a cut is above it. `[0.5]` reads one column
        /// of probabilities.
        edges: Vec<f64>,
        /// The column of the score.
        #[serde(default)]
        target: usize,
    },
    /// One column is a quantity; the decision is to be within a distance of the instance's own.
    Within {
        /// The distance, finite and at least 0.
        tolerance: f64,
        /// The column of the quantity.
        #[serde(default)]
        target: usize,
    },
}

impl Output {
    pub(crate) fn validate(&self) -> Result<(), ParamError> {
        match self {
            Output::Bins { edges, .. } => {
                let ascending = edges.windows(2).all(|pair| pair[0] < pair[1]);
                let finite = !edges.is_empty() && edges.iter().all(|edge| edge.is_finite());
                require(ascending && finite, "output", "bins of finite ascending edges", edges)
            }
            Output::Within { tolerance, .. } => {
                let allowed = tolerance.is_finite() && 0.0 <= *tolerance;
                require(allowed, "output", "a finite tolerance of at least 0", tolerance)
            }
            _ => Ok(()),
        }
    }

    /// The decision in one row of outputs, as a number to compare with [`agrees`](Self::agrees).
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) when the model's outputs cannot be read in this way.
    pub(crate) fn decision(&self, outputs: &Row) -> Result<f64> {
        let n = outputs.len();
        match self {
            Output::Auto if n == 1 => label(outputs[0]),
            Output::Label => {
                require(n == 1, "output", "`proba` for a model of several columns", self)?;
                label(outputs[0])
            }
            Output::Auto | Output::Proba => {
                let rule = "`label`, `bins` or `within` for a model of one column";
                require(1 < n, "output", rule, self)?;
                let larger =
                    |best: usize, index| if outputs[best] < outputs[index] { index } else { best };
                Ok((1..n).fold(0, larger) as f64)
            }
            Output::Bins { edges, target } => {
                let score = column(outputs, *target)?;
                Ok(edges.partition_point(|&edge| edge <= score) as f64)
            }
            Output::Within { target, .. } => column(outputs, *target),
        }
    }

    /// Whether a decision is that of the instance.
    #[allow(clippy::float_cmp, reason = "classes are whole numbers")]
    pub(crate) fn agrees(&self, decision: f64, of_instance: f64) -> bool {
        match self {
            Output::Within { tolerance, .. } => (decision - of_instance).abs() <= *tolerance,
            _ => decision == of_instance,
        }
    }
}

fn column(outputs: &Row, target: usize) -> Result<f64> {
    let rule = || format!("a target below the model's {} outputs", outputs.len());
    require(target < outputs.len(), "output", rule(), target)?;
    Ok(outputs[target])
}

/// Equality of numbers that are no classes would make every precision nearly 0.
fn label(value: f64) -> Result<f64> {
    let rule = "`bins` or `within` for a model whose one column holds no whole numbers";
    require(value.fract() == 0.0, "output", rule, value)?;
    Ok(value)
}
