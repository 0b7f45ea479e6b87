//! The method of alibi 0.9.6, where it differs: `semantics = "reference"`.

use ndarray::{Array1, Array2};
use xai_core::constraints::Constraints;
use xai_core::{AsJson, ParamError, Reading, Result, Row, Rows, Run, require};
use xai_optim::reference::{alibi_shrinkage, search_as_alibi};
use xai_optim::{Evaluator, Instance, Outcome, Problem, SearchParams};

use crate::distance::Smoothing;
use crate::objective::PrototypeObjective;
use crate::rules::Rules;
use crate::scaling::{Scaling, weighted_mean};
use crate::space::Space;

/// One number for each category of each feature, as [`Scaling::numbers`]; categories that lie equally far from the origin
/// get the same number.
///
/// # Errors
/// As [`Scaling::numbers`].
pub fn numbers(
    scaling: &Scaling,
    distances: &[Array2<f64>],
    ranges: &[(f64, f64)],
) -> Result<Vec<Vec<f64>>> {
    scaling.tied_numbers(distances, ranges)
}

/// A weighted mean of two numbers for each category, as [`scaling::blend`](crate::scaling::blend); nothing is turned
/// around first, so that two embeddings with opposite directions cancel out.
#[must_use]
pub fn blend(first: &[f64], second: &[f64], weight: f64) -> Vec<f64> {
    weighted_mean(first, second, weight)
}

/// Refuses settings that the reference does not have.
pub(crate) fn validate(constraints: &Constraints) -> Result<(), ParamError> {
    let rule = "left out with the reference semantics, which know none";
    require(*constraints == Constraints::default(), "constraints", rule, AsJson(constraints))
}

/// The step of every numeric derivative.
const STEP: f64 = 1e-3;

/// The method of alibi.
pub(crate) struct Reference;

impl Rules for Reference {
    /// A tie is a change of class.
    fn decision_margin(&self, _: &Reading, _: &Row) -> f64 {
        0.0
    }

    /// Nothing is counted for what never occurs.
    fn default_smoothing(&self) -> Smoothing {
        Smoothing::Epsilon
    }

    fn numbers(
        &self,
        scaling: &Scaling,
        distances: &[Array2<f64>],
        ranges: &[(f64, f64)],
    ) -> Result<Vec<Vec<f64>>> {
        numbers(scaling, distances, ranges)
    }

    fn blend(&self, first: &[f64], second: &[f64], weight: f64) -> Vec<f64> {
        blend(first, second, weight)
    }

    /// Categories may share a number.
    fn separate(&self, _: &mut [f64], _: f64) {}

    /// The reference searches in the range that it was made with.
    fn updates_range(&self) -> bool {
        false
    }

    /// The step does not depend on the range.
    fn step(&self, _: f64) -> f64 {
        STEP
    }

    /// An instance outside the range stays where it is until the search moves it.
    fn requires_inside(&self) -> bool {
        false
    }

    /// The range alone: the reference knows no constraints, and does not widen it to the instance.
    fn limits(&self, space: &Space<'_>, _: usize, feature: usize) -> (f64, f64) {
        (space.range.0[feature], space.range.1[feature])
    }

    /// The nearest of all, the first of equals, whatever the instance's category is.
    fn category(&self, space: &Space<'_>, _: usize, feature: usize, number: f64) -> usize {
        space.nearest(feature, number, |_| true).expect("a feature has a category")
    }

    /// The number of a category moves all its cells alike.
    fn probes_categories(&self) -> bool {
        false
    }

    /// The proximal step is alibi's.
    fn problem<'a>(&self, objective: &'a PrototypeObjective<'a>) -> Box<dyn Problem + 'a> {
        Box::new(AlibiObjective(objective))
    }

    /// Weights one after the other, without polish.
    fn search(
        &self,
        evaluator: Evaluator<'_>,
        params: &SearchParams,
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Outcome>> {
        search_as_alibi(evaluator, params, runs)
    }
}

/// The objective with alibi's proximal step, a one-sided shrinkage in the range of the features; everything else is that of [`PrototypeObjective`].
struct AlibiObjective<'a>(&'a PrototypeObjective<'a>);

impl Problem for AlibiObjective<'_> {
    fn n_columns(&self) -> usize {
        self.0.n_columns()
    }

    fn decode(&self, instance: usize, point: &Row, input: &mut Row) {
        self.0.decode(instance, point, input);
    }

    fn pull_back(&self, instance: usize, point: &Row, gradient: &Row) -> Array1<f64> {
        self.0.pull_back(instance, point, gradient)
    }

    fn probe(&self, instance: usize, point: &Row, coordinate: usize) -> Option<(f64, f64)> {
        self.0.probe(instance, point, coordinate)
    }

    fn smooth(
        &self,
        runs: &mut [Run<'_>],
        instances: &[usize],
        points: &Rows,
    ) -> Result<Option<Array2<f64>>> {
        self.0.smooth(runs, instances, points)
    }

    fn admits(
        &self,
        runs: &mut [Run<'_>],
        instances: &[usize],
        points: &Rows,
        outputs: &Rows,
    ) -> Result<Vec<bool>> {
        self.0.admits(runs, instances, points, outputs)
    }

    fn proximal(&self, _: usize, instance: &Instance, threshold: f64, point: &mut Row) {
        for (k, value) in point.iter_mut().enumerate() {
            let range = [instance.lower[k], instance.upper[k]];
            *value = alibi_shrinkage(*value, instance.center[k], threshold, range);
        }
    }
}
