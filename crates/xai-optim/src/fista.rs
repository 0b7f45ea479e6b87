//! FISTA, the descent of the elastic net: one for each instance and weight of the attack loss, all in shared calls.

use ndarray::{Array1, Array2};
use xai_core::error::Result;
use xai_core::model::{ModelRef, Row};
use xai_core::{Event, Run, Stop};

use crate::evaluate::{Evaluation, Evaluator, Query, stack};
use crate::loss::Hinge;
use crate::outcome::{Candidate, Progress, SearchParams};
use crate::step::{momentum, polynomial_decay};

/// One descent, from the instance's start.
pub(crate) struct Descent {
    pub(crate) instance: usize,
    /// The weight of the attack loss.
    pub(crate) c: f64,
    /// Steps taken.
    pub(crate) steps: usize,
    /// The closest accepted point.
    pub(crate) best: Option<Candidate>,
    /// The smallest hinge of all points that were checked.
    pub(crate) smallest_hinge: f64,
    /// The last point.
    pub(crate) point: Array1<f64>,
    /// The last point and its momentum, where gradients are taken.
    pub(crate) extrapolated: Array1<f64>,
    /// The point that was checked last.
    checked: Option<Array1<f64>>,
    /// The derivative of the hinge at `extrapolated`; `None` where it is not active.
    pub(crate) attack: Option<Array1<f64>>,
    /// Whether `extrapolated` has to be evaluated again, this time with a gradient.
    waits: bool,
    /// Points whose gradients the next step averages, for rules whose gradients are delayed.
    pub(crate) recorded: Vec<Array1<f64>>,
    /// Calls since the best point became notably better.
    since_better: usize,
    /// Steps in a row that led nowhere.
    still: usize,
    /// Calls since the smallest hinge became notably smaller.
    since_closer: usize,
    /// Rounds of calls.
    n_calls: usize,
    pub(crate) done: bool,
}

/// A relative gain below this does not count as progress. Chosen by hand.
const GAIN: f64 = 1e-4;

/// A step counts as none when no coordinate moves more than this, times the learning rate, relative to its size. Chosen
/// by hand.
const STILL: f64 = 1e-6;

/// A descent that stands still in this many steps in a row is done, where its start is all that it has seen. Chosen by
/// hand.
const STILL_STEPS: usize = 2;

impl Descent {
    /// A descent before its first step; `attack` is the derivative of the hinge at the start.
    pub(crate) fn new(
        instance: usize,
        c: f64,
        start: &Array1<f64>,
        attack: Option<Array1<f64>>,
    ) -> Self {
        Descent {
            instance,
            c,
            steps: 0,
            best: None,
            smallest_hinge: f64::INFINITY,
            point: start.clone(),
            extrapolated: start.clone(),
            checked: None,
            attack,
            waits: false,
            recorded: vec![start.clone()],
            since_better: 0,
            still: 0,
            since_closer: 0,
            n_calls: 0,
            done: false,
        }
    }

    /// A descent of an instance whose start was evaluated.
    pub(crate) fn from_start(
        fista: &Fista<'_>,
        instance: usize,
        c: f64,
        starts: &[Option<Evaluation>],
    ) -> Self {
        let attack = starts[instance].as_ref().and_then(|start| start.gradient.clone());
        Descent::new(instance, c, &fista.evaluator.instances[instance].start, attack)
    }
}

/// What makes one FISTA another: the native one is [`Native`], that of alibi is in `reference.rs`.
pub(crate) trait Rules: Sync {
    /// Whether the start needs a gradient.
    fn needs_start_gradient(&self) -> bool;

    /// The derivative of the hinge by the outputs; `None` where it is not active.
    fn cotangent(&self, hinge: &Hinge, outputs: &Row) -> Option<Array1<f64>>;

    /// Whether a point with these outputs is valid.
    fn accepts(&self, hinge: &Hinge, outputs: &Row) -> bool;

    /// One step; `smooth` is the gradient of the problem's further terms at `extrapolated`.
    fn step(&self, fista: &Fista<'_>, descent: &mut Descent, smooth: Option<&Row>);

    /// Adds the queries for the next gradient; `check` is the place of the query for the last point, where there is one.
    fn request_gradient(
        &self,
        fista: &Fista<'_>,
        descent: &Descent,
        check: Option<usize>,
        queries: &mut Vec<Query>,
    ) -> Vec<usize>;

    /// Takes the gradients, and decides whether the descent goes on.
    fn advance(&self, fista: &Fista<'_>, descent: &mut Descent, round: Round<'_>);
}

/// What a descent requested in a round of calls, and what came of it.
#[derive(Clone, Copy)]
pub(crate) struct Round<'r> {
    /// The places of the queries for the gradient.
    pub(crate) gradients: &'r [usize],
    pub(crate) queries: &'r [Query],
    pub(crate) evaluations: &'r [Evaluation],
}

/// All descents of a call.
pub(crate) struct Fista<'a> {
    pub(crate) evaluator: Evaluator<'a>,
    pub(crate) params: &'a SearchParams,
    pub(crate) rules: &'a dyn Rules,
}

/// The places of a descent's queries in a round.
struct Requested {
    descent: usize,
    check: Option<usize>,
    gradients: Vec<usize>,
}

impl Fista<'_> {
    /// Runs the descents of all instances to their ends.
    pub(crate) fn run(
        &self,
        runs: &mut [Run<'_>],
        descents: &mut [Descent],
        progress: &mut [Progress],
    ) -> Result<()> {
        let mut round = 0;
        while descents.iter().any(|descent| !descent.done) {
            round += 1;
            for (run, progress) in runs.iter_mut().zip(progress.iter_mut()) {
                let total = Some(self.params.max_iterations as u64);
                if progress.is_open() && run.can_stop() {
                    progress.stop = run.report(Event::Step { done: round, total }).break_value();
                }
            }
            for descent in descents.iter_mut() {
                descent.done |= !progress[descent.instance].is_open();
            }
            self.step(runs, descents)?;
            self.check(runs, descents, progress)?;
        }
        Ok(())
    }

    /// One step of every descent that is not waiting for a gradient.
    fn step(&self, runs: &mut [Run<'_>], descents: &mut [Descent]) -> Result<()> {
        let is_moving = |&index: &usize| !descents[index].done && !descents[index].waits;
        let moving: Vec<usize> = (0..descents.len()).filter(is_moving).collect();
        let Some(&first) = moving.first() else { return Ok(()) };
        let instances: Vec<usize> = moving.iter().map(|&index| descents[index].instance).collect();
        let points: Vec<Array1<f64>> =
            moving.iter().map(|&index| descents[index].extrapolated.clone()).collect();
        let points = stack(&points, descents[first].extrapolated.len());
        let smooth = self.evaluator.problem.smooth(runs, &instances, &points)?;
        for (row, &index) in moving.iter().enumerate() {
            let smooth = smooth.as_ref().map(|smooth| smooth.row(row));
            self.rules.step(self, &mut descents[index], smooth.as_deref());
        }
        Ok(())
    }

    /// Moves a descent to a new point: proximal step with this threshold, then momentum.
    pub(crate) fn move_on(&self, descent: &mut Descent, threshold: f64, is_always_confined: bool) {
        let SearchParams { learning_rate_init, max_iterations, .. } = *self.params;
        let instance = &self.evaluator.instances[descent.instance];
        let rate = polynomial_decay(learning_rate_init, descent.steps, max_iterations);
        let mut next = std::mem::replace(&mut descent.extrapolated, descent.point.clone());
        self.evaluator.problem.proximal(descent.instance, instance, threshold, &mut next);
        let weight = if self.params.momentum { momentum(descent.steps) } else { 0.0 };
        let mut moved = 0.0_f64;
        for k in 0..next.len() {
            let change = next[k] - descent.point[k];
            descent.extrapolated[k] = next[k] + weight * change;
            moved = moved.max(change.abs() / next[k].abs().max(1.0));
        }
        if 0.0 < weight || is_always_confined {
            self.evaluator.problem.confine(descent.instance, instance, &mut descent.extrapolated);
        }
        descent.point = next;
        descent.steps += 1;
        descent.still = if moved <= STILL * rate { descent.still + 1 } else { 0 };
    }

    /// The derivative of the squared changes and of the further terms at `extrapolated`, by one coordinate.
    pub(crate) fn smooth_slope(&self, descent: &Descent, smooth: Option<&Row>, k: usize) -> f64 {
        let instance = &self.evaluator.instances[descent.instance];
        let scale = instance.scale[k];
        let change = descent.extrapolated[k] - instance.center[k];
        let slope = 2.0 * self.params.cost.squares * scale * scale * change;
        slope + smooth.map_or(0.0, |smooth| smooth[k])
    }

    /// Whether the next step of a descent needs a new gradient.
    pub(crate) fn needs_gradient(&self, descent: &Descent) -> bool {
        let is_due = match self.evaluator.model {
            ModelRef::WhiteBox(_) => true,
            ModelRef::BlackBox(_) => descent.steps.is_multiple_of(self.params.update_num_grad),
        };
        self.params.attack && descent.steps < self.params.max_iterations && is_due
    }

    fn request(&self, index: usize, descent: &Descent, queries: &mut Vec<Query>) -> Requested {
        let instance = descent.instance;
        let mut candidate = descent.point.clone();
        self.evaluator.problem.snap(instance, &mut candidate);
        let mut check = None;
        if !descent.waits && descent.checked.as_ref() != Some(&candidate) {
            check = Some(queries.len());
            queries.push(Query { instance, point: candidate, gradient: false });
        }
        let mut gradients = Vec::new();
        if self.needs_gradient(descent) {
            gradients = self.rules.request_gradient(self, descent, check, queries);
        }
        Requested { descent: index, check, gradients }
    }

    /// Evaluates what every descent needs, in one round of calls, and moves the descents on.
    fn check(
        &self,
        runs: &mut [Run<'_>],
        descents: &mut [Descent],
        progress: &mut [Progress],
    ) -> Result<()> {
        let mut queries = Vec::new();
        let mut requests: Vec<Requested> = Vec::new();
        for index in 0..self.evaluator.instances.len() {
            let (before, first) = (queries.len(), requests.len());
            for (place, descent) in descents.iter().enumerate() {
                if descent.instance == index && !descent.done {
                    requests.push(self.request(place, descent, &mut queries));
                }
            }
            let cost = queries[before..].iter().map(|query| self.evaluator.cost(query)).sum();
            if !Evaluator::can_afford(&runs[index], cost) {
                progress[index].stop.get_or_insert(Stop::Budget);
                queries.truncate(before);
                for requested in requests.drain(first..) {
                    descents[requested.descent].done = true;
                }
            }
        }
        let hinge = |instance: usize| &self.evaluator.instances[instance].hinge;
        let evaluations = self.evaluator.evaluate(runs, &queries, &|index, outputs| {
            self.rules.cotangent(hinge(queries[index].instance), outputs)
        })?;
        let hopes = self.judge(descents, progress, &requests, &queries, &evaluations);
        self.record_admitted(runs, descents, progress, hopes)?;
        for requested in requests {
            let round = Round {
                gradients: &requested.gradients,
                queries: &queries,
                evaluations: &evaluations,
            };
            self.rules.advance(self, &mut descents[requested.descent], round);
        }
        Ok(())
    }

    /// The accepted points that are closer than what their descents have, each with the place of its descent.
    fn judge(
        &self,
        descents: &mut [Descent],
        progress: &mut [Progress],
        requests: &[Requested],
        queries: &[Query],
        evaluations: &[Evaluation],
    ) -> Vec<(usize, Candidate)> {
        let mut hopes: Vec<(usize, Candidate)> = Vec::new();
        for requested in requests {
            let descent = &mut descents[requested.descent];
            descent.since_better += 1;
            descent.since_closer += 1;
            descent.n_calls += 1;
            let Some(check) = requested.check else { continue };
            let instance = &self.evaluator.instances[descent.instance];
            let (point, outputs) = (&queries[check].point, &evaluations[check].outputs);
            descent.checked = Some(point.clone());
            let distance = self.params.cost.of(instance, point);
            let candidate =
                || Candidate { point: point.clone(), outputs: outputs.clone(), distance };
            let hinge = instance.hinge.value(outputs);
            let smallest = descent.smallest_hinge;
            if hinge < smallest * (1.0 - GAIN) || smallest.is_infinite() {
                descent.since_closer = 0;
            }
            descent.smallest_hinge = smallest.min(hinge);
            if !self.rules.accepts(&instance.hinge, outputs) {
                progress[descent.instance].record_miss(hinge, candidate);
            } else if descent.best.as_ref().is_none_or(|best| distance < best.distance) {
                hopes.push((requested.descent, candidate()));
            }
        }
        hopes
    }

    /// Keeps the accepted points that the problem admits.
    fn record_admitted(
        &self,
        runs: &mut [Run<'_>],
        descents: &mut [Descent],
        progress: &mut [Progress],
        hopes: Vec<(usize, Candidate)>,
    ) -> Result<()> {
        let instances: Vec<usize> =
            hopes.iter().map(|(place, _)| descents[*place].instance).collect();
        let candidates = hopes.iter().map(|(_, candidate)| candidate);
        let admitted = admitted(&self.evaluator, runs, &instances, candidates)?;
        for ((place, candidate), admitted) in hopes.into_iter().zip(admitted) {
            let descent = &mut descents[place];
            if !admitted {
                progress[descent.instance].n_rejected += 1;
                continue;
            }
            let before = descent.best.as_ref().map(|best| best.distance);
            if before.is_none_or(|before| candidate.distance < before * (1.0 - GAIN)) {
                descent.since_better = 0;
            }
            descent.best = Some(candidate);
        }
        Ok(())
    }
}

/// The proximal gradient method of the loss that is written down.
pub(crate) struct Native;

impl Rules for Native {
    fn needs_start_gradient(&self) -> bool {
        true
    }

    fn cotangent(&self, hinge: &Hinge, outputs: &Row) -> Option<Array1<f64>> {
        hinge.cotangent(outputs)
    }

    fn accepts(&self, hinge: &Hinge, outputs: &Row) -> bool {
        hinge.accepts(outputs)
    }

    fn step(&self, fista: &Fista<'_>, descent: &mut Descent, smooth: Option<&Row>) {
        let SearchParams { cost, learning_rate_init, max_iterations, clip, .. } = *fista.params;
        let rate = polynomial_decay(learning_rate_init, descent.steps, max_iterations);
        for k in 0..descent.extrapolated.len() {
            let attack = descent.attack.as_ref().map_or(0.0, |attack| descent.c * attack[k]);
            let slope = fista.smooth_slope(descent, smooth, k) + attack;
            descent.extrapolated[k] -= rate * slope.clamp(clip.0, clip.1);
        }
        fista.move_on(descent, rate * cost.absolute, false);
    }

    fn request_gradient(
        &self,
        fista: &Fista<'_>,
        descent: &Descent,
        check: Option<usize>,
        queries: &mut Vec<Query>,
    ) -> Vec<usize> {
        // Where the hinge was not active, its numeric gradient is not paid for before it is known to be active again.
        let gradient = descent.waits
            || descent.attack.is_some()
            || matches!(fista.evaluator.model, ModelRef::WhiteBox(_));
        let point = &descent.extrapolated;
        if let Some(check) = check.filter(|&check| queries[check].point == point) {
            queries[check].gradient = gradient;
            return vec![check];
        }
        queries.push(Query { instance: descent.instance, point: point.clone(), gradient });
        vec![queries.len() - 1]
    }

    fn advance(&self, fista: &Fista<'_>, descent: &mut Descent, round: Round<'_>) {
        let instance = &fista.evaluator.instances[descent.instance];
        if let &[gradient] = round.gradients {
            let evaluation = &round.evaluations[gradient];
            let is_known = round.queries[gradient].gradient
                || instance.hinge.value(&evaluation.outputs) <= 0.0;
            descent.waits = !is_known;
            if is_known {
                descent.attack.clone_from(&evaluation.gradient);
            }
        }
        let SearchParams { patience, max_iterations, .. } = *fista.params;
        // A point that stays where it is under an unchanged gradient stays for good: threshold and step shrink alike.
        let is_stuck = !descent.waits
            && descent.extrapolated == descent.point
            && STILL_STEPS <= descent.still
            && descent.point == instance.start;
        // What hovers without coming closer has too little weight; the longer wait is for flat stretches.
        let has_settled = patience.is_some_and(|patience| match descent.best {
            Some(_) => patience <= descent.since_better,
            None => patience <= descent.still || 2 * patience <= descent.since_closer,
        });
        // A round that only brings the gradient counts as well, so that a descent has as many calls as steps.
        descent.done |= max_iterations <= descent.n_calls || is_stuck || has_settled;
    }
}

/// Which candidates the problem admits.
pub(crate) fn admitted<'c>(
    evaluator: &Evaluator<'_>,
    runs: &mut [Run<'_>],
    instances: &[usize],
    candidates: impl Iterator<Item = &'c Candidate>,
) -> Result<Vec<bool>> {
    if instances.is_empty() {
        return Ok(Vec::new());
    }
    let (points, outputs): (Vec<_>, Vec<_>) =
        candidates.map(|candidate| (candidate.point.clone(), candidate.outputs.clone())).unzip();
    let points: Array2<f64> = stack(&points, points[0].len());
    let outputs = stack(&outputs, outputs[0].len());
    evaluator.problem.admits(runs, instances, &points, &outputs)
}
