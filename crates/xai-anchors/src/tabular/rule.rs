//! Anchors as rules that can be applied to rows.

use ndarray::Axis;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::tabular::Features;
use xai_core::{Predictor, Result, Row, Rows, Run, same_shape};

use super::table::coded;
use crate::bandit::Counts;
use crate::data::Estimate;
use crate::output::Output;

/// Conditions on the features of a row, and the decision that they hold in place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// All must hold; each is about another feature. Empty for a rule that every row satisfies.
    pub conditions: Vec<RuleCondition>,
    /// The decision: a class, the number of a bin, or a quantity, as the explainer's `output` reads it.
    pub decision: f64,
    /// How decisions are read from the model.
    pub output: Output,
}

/// What a rule asks of one feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleCondition {
    /// The feature, by index.
    pub feature: usize,
    /// The condition in words.
    pub text: String,
    /// The category's code that it has.
    pub code: Option<usize>,
    /// What it is above.
    pub lower: Option<f64>,
    /// What it is at most.
    pub upper: Option<f64>,
    /// Whether it is missing; `null` for categories. A range without bounds is of all numbers.
    pub missing: Option<bool>,
}

impl RuleCondition {
    #[allow(clippy::float_cmp, reason = "codes are whole numbers")]
    fn holds(&self, value: f64) -> bool {
        match (self.code, self.missing) {
            (Some(code), _) => value == code as f64,
            (None, Some(true)) => value.is_nan(),
            (None, _) => {
                !value.is_nan()
                    && self.lower.is_none_or(|lower| lower < value)
                    && self.upper.is_none_or(|upper| value <= upper)
            }
        }
    }
}

/// How a rule fares on rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleReport {
    /// The rows, in all.
    pub n_rows: usize,
    /// Those that satisfy the rule.
    pub n_covered: usize,
    /// Their share; 0 without rows.
    pub coverage: f64,
    /// The share of them for which the model decides as the rule says, with its interval; `null` when there are none.
    pub precision: Option<Estimate>,
}

impl Rule {
    /// Whether a row of the table satisfies the rule, shape `(n_columns,)`.
    ///
    /// # Errors
    /// [`Error::Shape`](xai_core::Error::Shape) or [`Error::Category`](xai_core::Error::Category) for a row that does
    /// not fit the features.
    pub fn matches(&self, features: &Features, row: &Row) -> Result<bool> {
        same_shape("the row", &[features.n_columns()], row.shape())?;
        let codes = coded(features, row)?;
        Ok(self.conditions.iter().all(|condition| {
            codes.get(condition.feature).is_some_and(|&value| condition.holds(value))
        }))
    }

    /// Which rows satisfy the rule, by index, ascending.
    ///
    /// # Errors
    /// As [`matches`](Self::matches).
    pub fn covered(&self, features: &Features, rows: &Rows) -> Result<Vec<usize>> {
        let mut covered = Vec::new();
        for (index, row) in rows.axis_iter(Axis(0)).enumerate() {
            if self.matches(features, &row)? {
                covered.push(index);
            }
        }
        Ok(covered)
    }

    /// Applies the rule to rows, and asks the model about those that satisfy it. The interval holds at `1 - delta`.
    ///
    /// # Errors
    /// As [`matches`](Self::matches), and those of the model.
    ///
    /// # Cost
    /// One query for each row that satisfies the rule.
    pub fn evaluate(
        &self,
        features: &Features,
        rows: &Rows,
        model: &dyn Predictor,
        delta: f64,
        run: &mut Run<'_>,
    ) -> Result<RuleReport> {
        let allowed = 0.0 < delta && delta < 1.0;
        xai_core::require(allowed, "delta", "above 0 and below 1", delta)?;
        let covered = self.covered(features, rows)?;
        let outputs = run.predict(model, &rows.select(Axis(0), &covered))?;
        let mut positives = 0;
        for row in outputs.rows().into_iter().take(covered.len()) {
            positives += u64::from(self.output.agrees(self.output.decision(&row)?, self.decision));
        }
        let counts = Counts { n_samples: covered.len() as u64, positives };
        let share = Counts { n_samples: rows.nrows() as u64, positives: counts.n_samples };
        Ok(RuleReport {
            n_rows: rows.nrows(),
            n_covered: covered.len(),
            coverage: share.mean(),
            precision: (!covered.is_empty()).then(|| Estimate::new(counts, delta)),
        })
    }
}
