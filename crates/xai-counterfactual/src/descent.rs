//! The descents by Adam, one for each instance and weight lambda of the distance, all in shared calls.

use ndarray::Array1;
use xai_core::{Event, Result, Row, Run, Stop};
use xai_optim::loss::SquaredError;
use xai_optim::{
    Adam, Candidate, Cost, DescentResult, Evaluation, Evaluator, GradientSearchParams, Instance,
    Query, Route, linear_decay,
};

use crate::params::CounterfactualParams;

/// A relative gain of the loss or of the distance below this does not count as progress. Chosen by hand.
const GAIN: f64 = 1e-3;

/// Rows that differ by less than this part of `eps` in every coordinate share their evaluations.
const SHARED: f64 = 1.0;

/// A step that reached the target.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub(crate) candidate: Candidate,
    /// The steps before it.
    pub(crate) step: usize,
}

/// One descent, from the instance.
pub(crate) struct Descent {
    pub(crate) lambda: f64,
    pub(crate) steps: usize,
    pub(crate) n_hits: usize,
    /// The closest hit.
    pub(crate) best: Option<Hit>,
    /// The first hits, as many as are to be kept.
    pub(crate) trace: Vec<Hit>,
    instance: usize,
    point: Array1<f64>,
    adam: Adam,
    /// Hits in a row.
    found: usize,
    /// Steps without progress: of the distance once there was a hit, of the loss before.
    stalled: usize,
    lowest: f64,
    done: bool,
}

impl Descent {
    fn new(instance: usize, lambda: f64, start: &Array1<f64>) -> Self {
        Descent {
            lambda,
            steps: 0,
            n_hits: 0,
            best: None,
            trace: Vec::new(),
            instance,
            point: start.clone(),
            adam: Adam::new(start.len()),
            found: 0,
            stalled: 0,
            lowest: f64::INFINITY,
            done: false,
        }
    }
}

/// What is searched for, and how: one loss for each instance.
pub(crate) struct Descents<'a> {
    pub(crate) evaluator: Evaluator<'a>,
    pub(crate) params: &'a CounterfactualParams,
    pub(crate) losses: &'a [SquaredError],
    pub(crate) cost: Cost,
    /// Steps of numeric derivatives, shape `(n_columns,)`.
    pub(crate) eps: &'a Row,
}

/// The point with the smallest hinge of those that did not reach the target.
struct NearestMiss {
    hinge: f64,
    candidate: Candidate,
}

/// What the descents of one instance found.
#[derive(Default)]
pub(crate) struct Trail {
    pub(crate) descents: Vec<Descent>,
    /// The point that came closest to the target without reaching it.
    nearest: Option<NearestMiss>,
    at_start: Option<Candidate>,
    stop: Option<Stop>,
}

impl Trail {
    fn has_hits(&self) -> bool {
        self.descents.iter().any(|descent| 0 < descent.n_hits)
    }

    fn record_miss(&mut self, hinge: f64, candidate: Candidate) {
        if self.nearest.as_ref().is_none_or(|nearest| hinge < nearest.hinge) {
            self.nearest = Some(NearestMiss { hinge, candidate });
        }
    }

    /// What the rest of the search starts from.
    pub(crate) fn to_result(&self) -> DescentResult {
        let hits = self.descents.iter().filter_map(|descent| descent.best.as_ref());
        let hits = hits.map(|hit| hit.candidate.clone());
        DescentResult {
            found: self.at_start.iter().cloned().chain(hits).collect(),
            route: self.at_start.is_some().then_some(Route::Start),
            nearest: self.nearest.as_ref().map(|nearest| nearest.candidate.clone()),
            stop: self.stop,
        }
    }
}

/// The queries of one round, and what each descent gets out of them.
#[derive(Default)]
struct Round {
    queries: Vec<Query>,
    /// The descent that asks each of them.
    owners: Vec<usize>,
    asked: Vec<Asked>,
}

struct Asked {
    instance: usize,
    descent: usize,
    /// The query that gives the gradient.
    slope: usize,
    /// The query that is judged; `None` where another descent's is shared.
    check: Option<usize>,
    /// The descent whose evaluations are shared.
    leader: Option<usize>,
}

impl Descents<'_> {
    /// Runs the descents of all instances to their ends; `runs` has one run for each instance.
    pub(crate) fn run(&self, runs: &mut [Run<'_>]) -> Result<Vec<Trail>> {
        let mut trails: Vec<Trail> = runs.iter().map(|_| Trail::default()).collect();
        let starts = self.start(runs, &mut trails)?;
        for (index, evaluation) in starts.into_iter().enumerate() {
            let Some(evaluation) = evaluation else { continue };
            let is_open = trails[index].at_start.is_none();
            let start = &self.evaluator.instances[index].start;
            let weight = |j: usize| {
                let exponent = i32::try_from(j).unwrap_or(i32::MAX);
                self.params.first_lambda() / 10.0_f64.powi(exponent)
            };
            for lambda in (0..self.params.search.c_steps).map(weight) {
                let mut descent = Descent::new(index, lambda, start);
                descent.done = !is_open || !self.leaves(index, &evaluation, lambda);
                if !descent.done {
                    self.advance(&mut descent, &evaluation);
                }
                trails[index].descents.push(descent);
            }
        }
        let mut round = 0;
        while trails.iter().flat_map(|trail| &trail.descents).any(|descent| !descent.done) {
            round += 1;
            for (run, trail) in runs.iter_mut().zip(&mut trails) {
                if trail.descents.iter().all(|descent| descent.done) || !run.can_stop() {
                    continue;
                }
                let step = Event::Step {
                    done: round,
                    total: Some(self.params.search.max_iterations as u64),
                };
                if let Some(stop) = run.report(step).break_value() {
                    self.stop(trail, stop);
                }
            }
            self.step(runs, &mut trails)?;
        }
        Ok(trails)
    }

    fn stop(&self, trail: &mut Trail, stop: Stop) {
        trail.stop.get_or_insert(stop);
        trail.descents.iter_mut().for_each(|descent| descent.done = true);
    }

    /// Asks for the instances themselves, which may reach the target already.
    fn start(&self, runs: &mut [Run<'_>], trails: &mut [Trail]) -> Result<Vec<Option<Evaluation>>> {
        let mut queries = Vec::new();
        for (index, instance) in self.evaluator.instances.iter().enumerate() {
            let query = Query { instance: index, point: instance.start.clone(), gradient: true };
            if Evaluator::can_afford(&runs[index], self.evaluator.cost(&query)) {
                queries.push(query);
            } else {
                trails[index].stop = Some(Stop::Budget);
            }
        }
        let evaluations = self.evaluate(runs, &queries)?;
        let mut starts = vec![None; trails.len()];
        for (query, evaluation) in queries.iter().zip(evaluations) {
            let (index, instance) = (query.instance, &self.evaluator.instances[query.instance]);
            let candidate = self.candidate(instance, &query.point, &evaluation);
            if instance.hinge.accepts(&evaluation.outputs) {
                trails[index].at_start = Some(candidate);
            } else {
                trails[index].record_miss(instance.hinge.value(&evaluation.outputs), candidate);
            }
            starts[index] = Some(evaluation);
        }
        Ok(starts)
    }

    fn evaluate(&self, runs: &mut [Run<'_>], queries: &[Query]) -> Result<Vec<Evaluation>> {
        self.evaluator.evaluate(runs, queries, &|index, outputs| {
            Some(self.losses[queries[index].instance].cotangent(outputs))
        })
    }

    fn candidate(
        &self,
        instance: &Instance,
        point: &Array1<f64>,
        evaluation: &Evaluation,
    ) -> Candidate {
        let distance = self.cost.of(instance, point);
        Candidate { point: point.clone(), outputs: evaluation.outputs.clone(), distance }
    }

    /// Whether the loss falls in any direction from the instance: a lambda above every slope keeps the descent there for
    /// good. The slope of squared changes is 0 at the instance.
    fn leaves(&self, index: usize, evaluation: &Evaluation, lambda: f64) -> bool {
        let instance = &self.evaluator.instances[index];
        let Some(gradient) = &evaluation.gradient else { return false };
        let may_fall = |k: usize| {
            let (slope, value) = (gradient[k], instance.start[k]);
            let is_inward = (slope < 0.0 && value < instance.upper[k])
                || (0.0 < slope && instance.lower[k] < value);
            is_inward && lambda * self.cost.absolute * instance.scale[k] < slope.abs()
        };
        (0..gradient.len()).any(may_fall)
    }

    /// One step of Adam down the whole loss.
    fn advance(&self, descent: &mut Descent, evaluation: &Evaluation) {
        let instance = &self.evaluator.instances[descent.instance];
        let mut gradient = match &evaluation.gradient {
            Some(gradient) => gradient.clone(),
            None => Array1::zeros(descent.point.len()),
        };
        for (k, slope) in gradient.iter_mut().enumerate() {
            let scale = instance.scale[k];
            let change = scale * (descent.point[k] - instance.center[k]);
            let sign = if change == 0.0 { 0.0 } else { change.signum() };
            let of_distance = self.cost.absolute * sign + 2.0 * self.cost.squares * change;
            *slope += descent.lambda * scale * of_distance;
        }
        let GradientSearchParams { learning_rate_init, max_iterations, .. } = self.params.search;
        let rate = match self.params.decay {
            true => linear_decay(learning_rate_init, descent.steps, max_iterations),
            false => learning_rate_init,
        };
        descent.adam.step(&mut descent.point, &gradient, rate);
        instance.confine(&mut descent.point);
        descent.steps += 1;
    }

    /// Asks for what every descent needs, in one round of calls, and moves the descents on.
    fn step(&self, runs: &mut [Run<'_>], trails: &mut [Trail]) -> Result<()> {
        let mut round = Round::default();
        for (index, trail) in trails.iter_mut().enumerate() {
            let (first, before) = (round.queries.len(), round.asked.len());
            for (place, descent) in
                trail.descents.iter().enumerate().filter(|(_, descent)| !descent.done)
            {
                let asked = self.queries(descent, place, first, &mut round);
                round.owners.resize(round.queries.len(), place);
                round.asked.push(asked);
            }
            let cost = round.queries[first..].iter().map(|query| self.evaluator.cost(query)).sum();
            if !Evaluator::can_afford(&runs[index], cost) {
                self.stop(trail, Stop::Budget);
                round.queries.truncate(first);
                round.owners.truncate(first);
                round.asked.truncate(before);
            }
        }
        let evaluations = self.evaluate(runs, &round.queries)?;
        for asked in &round.asked {
            let trail = &mut trails[asked.instance];
            if let Some(check) = asked.check {
                let point = &round.queries[check].point;
                self.judge(trail, asked.descent, point, &evaluations[check]);
            }
        }
        for asked in &round.asked {
            let trail = &mut trails[asked.instance];
            let has_hits = trail.has_hits();
            let is_led = asked.leader.is_some_and(|leader| trail.descents[leader].done);
            let descent = &mut trail.descents[asked.descent];
            self.watch(descent, &evaluations[asked.slope], has_hits);
            descent.done |= is_led;
            if !descent.done {
                self.advance(descent, &evaluations[asked.slope]);
            }
        }
        Ok(())
    }

    /// What a descent asks for; a descent that is where another one of its instance is shares its evaluations.
    fn queries(&self, descent: &Descent, place: usize, first: usize, round: &mut Round) -> Asked {
        let (instance, queries) = (descent.instance, &mut round.queries);
        let slope = queries.len();
        let mut asked = Asked { instance, descent: place, slope, check: None, leader: None };
        let is_near = |other: &Query| {
            let pairs = other.point.iter().zip(&descent.point).zip(self.eps);
            other.gradient && pairs.into_iter().all(|((a, b), eps)| (a - b).abs() <= SHARED * eps)
        };
        if let Some(shared) = queries[first..].iter().position(is_near) {
            asked.slope = first + shared;
            asked.leader = Some(round.owners[first + shared]);
            return asked;
        }
        let gradient = descent.steps < self.params.search.max_iterations;
        queries.push(Query { instance, point: descent.point.clone(), gradient });
        let mut judged = descent.point.clone();
        self.evaluator.problem.snap(instance, &mut judged);
        asked.check = Some(asked.slope);
        if judged != descent.point {
            asked.check = Some(queries.len());
            queries.push(Query { instance, point: judged, gradient: false });
        }
        asked
    }

    /// Keeps a point that reaches the target.
    fn judge(&self, trail: &mut Trail, place: usize, point: &Array1<f64>, evaluation: &Evaluation) {
        let descent = &mut trail.descents[place];
        let instance = &self.evaluator.instances[descent.instance];
        let candidate = self.candidate(instance, point, evaluation);
        if !instance.hinge.accepts(&evaluation.outputs) {
            descent.found = 0;
            return trail.record_miss(instance.hinge.value(&evaluation.outputs), candidate);
        }
        let hit = Hit { candidate, step: descent.steps - 1 };
        (descent.n_hits, descent.found) = (descent.n_hits + 1, descent.found + 1);
        if descent.trace.len() < self.params.trace {
            descent.trace.push(hit.clone());
        }
        let before = descent.best.as_ref().map(|best| best.candidate.distance);
        if before.is_none_or(|before| hit.candidate.distance < before * (1.0 - GAIN)) {
            descent.stalled = 0;
        }
        if before.is_none_or(|before| hit.candidate.distance < before) {
            descent.best = Some(hit);
        }
    }

    /// Decides whether a descent goes on.
    fn watch(&self, descent: &mut Descent, evaluation: &Evaluation, has_hits: bool) {
        let instance = &self.evaluator.instances[descent.instance];
        let distance = self.cost.of(instance, &descent.point);
        let loss =
            self.losses[descent.instance].value(&evaluation.outputs) + descent.lambda * distance;
        let falls = loss < self.lowest_but(descent.lowest);
        descent.lowest = descent.lowest.min(loss);
        descent.stalled = if falls && descent.n_hits == 0 { 0 } else { descent.stalled + 1 };
        let GradientSearchParams { patience, max_iterations, .. } = self.params.search;
        let stalls = if has_hits { patience.div_ceil(10) } else { patience };
        let has_ended = patience <= descent.found || stalls <= descent.stalled;
        descent.done |= max_iterations <= descent.steps || has_ended;
    }

    fn lowest_but(&self, lowest: f64) -> f64 {
        if lowest.is_finite() { lowest * (1.0 - GAIN) } else { lowest }
    }
}

/// A hit of a descent.
pub(crate) struct ClosestHit<'t> {
    /// The place of its descent.
    pub(crate) place: usize,
    pub(crate) lambda: f64,
    pub(crate) hit: &'t Hit,
}

/// The hit of the descents that is closest to a row.
pub(crate) fn closest<'t>(trail: &'t Trail, row: &Row) -> Option<ClosestHit<'t>> {
    let descents = trail.descents.iter().enumerate();
    let hits = descents.filter_map(|(place, descent)| {
        Some(ClosestHit { place, lambda: descent.lambda, hit: descent.best.as_ref()? })
    });
    let distance = |closest: &ClosestHit<'_>| {
        (&closest.hit.candidate.point - &row.view()).mapv(f64::abs).sum()
    };
    hits.min_by(|a, b| distance(a).total_cmp(&distance(b)))
}
