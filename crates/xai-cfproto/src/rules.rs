//! The choices in which the native method and that of the reference differ.

use ndarray::Array2;
use xai_core::{Reading, Result, Row, Run, Semantics};
use xai_optim::{Evaluator, Outcome, Problem, SearchParams};

use crate::distance::Smoothing;
use crate::native::Native;
use crate::objective::PrototypeObjective;
use crate::reference::Reference;
use crate::scaling::Scaling;
use crate::space::Space;

/// How categories become numbers and how the space is searched, where the two semantics differ. Chosen once for a table,
/// and once for the instances of a call.
pub(crate) trait Rules: Sync {
    /// How far ahead the new class must be where `kappa` is less, in the unit of the numbers by class; `outputs` are those of
    /// the instance.
    fn decision_margin(&self, reading: &Reading, outputs: &Row) -> f64;

    /// How values count that never occur with a category, where the settings do not say.
    fn default_smoothing(&self) -> Smoothing;

    /// One number for each category of each feature; as [`Scaling::numbers`].
    fn numbers(
        &self,
        scaling: &Scaling,
        distances: &[Array2<f64>],
        ranges: &[(f64, f64)],
    ) -> Result<Vec<Vec<f64>>>;

    /// A weighted mean of two numbers for each category.
    fn blend(&self, first: &[f64], second: &[f64], weight: f64) -> Vec<f64>;

    /// Moves numbers of categories apart that are too close to be told apart; `width` is that of their range.
    fn separate(&self, numbers: &mut [f64], width: f64);

    /// Whether `update_feature_range` has an effect: whether the range of a categorical feature becomes that of its
    /// numbers.
    fn updates_range(&self) -> bool;

    /// The step of a numeric derivative by a feature whose range is this wide, where the settings do not say.
    fn step(&self, width: f64) -> f64;

    /// Whether an instance must lie in the range that is searched, unless `widen_range` is set.
    fn requires_inside(&self) -> bool;

    /// The least and the largest coordinate of a feature.
    fn limits(&self, space: &Space<'_>, instance: usize, feature: usize) -> (f64, f64);

    /// The category that a number stands for.
    fn category(&self, space: &Space<'_>, instance: usize, feature: usize, number: f64) -> usize;

    /// Whether categories are differentiated between their neighbors; otherwise their numbers are, as if they were
    /// quantities.
    fn probes_categories(&self) -> bool;

    /// The objective as it is searched.
    fn problem<'a>(&self, objective: &'a PrototypeObjective<'a>) -> Box<dyn Problem + 'a>;

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
