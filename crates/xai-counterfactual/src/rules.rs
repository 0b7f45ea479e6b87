//! The choices in which the native search and that of the reference differ.

use xai_core::{ModelRef, Reading, Result, Row, Run, Semantics};
use xai_optim::loss::SquaredError;

use crate::data::CounterfactualData;
use crate::explainer::Counterfactual;
use crate::native::Native;
use crate::reference::Reference;

/// How instances are searched for, where the two semantics differ. Chosen once, by the settings.
pub(crate) trait Rules: Sync {
    /// How far ahead the new class must be where `kappa` is less, in the unit of the numbers by class; `outputs` are those of
    /// the instance.
    fn decision_margin(&self, reading: &Reading, outputs: &Row) -> f64;

    /// The least `max_iterations`.
    fn least_iterations(&self) -> usize;

    /// Whether `fallback` has an effect, so that training rows are kept for it.
    fn falls_back(&self) -> bool;

    /// Whether an instance must lie in the range that is searched, unless `widen_range` is set.
    fn requires_inside(&self) -> bool;

    /// The loss of a row beside its distance, as it is recorded.
    fn recorded_error(&self, loss: &SquaredError, outputs: &Row) -> f64;

    /// Searches for the counterfactuals of some instances; `inputs` and `runs` go together.
    fn explain(
        &self,
        explainer: &Counterfactual,
        model: ModelRef<'_>,
        inputs: &[&Row],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Result<CounterfactualData>>>;
}

/// The rules of some semantics.
pub(crate) fn rules(semantics: Semantics) -> &'static dyn Rules {
    match semantics {
        Semantics::Native => &Native,
        Semantics::Reference => &Reference,
    }
}
