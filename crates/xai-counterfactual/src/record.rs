//! What is said of the rows that a search found.

use xai_core::{Row, Semantics, Stop};
use xai_optim::loss::SquaredError;
use xai_optim::{Candidate, Outcome, Route, Status};

use crate::data::{CounterfactualData, CounterfactualRecord, Lambda};
use crate::explainer::Counterfactual;
use crate::lanes::{self, Trail};
use crate::reference;

/// Writes what was found for one instance.
pub(crate) struct Writer<'a> {
    pub(crate) explainer: &'a Counterfactual,
    pub(crate) x: &'a Row,
    pub(crate) loss: &'a SquaredError,
}

impl Writer<'_> {
    fn record(
        &self,
        candidate: &Candidate,
        lambda: Option<f64>,
        index: Option<usize>,
    ) -> CounterfactualRecord {
        let outputs = self.loss.outputs;
        let proba = outputs.classes(&candidate.outputs);
        let class = outputs.class(&candidate.outputs);
        let error = match self.explainer.params().semantics {
            Semantics::Native => self.loss.value(&candidate.outputs),
            Semantics::Reference => (proba[class] - self.loss.target_proba).powi(2),
        };
        let distance = candidate.distance;
        let loss = error + lambda.map_or(0.0, |lambda| lambda * distance);
        let x = candidate.point.clone();
        CounterfactualRecord { x, distance, lambda, index, class, proba, loss }
    }

    pub(crate) fn native(
        &self,
        answer: &Row,
        outcome: Outcome,
        trail: &Trail,
        n_queries: u64,
    ) -> CounterfactualData {
        let max_iter = self.explainer.params().max_iter;
        let place = |lane: usize, step: usize| Some(lane * max_iter + step);
        let is_descent = outcome.route == Some(Route::Descent);
        let cf = outcome.found.as_ref().map(|found| {
            let closest = lanes::closest(trail, &found.point.view()).filter(|_| is_descent);
            let index = closest.and_then(|(lane, _, hit)| place(lane, hit.step));
            self.record(found, closest.map(|(_, lambda, _)| lambda), index)
        });
        let mut data = self.data(answer, cf, outcome.status, outcome.stop, n_queries);
        for (j, lane) in trail.lanes.iter().enumerate() {
            let best = lane.best.as_ref();
            let hits = if self.explainer.params().trace == 0 {
                best.into_iter().collect::<Vec<_>>()
            } else {
                lane.trace.iter().collect()
            };
            let record = |hit: &lanes::Hit| {
                self.record(&hit.candidate, Some(lane.lambda), place(j, hit.step))
            };
            data.all.insert(j, hits.into_iter().map(record).collect());
            data.lambdas.push(Lambda {
                lambda: lane.lambda,
                n_steps: lane.steps,
                n_hits: lane.n_hits,
                distance: best.map(|hit| hit.candidate.distance),
            });
        }
        data.route = outcome.route;
        if outcome.route == Some(Route::Start) {
            "Found: the instance itself reaches the target.".clone_into(&mut data.reason);
        }
        data.nearest_miss = outcome.nearest_miss.map(|miss| self.record(&miss, None, None));
        data
    }

    pub(crate) fn reference(
        &self,
        answer: &Row,
        found: reference::Found,
        n_queries: u64,
    ) -> CounterfactualData {
        let candidate = |hit: &reference::Hit| Candidate {
            point: hit.point.clone(),
            outputs: hit.outputs.clone(),
            distance: hit.distance,
        };
        let record =
            |hit: &reference::Hit| self.record(&candidate(hit), Some(hit.lambda), Some(hit.index));
        let cf = found.best.as_ref().map(record);
        let status = match (&cf, found.stop) {
            (Some(_), _) => Status::Found,
            (None, Some(_)) => Status::Budget,
            (None, None) => Status::TargetNotReached,
        };
        let mut data = self.data(answer, cf, status, found.stop, n_queries);
        data.success = found.began.then_some(true);
        data.route = data.cf.as_ref().map(|_| Route::Descent);
        if status == Status::TargetNotReached && !found.began {
            let reason = "Not found: fewer than two lambdas of the sweep reached the target.";
            reason.clone_into(&mut data.reason);
        }
        for (step, tried) in found.tried.iter().enumerate() {
            let hits = if self.explainer.params().trace == 0 {
                tried.best.iter().map(record).collect()
            } else {
                tried.trace.iter().map(record).collect()
            };
            data.all.insert(step, hits);
            data.lambdas.push(Lambda {
                lambda: tried.lambda,
                n_steps: tried.n_steps,
                n_hits: tried.n_hits,
                distance: tried.best.as_ref().map(|hit| hit.distance),
            });
        }
        if data.cf.is_none() {
            data.nearest_miss = found.nearest.map(|(_, point, outputs)| {
                let distance = (&point - &self.x.view()).mapv(f64::abs).sum();
                self.record(&Candidate { point, outputs, distance }, None, None)
            });
        }
        data
    }

    fn data(
        &self,
        answer: &Row,
        cf: Option<CounterfactualRecord>,
        status: Status,
        stop: Option<Stop>,
        n_queries: u64,
    ) -> CounterfactualData {
        let proba = self.loss.outputs.classes(answer);
        let orig_class = self.loss.outputs.class(answer);
        CounterfactualData {
            all: std::collections::BTreeMap::new(),
            orig_class,
            orig_proba: proba[orig_class],
            success: Some(cf.is_some()),
            status,
            reason: reason(status, stop).to_owned(),
            route: None,
            nearest_miss: None,
            changes: cf
                .as_ref()
                .map_or_else(Vec::new, |cf| self.explainer.features().changes(self.x, &cf.x)),
            cf,
            lambdas: Vec::new(),
            instance: self.x.to_owned(),
            feature_names: self.explainer.features().names(),
            shape: self.explainer.params().shape.clone(),
            n_queries,
            stop: stop.unwrap_or(Stop::Converged),
        }
    }
}

fn reason(status: Status, stop: Option<Stop>) -> &'static str {
    match (status, stop) {
        (Status::Found, None) => "Found.",
        (Status::Found, Some(_)) => "The best that was found before the search was stopped.",
        (Status::GradientVanished, _) => {
            "Not found: the model is flat around the instance, and other ways found nothing."
        }
        (Status::RangeInfeasible, _) => {
            "Not found: only changes that are not allowed would lead closer."
        }
        (Status::Budget, _) => "Not found before the search was stopped.",
        _ => "Not found: the search did not reach the target.",
    }
}
