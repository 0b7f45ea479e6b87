//! The data of the rows that a search found.

use xai_core::tabular::Features;
use xai_core::{ModelRef, Row, Semantics, Status, Stop};
use xai_optim::loss::SquaredError;
use xai_optim::{Candidate, Classes, Counterfactual, Distances, Instance, Outcome, Route, reason};

use crate::data::{CounterfactualData, Hit, Lambda, Step};
use crate::descent::{self, Trail};
use crate::params::CounterfactualParams;
use crate::reference;

/// Writes what was found for one instance.
pub(crate) struct Writer<'a> {
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
    fn counterfactual(&self, candidate: Candidate) -> Counterfactual {
        let changes = self.features.changes(self.x, &candidate.point);
        let distances = Distances::of(self.instance, &candidate);
        let class = self.loss.scores.class(&candidate.outputs);
        Counterfactual::new(candidate.point, candidate.outputs, class, distances, changes)
    }

    fn hit(&self, candidate: &Candidate, lambda: f64, index: usize) -> Hit {
        Hit {
            index,
            row: candidate.point.clone(),
            outputs: candidate.outputs.clone(),
            distance: candidate.distance,
            loss: self.loss(candidate, lambda),
        }
    }

    fn loss(&self, candidate: &Candidate, lambda: f64) -> f64 {
        let scores = &self.loss.scores;
        let error = match self.params.semantics {
            Semantics::Native => self.loss.value(&candidate.outputs),
            Semantics::Reference => {
                let largest = scores.scores(&candidate.outputs)[scores.class(&candidate.outputs)];
                (largest - self.loss.target_proba).powi(2)
            }
        };
        error + lambda * candidate.distance
    }

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

    pub(crate) fn reference(&self, found: reference::Found) -> CounterfactualData {
        let candidate = |hit: &reference::Hit| Candidate {
            point: hit.point.clone(),
            outputs: hit.outputs.clone(),
            distance: hit.distance,
        };
        let step = found.best.as_ref().map(|hit| Step {
            lambda: hit.lambda,
            index: hit.index,
            loss: self.loss(&candidate(hit), hit.lambda),
        });
        let cf = found.best.as_ref().map(|hit| self.counterfactual(candidate(hit)));
        let status = match (&cf, found.stop) {
            (Some(_), _) => Status::Found,
            (None, Some(_)) => Status::Stopped,
            (None, None) => Status::NotFound,
        };
        let mut data = self.data(cf, step, status, found.stop);
        data.route = data.cf.as_ref().map(|_| Route::Descent);
        if status == Status::NotFound && !found.began {
            let reason = "Not found: fewer than two lambdas of the sweep reached the target.";
            reason.clone_into(&mut data.reason);
        }
        for tried in &found.tried {
            let hits: Vec<&reference::Hit> = match self.params.trace {
                0 => tried.best.iter().collect(),
                _ => tried.trace.iter().collect(),
            };
            let hit = |hit: &reference::Hit| self.hit(&candidate(hit), hit.lambda, hit.index);
            data.lambdas.push(Lambda {
                lambda: tried.lambda,
                n_steps: tried.n_steps,
                n_hits: tried.n_hits,
                distance: tried.best.as_ref().map(|hit| hit.distance),
                hits: hits.into_iter().map(hit).collect(),
            });
        }
        if data.cf.is_none() {
            data.nearest_miss = found.nearest.map(|miss| {
                let distance = (&miss.point - &self.x.view()).mapv(f64::abs).sum();
                let (point, outputs) = (miss.point, miss.outputs);
                self.counterfactual(Candidate { point, outputs, distance })
            });
        }
        data
    }

    fn data(
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
