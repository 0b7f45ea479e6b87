//! The rules of this crate's method.

use ndarray::Array2;
use xai_core::{Reading, Result, Row, Run};
use xai_optim::{Evaluator, Outcome, Problem, SearchParams};

use crate::distance::Smoothing;
use crate::objective::PrototypeObjective;
use crate::rules::Rules;
use crate::scaling::{Scaling, blend, separate};
use crate::space::Space;

/// Ranges wider than this say nothing of the size of a step. Chosen by hand.
const KNOWN: f64 = 1e6;

/// The step of a numeric derivative where the range says nothing, and its share of the range. Chosen by hand.
const STEP: f64 = 1e-3;

/// The method of this crate.
pub(crate) struct Native;

impl Rules for Native {
    fn decision_margin(&self, reading: &Reading, outputs: &Row) -> f64 {
        reading.decision_margin(outputs)
    }

    fn default_smoothing(&self) -> Smoothing {
        Smoothing::default()
    }

    fn numbers(
        &self,
        scaling: &Scaling,
        distances: &[Array2<f64>],
        ranges: &[(f64, f64)],
    ) -> Result<Vec<Vec<f64>>> {
        scaling.numbers(distances, ranges)
    }

    fn blend(&self, first: &[f64], second: &[f64], weight: f64) -> Vec<f64> {
        blend(first, second, weight)
    }

    fn separate(&self, numbers: &mut [f64], width: f64) {
        separate(numbers, width);
    }

    fn updates_range(&self) -> bool {
        true
    }

    fn step(&self, width: f64) -> f64 {
        if 0.0 < width && width <= KNOWN { STEP * width } else { STEP }
    }

    fn requires_inside(&self) -> bool {
        true
    }

    /// What the constraints allow within the range, the instance's own coordinate included.
    fn limits(&self, space: &Space<'_>, instance: usize, feature: usize) -> (f64, f64) {
        let origin = space.origins[instance].point[feature];
        let (least, most) = (space.range.0[feature], space.range.1[feature]);
        let (lower, upper) = match &space.codes.numbers[feature] {
            None => space.constraints.limits(feature, origin),
            Some(numbers) => {
                let codes = space.allowed(instance, feature);
                (numbers[codes[0]], numbers[codes[codes.len() - 1]])
            }
        };
        (lower.max(least).min(origin), upper.min(most).max(origin))
    }

    /// The nearest of those that the constraints allow. The instance's own number is its category, even where another
    /// category has the same number.
    #[allow(clippy::float_cmp, reason = "the instance's own number is the same number")]
    fn category(&self, space: &Space<'_>, instance: usize, feature: usize, number: f64) -> usize {
        if number == space.origins[instance].point[feature] {
            return space.category_of_instance(instance, feature);
        }
        let nearest = space.nearest(feature, number, |code| space.allows(instance, feature, code));
        nearest.expect("the instance's own category is allowed")
    }

    /// A category between two others has no derivative.
    fn probes_categories(&self) -> bool {
        true
    }

    fn problem<'a>(&self, objective: &'a PrototypeObjective<'a>) -> Box<dyn Problem + 'a> {
        Box::new(*objective)
    }

    fn search(
        &self,
        evaluator: Evaluator<'_>,
        params: &SearchParams,
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Outcome>> {
        xai_optim::search(evaluator, params, runs)
    }
}
