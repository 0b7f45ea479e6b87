//! What a search knows of its instances, and how it goes on from the starts.

use xai_core::Status;
use xai_core::error::{Error, Result};
use xai_core::run::Run;

use crate::evaluate::{Evaluation, Evaluator, Query};
use crate::fista::{Descent, Fista, Native, Rules};
use crate::outcome::{Candidate, Outcome, Progress, Route, SearchParams, Trial};
use crate::refine::{FoundPoint, Refiner};
use crate::weights::{decades, refined};

/// What is known of all instances of a call.
pub(crate) struct Searched {
    pub(crate) progress: Vec<Progress>,
    /// Accepted points by instance, the cheapest first.
    pub(crate) found: Vec<Vec<Candidate>>,
    pub(crate) route: Vec<Option<Route>>,
    pub(crate) trials: Vec<Vec<Trial>>,
}

/// Points of an instance that are polished, at most. Chosen by hand.
const POLISHED: usize = 3;

impl Searched {
    pub(crate) fn new(n_instances: usize) -> Self {
        Searched {
            progress: (0..n_instances).map(|_| Progress::new()).collect(),
            found: vec![Vec::new(); n_instances],
            route: vec![None; n_instances],
            trials: vec![Vec::new(); n_instances],
        }
    }

    /// A stop leaves the best so far where only one instance is concerned.
    pub(crate) fn ended(&mut self, is_single: bool, result: Result<()>) -> Result<()> {
        match result {
            Err(Error::Stopped(stop)) if is_single => {
                self.progress[0].stop.get_or_insert(stop);
                Ok(())
            }
            other => other,
        }
    }

    pub(crate) fn find(
        &mut self,
        refiner: &Refiner<'_>,
        params: &SearchParams,
        runs: &mut [Run<'_>],
    ) -> Result<()> {
        let starts = self.evaluate_starts(refiner, params, &Native, runs)?;
        for (index, start) in starts.iter().enumerate() {
            let Some(start) = start else { continue };
            let instance = &refiner.evaluator.instances[index];
            if instance.hinge.accepts(&start.outputs) {
                self.found[index].push(refiner.candidate(index, &instance.start, &start.outputs));
                self.route[index] = Some(Route::Start);
            } else {
                self.record_start_miss(refiner, index, start);
            }
        }
        self.descend_side_by_side(refiner, params, runs, &starts)?;
        if params.fallback {
            self.fall_back(refiner, runs)?;
        }
        self.refine(refiner, params, runs)
    }

    /// Evaluates the starts; `None` where the budget does not suffice.
    pub(crate) fn evaluate_starts(
        &mut self,
        refiner: &Refiner<'_>,
        params: &SearchParams,
        rules: &dyn Rules,
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Option<Evaluation>>> {
        let evaluator = &refiner.evaluator;
        let gradient = params.attack && rules.needs_start_gradient();
        let query = |(index, instance): (usize, &crate::Instance)| Query {
            instance: index,
            point: instance.start.clone(),
            gradient,
        };
        let queries: Vec<Query> = evaluator.instances.iter().enumerate().map(query).collect();
        let queries = refiner.affordable_queries(runs, &mut self.progress, queries);
        let hinge = |index: usize| &evaluator.instances[queries[index].instance].hinge;
        let evaluations = evaluator
            .evaluate(runs, &queries, &|index, outputs| hinge(index).cotangent(outputs))?;
        let mut starts = vec![None; evaluator.instances.len()];
        for (query, evaluation) in queries.iter().zip(evaluations) {
            starts[query.instance] = Some(evaluation);
        }
        Ok(starts)
    }

    /// Keeps a start as the first near miss.
    pub(crate) fn record_start_miss(
        &mut self,
        refiner: &Refiner<'_>,
        index: usize,
        start: &Evaluation,
    ) {
        let instance = &refiner.evaluator.instances[index];
        let hinge = instance.hinge.value(&start.outputs);
        self.progress[index]
            .record_miss(hinge, || refiner.candidate(index, &instance.start, &start.outputs));
    }

    /// Whether an instance is still to be searched for.
    fn is_open(&self, instance: usize) -> bool {
        self.progress[instance].is_open() && self.found[instance].is_empty()
    }

    /// Two rounds of weights, all descents of a round at once.
    fn descend_side_by_side(
        &mut self,
        refiner: &Refiner<'_>,
        params: &SearchParams,
        runs: &mut [Run<'_>],
        starts: &[Option<Evaluation>],
    ) -> Result<()> {
        let fista = Fista { evaluator: refiner.evaluator, params, rules: &Native };
        let first = if params.attack { decades(params.c_init, params.c_steps) } else { vec![0.0] };
        let mut descents = Vec::new();
        for instance in 0..starts.len() {
            if self.is_open(instance) {
                let new = |&c: &f64| Descent::from_start(&fista, instance, c, starts);
                descents.extend(first.iter().map(new));
            }
        }
        self.descend(&fista, runs, descents)?;
        let mut descents = Vec::new();
        for instance in 0..starts.len() {
            if self.progress[instance].is_open() && params.attack {
                let weights = refined(&self.trials[instance], params.c_steps);
                let new = |&c: &f64| Descent::from_start(&fista, instance, c, starts);
                descents.extend(weights.iter().map(new));
            }
        }
        self.descend(&fista, runs, descents)
    }

    /// Runs descents to their ends and records what they found.
    pub(crate) fn descend(
        &mut self,
        fista: &Fista<'_>,
        runs: &mut [Run<'_>],
        mut descents: Vec<Descent>,
    ) -> Result<()> {
        let result = fista.run(runs, &mut descents, &mut self.progress);
        for descent in descents {
            self.trials[descent.instance].push(Trial {
                c: descent.c,
                n_steps: descent.steps,
                distance: descent.best.as_ref().map(|best| best.distance),
                smallest_hinge: Some(descent.smallest_hinge).filter(|hinge| hinge.is_finite()),
            });
            if let Some(best) = descent.best {
                self.route[descent.instance] = Some(Route::Descent);
                self.record(descent.instance, best);
            }
        }
        result
    }

    /// Keeps an accepted point, the cheapest first.
    pub(crate) fn record(&mut self, instance: usize, candidate: Candidate) {
        let found = &mut self.found[instance];
        if found.iter().all(|other| other.point != candidate.point) {
            let place = found.partition_point(|other| other.distance <= candidate.distance);
            found.insert(place, candidate);
        }
    }

    /// The ways for instances without a point.
    pub(crate) fn fall_back(&mut self, refiner: &Refiner<'_>, runs: &mut [Run<'_>]) -> Result<()> {
        let open: Vec<usize> =
            (0..self.found.len()).filter(|&instance| self.is_open(instance)).collect();
        if open.is_empty() {
            return Ok(());
        }
        let mut starts = Vec::new();
        for &instance in &open {
            let start = &refiner.evaluator.instances[instance].start;
            starts.push((instance, start.clone()));
            if let Some(nearest) = &self.progress[instance].nearest
                && nearest.candidate.point != start
            {
                starts.push((instance, nearest.candidate.point.clone()));
            }
        }
        let mut found = refiner.ascend(runs, &mut self.progress, starts)?;
        let still: Vec<usize> = open
            .into_iter()
            .filter(|&instance| {
                self.is_open(instance) && found.iter().all(|(_, other)| other.instance != instance)
            })
            .collect();
        if !still.is_empty() {
            let far = refiner.probe_far(runs, &mut self.progress, &still)?;
            let (routes, mut far): (Vec<Route>, Vec<FoundPoint>) = far.into_iter().unzip();
            refiner.tighten(runs, &mut self.progress, &mut far)?;
            found.extend(routes.into_iter().zip(far));
        }
        for (route, found_point) in found {
            self.route[found_point.instance] = Some(route);
            self.record(found_point.instance, found_point.candidate);
        }
        Ok(())
    }

    /// Polishes the best points and takes their smallest changes back.
    ///
    /// What further terms drew is first moved back along its way, and then stays where they drew it.
    pub(crate) fn refine(
        &mut self,
        refiner: &Refiner<'_>,
        params: &SearchParams,
        runs: &mut [Run<'_>],
    ) -> Result<()> {
        let mut best: Vec<FoundPoint> = Vec::new();
        let mut drawn: Vec<FoundPoint> = Vec::new();
        let mut narrow = refiner.evaluator.instances.to_vec();
        for (instance, found) in self.found.iter().enumerate() {
            if self.route[instance] == Some(Route::Start) {
                continue;
            }
            let to_found_point =
                |candidate: &Candidate| FoundPoint { instance, candidate: candidate.clone() };
            let few = found.iter().take(POLISHED).map(to_found_point);
            let Some(targets) = refiner.evaluator.problem.attractors(instance) else {
                best.extend(few);
                continue;
            };
            drawn.extend(few);
            let narrowed = &mut narrow[instance];
            let ends = || found.iter().map(|candidate| &candidate.point).chain(&targets);
            for k in 0..narrowed.center.len() {
                let values = || ends().map(|end| end[k]);
                narrowed.lower[k] =
                    values().fold(narrowed.center[k], f64::min).max(narrowed.lower[k]);
                narrowed.upper[k] =
                    values().fold(narrowed.center[k], f64::max).min(narrowed.upper[k]);
            }
        }
        let evaluator = Evaluator { instances: &narrow, ..refiner.evaluator };
        let narrowed = Refiner { evaluator, cost: refiner.cost };
        narrowed.shorten(runs, &mut self.progress, &mut drawn)?;
        self.improve(&narrowed, params, runs, drawn)?;
        self.improve(refiner, params, runs, best)
    }

    /// Polishes points, takes their smallest changes back, and keeps what comes of it.
    fn improve(
        &mut self,
        refiner: &Refiner<'_>,
        params: &SearchParams,
        runs: &mut [Run<'_>],
        mut best: Vec<FoundPoint>,
    ) -> Result<()> {
        if params.polish {
            refiner.polish(runs, &mut self.progress, &mut best)?;
        }
        if params.sparsify {
            let polished = best.clone();
            refiner.sparsify(runs, &mut self.progress, &mut best)?;
            refiner.descend(runs, &mut self.progress, &mut best)?;
            if params.polish {
                // What did not change would be polished to itself.
                let mut changed = Vec::new();
                for (found_point, before) in best.iter().zip(polished) {
                    if found_point.candidate.point != before.candidate.point {
                        changed.push(found_point.clone());
                    }
                }
                refiner.polish(runs, &mut self.progress, &mut changed)?;
                best.extend(changed);
            }
        }
        for found_point in best {
            self.record(found_point.instance, found_point.candidate);
        }
        Ok(())
    }

    /// Asks for what is returned once more, and says how every search ended.
    pub(crate) fn outcomes(
        mut self,
        refiner: &Refiner<'_>,
        rules: &dyn Rules,
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Outcome>> {
        let n = self.found.len();
        let mut confirmed: Vec<Option<Candidate>> = vec![None; n];
        let mut next = vec![0; n];
        for (instance, run) in runs.iter().enumerate() {
            // Without a query left the evaluation that a point was accepted for has to do.
            if run.queries_left() == Some(0) {
                confirmed[instance] = self.found[instance].first().cloned();
            }
        }
        loop {
            let pending: Vec<usize> = (0..n)
                .filter(|&instance| {
                    confirmed[instance].is_none() && next[instance] < self.found[instance].len()
                })
                .filter(|&instance| runs[instance].queries_left() != Some(0))
                .collect();
            if pending.is_empty() {
                break;
            }
            let query = |&instance: &usize| Query {
                instance,
                point: self.found[instance][next[instance]].point.clone(),
                gradient: false,
            };
            let queries: Vec<Query> = pending.iter().map(query).collect();
            let evaluations = refiner.evaluator.evaluate(runs, &queries, &|_, _| None)?;
            for (&instance, evaluation) in pending.iter().zip(evaluations) {
                let candidate = &self.found[instance][next[instance]];
                next[instance] += 1;
                let hinge = &refiner.evaluator.instances[instance].hinge;
                if rules.accepts(hinge, &evaluation.outputs) {
                    confirmed[instance] =
                        Some(Candidate { outputs: evaluation.outputs, ..candidate.clone() });
                }
            }
        }
        let mut outcomes = Vec::with_capacity(n);
        for (instance, found) in confirmed.into_iter().enumerate() {
            let status = match &found {
                Some(_) => Status::Found,
                None => self.reason(instance, refiner, runs)?,
            };
            let Progress { stop, nearest, .. } =
                std::mem::replace(&mut self.progress[instance], Progress::new());
            outcomes.push(Outcome {
                status,
                nearest_miss: nearest.map(|miss| miss.candidate).filter(|_| found.is_none()),
                route: self.route[instance].filter(|_| found.is_some()),
                found,
                trials: std::mem::take(&mut self.trials[instance]),
                stop,
            });
        }
        Ok(outcomes)
    }

    /// Why nothing was found: what the gradient says where the hinge was smallest.
    fn reason(&self, index: usize, refiner: &Refiner<'_>, runs: &mut [Run<'_>]) -> Result<Status> {
        let progress = &self.progress[index];
        if !progress.is_open() {
            return Ok(Status::Stopped);
        }
        if 0 < progress.n_rejected {
            return Ok(Status::TrustRejected);
        }
        let instance = &refiner.evaluator.instances[index];
        let nearest =
            progress.nearest.as_ref().map_or(&instance.start, |miss| &miss.candidate.point);
        let query = Query { instance: index, point: nearest.clone(), gradient: true };
        // Opened, so that forbidden coordinates are differentiated as well.
        let mut opened = refiner.evaluator.instances.to_vec();
        opened[index].lower.fill(f64::NEG_INFINITY);
        opened[index].upper.fill(f64::INFINITY);
        let evaluator = Evaluator { instances: &opened, ..refiner.evaluator };
        if runs[index].queries_left().is_some_and(|left| left < evaluator.cost(&query)) {
            return Ok(Status::NotFound);
        }
        let evaluations = evaluator.evaluate(runs, &[query], &|_, outputs| {
            Some(instance.hinge.log_margin(outputs).cotangent)
        })?;
        let Some(gradient) =
            evaluations.into_iter().next().and_then(|evaluation| evaluation.gradient)
        else {
            return Ok(Status::NotFound);
        };
        let leads_in = |k: usize| {
            let slope = gradient[k];
            (0.0 < slope && nearest[k] < instance.upper[k])
                || (slope < 0.0 && instance.lower[k] < nearest[k])
        };
        let open = (0..gradient.len()).any(leads_in);
        let any = gradient.iter().any(|&slope| slope != 0.0);
        Ok(match (any, open) {
            (_, true) => Status::NotFound,
            (true, false) => Status::RangeInfeasible,
            (false, false) => Status::GradientVanished,
        })
    }
}
