//! The data of the rows that a search found.

use xai_core::tabular::Features;
use xai_core::{ModelRef, Row, Status, Stop};
use xai_optim::loss::SquaredError;
use xai_optim::{Candidate, Classes, Counterfactual, Distances, Instance, Outcome, Route, reason};

use crate::data::{CounterfactualData, Hit, Lambda, Step};
use crate::descent::{self, Trail};
use crate::params::CounterfactualParams;
use crate::rules::Rules;

/// Writes what was found for one instance.
pub(crate) struct Writer<'a> {
    pub(crate) rules: &'a dyn Rules,
    pub(crate) params: &'a CounterfactualParams,
    pub(crate) features: &'a Features,
    pub(crate) model: ModelRef<'a>,
    pub(crate) x: &'a Row,
    /// The model's outputs for `x`.
    pub(crate) outputs: &'a Row,
    pub(crate) instance: &'a Instance,
    pub(crate) loss: &'a SquaredError,
}

impl Writer<'_> {
    pub(crate) fn counterfactual(&self, candidate: Candidate) -> Counterfactual {
        let changes = self.features.changes(self.x, &candidate.point);
        let distances = Distances::of(self.instance, &candidate);
        let class = self.loss.scores.class(&candidate.outputs);
        Counterfactual::new(candidate.point, candidate.outputs, class, distances, changes)
    }

    pub(crate) fn hit(&self, candidate: &Candidate, lambda: f64, index: usize) -> Hit {
        Hit {
            index,
            row: candidate.point.clone(),
            outputs: candidate.outputs.clone(),
            distance: candidate.distance,
            loss: self.loss(candidate, lambda),
        }
    }

    /// The loss of a point, as it is recorded.
    pub(crate) fn loss(&self, candidate: &Candidate, lambda: f64) -> f64 {
        self.rules.recorded_error(self.loss, &candidate.outputs) + lambda * candidate.distance
    }

    /// What the native search found.
    pub(crate) fn native(&self, outcome: Outcome, trail: &Trail) -> CounterfactualData {
        let max_iterations = self.params.search.max_iterations;
        let is_descent = outcome.route == Some(Route::Descent);
        let found = outcome.found.as_ref().filter(|_| is_descent);
        let step = found.and_then(|found| {
            let closest = descent::closest(trail, &found.point)?;
            let index = closest.place * max_iterations + closest.hit.step;
            let lambda = closest.lambda;
            Some(Step { lambda, index, loss: self.loss(found, lambda) })
        });
        let cf = outcome.found.map(|found| self.counterfactual(found));
        let status = match (outcome.status, outcome.route) {
            (Status::Found, Some(Route::Start)) => Status::AlreadySatisfied,
            (status, _) => status,
        };
        let mut data = self.data(cf, step, status, outcome.stop);
        for (place, descent) in trail.descents.iter().enumerate() {
            let best = descent.best.as_ref();
            let hits: Vec<&descent::Hit> = match self.params.trace {
                0 => best.into_iter().collect(),
                _ => descent.trace.iter().collect(),
            };
            let hit = |hit: &descent::Hit| {
                self.hit(&hit.candidate, descent.lambda, place * max_iterations + hit.step)
            };
            data.lambdas.push(Lambda {
                lambda: descent.lambda,
                n_steps: descent.steps,
                n_hits: descent.n_hits,
                distance: best.map(|hit| hit.candidate.distance),
                hits: hits.into_iter().map(hit).collect(),
            });
        }
        data.route = outcome.route;
        data.nearest_miss = outcome.nearest_miss.map(|miss| self.counterfactual(miss));
        data
    }

    pub(crate) fn data(
        &self,
        cf: Option<Counterfactual>,
        step: Option<Step>,
        status: Status,
        stop: Option<Stop>,
    ) -> CounterfactualData {
        let scores = &self.loss.scores;
        CounterfactualData {
            status,
            reason: reason(status, stop).to_owned(),
            instance: self.x.to_owned(),
            outputs: self.outputs.to_owned(),
            class: scores.class(self.outputs),
            classes: Classes::new(scores, self.model.predictor().class_names()),
            cf,
            step,
            nearest_miss: None,
            route: None,
            lambdas: Vec::new(),
            feature_names: self.features.names(),
            shape: self.params.shape.clone(),
            stop: stop.unwrap_or(Stop::Converged),
        }
    }
}
