//! The rules of this crate's search.

use xai_core::{ModelRef, Reading, Result, Row, Run};
use xai_optim::loss::SquaredError;

use crate::data::CounterfactualData;
use crate::explainer::Counterfactual;
use crate::rules::Rules;

/// The search of this crate.
pub(crate) struct Native;

impl Rules for Native {
    fn decision_margin(&self, reading: &Reading, outputs: &Row) -> f64 {
        reading.decision_margin(outputs)
    }

    fn least_iterations(&self) -> usize {
        1
    }

    fn falls_back(&self) -> bool {
        true
    }

    fn requires_inside(&self) -> bool {
        true
    }

    fn recorded_error(&self, loss: &SquaredError, outputs: &Row) -> f64 {
        loss.value(outputs)
    }

    /// All instances in shared calls.
    fn explain(
        &self,
        explainer: &Counterfactual,
        model: ModelRef<'_>,
        inputs: &[&Row],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Result<CounterfactualData>>> {
        Ok(explainer.explain_together(model, inputs, runs)?.into_iter().map(Ok).collect())
    }
}
