//! Anchors as rules that can be applied to rows.

use ndarray::Axis;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::tabular::Features;
use xai_core::{Output, Predictor, Reading, Result, Row, Rows, Run};

use crate::bandit::Counts;
use crate::data::Estimate;

/// Conditions on the features of a row, and the decision that the model makes where they hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Rule {
    /// A row must satisfy all of them; each is about another feature. Empty for a rule that every row satisfies.
    pub conditions: Vec<RuleCondition>,
    /// The decision: a class, a label, the number of a bin, or a quantity.
    pub decision: f64,
    /// What the model's outputs mean, as in the setting `output`; `auto` where that was assumed from them.
    pub output: Output,
}

/// The condition of a rule on one feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct RuleCondition {
    /// The feature, by index.
    pub feature: usize,
    /// The condition in words.
    pub text: String,
    /// The code of its category.
    pub code: Option<usize>,
    /// It is above this.
    pub lower: Option<f64>,
    /// It is at most this.
    pub upper: Option<f64>,
    /// Whether it is missing; `null` for categories. A range without bounds is of all numbers.
    pub missing: Option<bool>,
}

xai_core::setters! {
    RuleCondition {
        with_code => code: Option<usize>,
        with_lower => lower: Option<f64>,
        with_upper => upper: Option<f64>,
        with_missing => missing: Option<bool>,
    }
}

impl RuleCondition {
    /// A condition on the feature at this index, in words; setters add its parts.
    #[must_use]
    pub fn new(feature: usize, text: impl Into<String>) -> Self {
        let text = text.into();
        RuleCondition { feature, text, code: None, lower: None, upper: None, missing: None }
    }

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

/// The coverage and precision of a rule on some rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct RuleReport {
    /// The rows, in all.
    pub n_rows: usize,
    /// Those that satisfy the rule.
    pub n_covered: usize,
    /// Their share; 0 without rows.
    pub coverage: f64,
    /// The share of them for which the model makes the rule's decision, with its interval; `null` when there are none.
    pub precision: Option<Estimate>,
}

impl Rule {
    /// A rule for a model whose outputs mean `output`.
    #[must_use]
    pub fn new(conditions: Vec<RuleCondition>, decision: f64, output: Output) -> Self {
        Rule { conditions, decision, output }
    }

    /// The conditions in words.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.conditions.iter().map(|condition| condition.text.clone()).collect()
    }

    /// Whether a row of the table satisfies the rule, shape `(n_columns,)`.
    ///
    /// # Errors
    /// [`Error::Shape`](xai_core::Error::Shape) or [`Error::Category`](xai_core::Error::Category) for a row that does
    /// not fit the features.
    pub fn matches(&self, features: &Features, row: &Row) -> Result<bool> {
        let codes = features.coded(row)?;
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
        if !covered.is_empty() {
            let reading = Reading::new(&self.output, model.output(), &outputs.row(0))?;
            for row in outputs.rows() {
                positives += u64::from(reading.agrees(reading.decision(&row)?, self.decision));
            }
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
