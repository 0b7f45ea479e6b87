//! The descent of alibi 0.9.6, for results that have to match: weights one after the other, thresholds that do not shrink
//! with the learning rate, and gradients of a black box that come a step late.

use ndarray::Array1;
use xai_core::error::Result;
use xai_core::model::{ModelRef, Row};
use xai_core::run::Run;

use crate::evaluate::{Evaluator, Query};
use crate::fista::{Descent, Fista, Native, Round, Rules};
use crate::loss::Hinge;
use crate::outcome::{Outcome, SearchParams};
use crate::refine::Refiner;
use crate::searched::Searched;
use crate::step::polynomial_decay;

/// The search of alibi for each instance; `evaluator.instances` and `runs` go together.
///
/// Of `params` the polish, the reverting of changes, the fallbacks and the patience are not used.
/// An instance that reaches the target itself is searched for all the same, and `max_changes` is not looked at.
///
/// # Errors
/// As [`search`](crate::search()).
///
/// # Cost
/// `c_steps * max_iterations` rounds of calls; in each a descent asks for at most two points and one gradient. A black box
/// pays for the gradients of all steps since the last one.
pub fn search_as_alibi(
    evaluator: Evaluator<'_>,
    params: &SearchParams,
    runs: &mut [Run<'_>],
) -> Result<Vec<Outcome>> {
    let params = &SearchParams { patience: None, ..params.clone() };
    let rules = match evaluator.model {
        ModelRef::WhiteBox(_) => &UnscaledThreshold as &dyn Rules,
        ModelRef::BlackBox(_) => &DelayedGradients,
    };
    let refiner = Refiner { evaluator, cost: params.cost };
    let mut searched = Searched::new(evaluator.instances.len());
    let is_single = runs.len() == 1;
    let result = searched.descend_in_turn(&refiner, params, rules, runs);
    searched.ended(is_single, result)?;
    searched.outcomes(&refiner, rules, runs)
}

impl Searched {
    /// One weight after the other.
    fn descend_in_turn(
        &mut self,
        refiner: &Refiner<'_>,
        params: &SearchParams,
        rules: &dyn Rules,
        runs: &mut [Run<'_>],
    ) -> Result<()> {
        let starts = self.evaluate_starts(refiner, params, rules, runs)?;
        for (instance, start) in starts.iter().enumerate() {
            if let Some(start) = start {
                self.record_start_miss(refiner, instance, start);
            }
        }
        let fista = Fista { evaluator: refiner.evaluator, params, rules };
        let mut weights = vec![Sequential::new(params.c_init); starts.len()];
        for _ in 0..params.c_steps {
            let mut descents = Vec::new();
            for (instance, weight) in weights.iter().enumerate() {
                if self.progress[instance].is_open() {
                    let c = if params.attack { weight.c } else { 0.0 };
                    descents.push(Descent::from_start(&fista, instance, c, &starts));
                }
            }
            self.descend(&fista, runs, descents)?;
            for (weight, trials) in weights.iter_mut().zip(&self.trials) {
                weight.next(trials.last().is_some_and(|trial| trial.distance.is_some()));
            }
        }
        Ok(())
    }
}

/// The steps of alibi's white box.
struct UnscaledThreshold;

impl Rules for UnscaledThreshold {
    fn needs_start_gradient(&self) -> bool {
        true
    }

    fn cotangent(&self, hinge: &Hinge, outputs: &Row) -> Option<Array1<f64>> {
        hinge.cotangent(outputs)
    }

    fn accepts(&self, hinge: &Hinge, outputs: &Row) -> bool {
        accepts_as_alibi(hinge, outputs)
    }

    fn step(&self, fista: &Fista<'_>, descent: &mut Descent, smooth: Option<&Row>) {
        let SearchParams { cost, learning_rate_init, max_iterations, clip, .. } = *fista.params;
        let rate = polynomial_decay(learning_rate_init, descent.steps, max_iterations);
        for k in 0..descent.extrapolated.len() {
            let attack = descent.attack.as_ref().map_or(0.0, |attack| descent.c * attack[k]);
            let slope = fista.smooth_slope(descent, smooth, k) + attack;
            descent.extrapolated[k] -= rate * slope.clamp(clip.0, clip.1);
        }
        fista.move_on(descent, cost.absolute, false);
    }

    fn request_gradient(
        &self,
        fista: &Fista<'_>,
        descent: &Descent,
        check: Option<usize>,
        queries: &mut Vec<Query>,
    ) -> Vec<usize> {
        Native.request_gradient(fista, descent, check, queries)
    }

    fn advance(&self, fista: &Fista<'_>, descent: &mut Descent, round: Round<'_>) {
        if let &[gradient] = round.gradients {
            descent.attack.clone_from(&round.evaluations[gradient].gradient);
        }
        descent.done |= fista.params.max_iterations <= descent.steps;
    }
}

/// The steps of alibi's black box: its gradients are the mean of those at all points since the last one, each part of the
/// gradient is cut to the range by itself, and the first step has none.
struct DelayedGradients;

impl Rules for DelayedGradients {
    fn needs_start_gradient(&self) -> bool {
        false
    }

    fn cotangent(&self, hinge: &Hinge, outputs: &Row) -> Option<Array1<f64>> {
        inflated_cotangent(hinge, outputs)
    }

    fn accepts(&self, hinge: &Hinge, outputs: &Row) -> bool {
        accepts_as_alibi(hinge, outputs)
    }

    fn step(&self, fista: &Fista<'_>, descent: &mut Descent, smooth: Option<&Row>) {
        let SearchParams { cost, learning_rate_init, max_iterations, clip, .. } = *fista.params;
        let rate = polynomial_decay(learning_rate_init, descent.steps, max_iterations);
        for k in 0..descent.extrapolated.len() {
            let attack = descent.attack.as_ref().map_or(0.0, |attack| descent.c * attack[k]);
            let slope = fista.smooth_slope(descent, smooth, k);
            let slope = slope.clamp(clip.0, clip.1) + attack.clamp(clip.0, clip.1);
            descent.extrapolated[k] -= rate * slope;
        }
        fista.move_on(descent, cost.absolute, true);
        descent.recorded.push(descent.extrapolated.clone());
    }

    fn request_gradient(
        &self,
        _: &Fista<'_>,
        descent: &Descent,
        _: Option<usize>,
        queries: &mut Vec<Query>,
    ) -> Vec<usize> {
        let first = queries.len();
        let instance = descent.instance;
        let recorded = descent.recorded.iter().cloned();
        queries.extend(recorded.map(|point| Query { instance, point, gradient: true }));
        (first..queries.len()).collect()
    }

    fn advance(&self, fista: &Fista<'_>, descent: &mut Descent, round: Round<'_>) {
        let gradients =
            round.gradients.iter().filter_map(|&query| round.evaluations[query].gradient.as_ref());
        // Gradients that are missing count as zero.
        let sum = gradients.fold(None, |sum: Option<Array1<f64>>, gradient| {
            Some(sum.map_or_else(|| gradient.clone(), |sum| sum + gradient))
        });
        descent.attack = sum.map(|sum| sum / round.gradients.len() as f64);
        if !round.gradients.is_empty() {
            descent.recorded.clear();
        }
        descent.done |= fista.params.max_iterations <= descent.steps;
    }
}

/// Whether the model says what is wanted, as alibi judges it: `kappa` is added to the numbers of the other classes, and
/// the class with the largest number is a wanted one. A tie with the margin goes to the lowest class, not to the
/// instance's; an interval, which alibi does not know, is judged by [`Hinge::accepts`].
#[must_use]
pub fn accepts_as_alibi(hinge: &Hinge, outputs: &Row) -> bool {
    hinge.largest_is_wanted(outputs).unwrap_or_else(|| hinge.accepts(outputs))
}

/// The derivative of a hinge that alibi's black box descends along: inflated by `n / (n - 1)` for `n` classes, because it
/// perturbs probabilities so that they keep their sum, and `None` where the class of the instance is behind by `kappa`,
/// even where it is to stay ahead.
#[must_use]
pub fn inflated_cotangent(hinge: &Hinge, outputs: &Row) -> Option<Array1<f64>> {
    let Some(instance) = hinge.instance_margin(outputs) else { return hinge.cotangent(outputs) };
    let n_classes = instance.n_classes as f64;
    let is_active = -instance.kappa < instance.lead;
    is_active.then(|| -hinge.margin(outputs).cotangent * (n_classes / (n_classes - 1.0)))
}

/// The weights of alibi: one `c` after the other, multiplied by ten until one succeeds and then halved between the
/// largest that failed and the smallest that succeeded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sequential {
    /// The weight to try next, above 0.
    pub c: f64,
    lower: f64,
    upper: f64,
}

/// No success yet.
const OPEN: f64 = 1e10;

impl Sequential {
    /// The rule before its first weight.
    #[must_use]
    pub fn new(c_init: f64) -> Self {
        Sequential { c: c_init, lower: 0.0, upper: OPEN }
    }

    /// Moves on from the weight that was tried.
    pub fn next(&mut self, succeeded: bool) {
        if succeeded {
            self.upper = self.upper.min(self.c);
        } else {
            self.lower = self.lower.max(self.c);
        }
        if self.upper < 1e9 {
            self.c = f64::midpoint(self.lower, self.upper);
        } else if !succeeded {
            self.c *= 10.0;
        }
    }
}

/// The shrinkage of a coordinate in alibi, in a range from a least to a largest value: an upward move is cut from above alone, a downward move from below alone,
/// so that a centre outside the range stays where it is.
#[must_use]
pub fn alibi_shrinkage(value: f64, center: f64, threshold: f64, range: [f64; 2]) -> f64 {
    let [min, max] = range;
    let deviation = value - center;
    if threshold < deviation {
        (value - threshold).min(max)
    } else if deviation < -threshold {
        (value + threshold).max(min)
    } else {
        center
    }
}

/// The projection of pertinent negatives in alibi: a value that is not farther from the uninformative `reference` than
/// the value of the `instance` is put back to the latter.
#[must_use]
pub fn project_pertinent_negative(value: f64, instance: f64, reference: f64) -> f64 {
    if (instance - reference).abs() < (value - reference).abs() { value } else { instance }
}

/// The projection of pertinent positives in alibi: a value that is farther from the uninformative `reference` than the
/// value of the `instance` is put back to the latter.
#[must_use]
pub fn project_pertinent_positive(value: f64, instance: f64, reference: f64) -> f64 {
    if (instance - reference).abs() < (value - reference).abs() { instance } else { value }
}
