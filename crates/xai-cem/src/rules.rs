//! The choices in which the native method and that of the reference differ.

use ndarray::Array1;
use xai_core::{Reading, Result, Row, Run, Semantics};
use xai_optim::loss::Hinge;
use xai_optim::{Evaluator, Instance, Outcome, Problem, SearchParams};

use crate::native::Native;
use crate::problem::Contrast;
use crate::reference::Reference;

/// How instances are searched for, where the two semantics differ. Chosen once, by the settings.
pub(crate) trait Rules: Sync {
    /// How far ahead the new class must be where `kappa` is less, in the unit of the numbers by class; `outputs` are those of
    /// the instance.
    fn decision_margin(&self, reading: &Reading, outputs: &Row) -> f64;

    /// Whether the instance, unless `widen_range` is set, and the start of pertinent positives must lie in the range
    /// that is searched.
    fn requires_inside(&self) -> bool;

    /// The step of a numeric derivative by a column, where the settings do not say; `width` is that of its values, `None`
    /// where it is not known.
    fn step(&self, width: Option<f64>) -> f64;

    /// Whether `crossing` has an effect.
    fn crosses(&self) -> bool;

    /// Where an instance starts and where it may go.
    fn instance(&self, contrast: &Contrast<'_>, index: usize, hinge: Hinge) -> Instance;

    /// The space of the search; `eps` are the steps of numeric derivatives, shape `(n_columns,)`.
    fn problem<'a>(&self, contrast: Contrast<'a>, eps: &'a Array1<f64>) -> Box<dyn Problem + 'a>;

    /// The search for all instances.
    fn search(
        &self,
        evaluator: Evaluator<'_>,
        params: &SearchParams,
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Outcome>>;
}

/// The rules of some semantics.
pub(crate) fn rules(semantics: Semantics) -> &'static dyn Rules {
    match semantics {
        Semantics::Native => &Native,
        Semantics::Reference => &Reference,
    }
}
