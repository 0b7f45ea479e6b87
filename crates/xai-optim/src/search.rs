//! The search for the closest point that the model judges as wanted.

use ndarray::Array1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ask::{Answer, Evaluator, Question};
use super::lanes::{Descent, Lane};
use super::refine::{Cost, Owned, Refiner};
use super::weights::{Sequential, decades, refined};
use xai_core::error::{Error, Result};
use xai_core::explanation::Stop;
use xai_core::model::ModelRef;
use xai_core::params::Semantics;
use xai_core::run::Run;

mod complete;

pub use complete::{Descended, complete};

/// Settings of a [`search`]. Methods check them and say their defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchParams {
    /// What changes cost; the weight of the squares is 1 or 0.
    pub cost: Cost,
    /// The first learning rate, above 0; it falls by [`polynomial_decay`](super::polynomial_decay).
    pub learning_rate_init: f64,
    /// Steps of a lane, at least 1.
    pub max_iterations: usize,
    /// The first weight of the attack loss, above 0.
    pub c_init: f64,
    /// How many weights are tried, at least 1.
    pub c_steps: usize,
    /// Gradients are cut to this range coordinate by coordinate.
    pub clip: (f64, f64),
    /// A black box gives a new gradient every so many steps, at least 1, and in between the last one is taken; in the
    /// reference semantics none is.
    pub update_num_grad: usize,
    /// A lane ends after so many steps that led to nothing better. `None`: it takes all of its steps.
    pub patience: Option<usize>,
    /// Whether steps have momentum.
    pub momentum: bool,
    /// Whether there is an attack loss; without, only the further terms of the problem lead to the target.
    pub attack: bool,
    /// Whether found points are polished by linearised margins.
    pub polish: bool,
    /// Whether the smallest changes of a found point are taken back where it stays valid.
    pub sparsify: bool,
    /// Whether other ways are tried where gradients found nothing.
    pub fallback: bool,
    /// The reference's thresholds, order of weights and black-box gradients, or the correct ones.
    pub semantics: Semantics,
}

impl SearchParams {
    /// Whether gradients are those of the reference's black box, which come late and averaged.
    pub(crate) fn is_late(&self, asker: &Evaluator<'_>) -> bool {
        self.semantics == Semantics::Reference && matches!(asker.access, ModelRef::BlackBox(_))
    }
}

/// A point, what the model says of it, and what it costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The point, shape `(n_coordinates,)`.
    pub point: Array1<f64>,
    /// The model's outputs, shape `(n_outputs,)`.
    pub outputs: Array1<f64>,
    /// Its elastic-net distance from the centre, at least 0.
    pub distance: f64,
}

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// A point was found, and the model says of its very numbers what was wanted.
    Found,
    /// A pertinent positive without any feature: the model says so of the values without information.
    EmptyPp,
    /// The model's gradient is zero where the search is, and other ways found nothing either.
    GradientVanished,
    /// The target was not reached, though nothing but the model is in the way.
    TargetNotReached,
    /// Only forbidden changes would lead closer to the target.
    RangeInfeasible,
    /// The model's decision was reached, and every such point refused for lack of trust.
    TrustRejected,
    /// The budget, the clock or the observer ended the search before a point was found.
    Budget,
}

/// The way on which a point was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// It was the first point.
    Start,
    /// The descent in lanes.
    Descent,
    /// The ascent of the margin, where the descent found nothing.
    Ascent,
    /// Single coordinates, moved far.
    Sweep,
    /// The straight line to a known point of another class.
    Anchor,
    /// Random directions.
    Random,
}

/// One weight of the attack loss, as it was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// The weight.
    pub c: f64,
    /// Steps that were taken.
    pub n_steps: usize,
    /// The distance of the closest accepted point; `None` where none was.
    pub distance: Option<f64>,
    /// The smallest hinge of all points that were checked; `None` where none was.
    pub smallest_hinge: Option<f64>,
}

/// What a search found for one instance.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// The closest point, if there is one.
    pub found: Option<Candidate>,
    /// The point that came closest to the target, where none reached it.
    pub nearest_miss: Option<Candidate>,
    /// The way to what was found.
    pub route: Option<Route>,
    /// The weights that were tried, in the order of the rounds.
    pub trials: Vec<Trial>,
    /// Why the search ended early, where it did; the answer is then the best so far.
    pub stop: Option<Stop>,
}

/// What is known of an instance while it is searched for.
pub(crate) struct Progress {
    pub(crate) stop: Option<Stop>,
    /// Points that the hinge accepted and the problem did not.
    pub(crate) n_rejected: usize,
    /// The smallest hinge and its point.
    nearest: Option<(f64, Candidate)>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Progress { stop: None, n_rejected: 0, nearest: None }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.stop.is_none()
    }

    pub(crate) fn miss(&mut self, hinge: f64, candidate: impl FnOnce() -> Candidate) {
        if self.nearest.as_ref().is_none_or(|(smallest, _)| hinge < *smallest) {
            self.nearest = Some((hinge, candidate()));
        }
    }
}

/// Searches for the closest accepted point of each instance; `asker.instances` and `runs` go together.
///
/// In the native semantics the weights `c` are tried side by side, found points are polished by linearised margins and
/// their smallest changes taken back, and where gradients lead nowhere other ways are tried. What is returned was asked of
/// the model once more, as it is.
///
/// # Errors
/// Those of the model. A budget, clock or observer that ends the search of a single instance leaves the best so far; for
/// several instances at once it may be an error, and each is then to be searched for alone.
///
/// # Cost
/// One gradient at the start. At most `max_iterations` rounds of calls for each round of weights, of which the native
/// semantics has two and the reference's `c_steps`; in each a lane asks for at most two points and one gradient. The
/// polish asks for 20 points and a gradient in each of at most ten rounds, for up to three points of an instance.
pub fn search(
    asker: Evaluator<'_>,
    params: &SearchParams,
    runs: &mut [Run<'_>],
) -> Result<Vec<Outcome>> {
    let refiner = Refiner { asker, cost: params.cost };
    let n = asker.instances.len();
    let mut searched = Searched::new(n);
    let alone = runs.len() == 1;
    let ended = searched.find(&refiner, params, runs);
    searched.ended(alone, ended)?;
    let ended = searched.thin_out(&refiner, params, runs);
    searched.ended(alone, ended)?;
    searched.outcomes(&refiner, runs)
}

/// What is known of all instances of a call.
pub(super) struct Searched {
    pub(super) progress: Vec<Progress>,
    /// Accepted points by instance, the cheapest first.
    pub(super) found: Vec<Vec<Candidate>>,
    pub(super) route: Vec<Option<Route>>,
    trials: Vec<Vec<Trial>>,
}

/// Points of an instance that are polished, at most.
const POLISHED: usize = 3;

impl Searched {
    pub(super) fn new(n_instances: usize) -> Self {
        Searched {
            progress: (0..n_instances).map(|_| Progress::new()).collect(),
            found: vec![Vec::new(); n_instances],
            route: vec![None; n_instances],
            trials: vec![Vec::new(); n_instances],
        }
    }

    /// A stop leaves the best so far where only one instance is concerned.
    fn ended(&mut self, alone: bool, result: Result<()>) -> Result<()> {
        match result {
            Err(Error::Stopped(stop)) if alone => {
                self.progress[0].stop.get_or_insert(stop);
                Ok(())
            }
            other => other,
        }
    }

    pub(super) fn find(
        &mut self,
        refiner: &Refiner<'_>,
        params: &SearchParams,
        runs: &mut [Run<'_>],
    ) -> Result<()> {
        let starts = self.start(refiner, params, runs)?;
        match params.semantics {
            Semantics::Reference => self.descend_in_turn(refiner, params, runs, &starts),
            Semantics::Native => {
                self.descend_side_by_side(refiner, params, runs, &starts)?;
                if params.fallback {
                    self.fall_back(refiner, runs)?;
                }
                self.refine(refiner, params, runs)
            }
        }
    }

    /// Asks for the start; where it is accepted already there is nothing to search for.
    fn start(
        &mut self,
        refiner: &Refiner<'_>,
        params: &SearchParams,
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Option<Answer>>> {
        let asker = &refiner.asker;
        let gradient = params.attack && !params.is_late(asker);
        let question = |(instance, own): (usize, &super::Instance)| Question {
            instance,
            point: own.start.clone(),
            gradient,
        };
        let questions: Vec<Question> = asker.instances.iter().enumerate().map(question).collect();
        let kept = refiner.affordable(runs, &mut self.progress, &questions);
        let questions: Vec<Question> =
            questions.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(own, _)| own).collect();
        let hinge = |index: usize| &asker.instances[questions[index].instance].hinge;
        let answers =
            asker.ask(runs, &questions, &|index, outputs| hinge(index).cotangent(outputs))?;
        let mut starts = vec![None; asker.instances.len()];
        for (index, (question, answer)) in questions.iter().zip(answers).enumerate() {
            let instance = question.instance;
            let outputs = answer.outputs.clone();
            let distance = params.cost.of(&asker.instances[instance], &question.point);
            let candidate = Candidate { point: question.point.clone(), outputs, distance };
            if params.semantics == Semantics::Native && hinge(index).accepts(&answer.outputs) {
                self.found[instance].push(candidate);
                self.route[instance] = Some(Route::Start);
            } else {
                let missing = hinge(index).value(&answer.outputs);
                self.progress[instance].miss(missing, || candidate);
            }
            starts[instance] = Some(answer);
        }
        Ok(starts)
    }

    /// Whether an instance is still to be searched for.
    fn is_open(&self, instance: usize) -> bool {
        self.progress[instance].is_open() && self.found[instance].is_empty()
    }

    /// Two rounds of weights, all lanes of a round at once.
    fn descend_side_by_side(
        &mut self,
        refiner: &Refiner<'_>,
        params: &SearchParams,
        runs: &mut [Run<'_>],
        starts: &[Option<Answer>],
    ) -> Result<()> {
        let n = self.found.len();
        let first = if params.attack { decades(params.c_init, params.c_steps) } else { vec![0.0] };
        let mut weights: Vec<Vec<f64>> = (0..n)
            .map(|instance| if self.is_open(instance) { first.clone() } else { Vec::new() })
            .collect();
        self.descend(refiner, params, runs, (starts, &weights))?;
        for (instance, weights) in weights.iter_mut().enumerate() {
            let tried = self.trials[instance].iter().map(|own| (own.c, own.distance.is_some()));
            let tried: Vec<(f64, bool)> = tried.collect();
            let is_open = self.progress[instance].is_open() && params.attack;
            *weights = if is_open { refined(&tried, params.c_steps) } else { Vec::new() };
        }
        self.descend(refiner, params, runs, (starts, &weights))
    }

    /// The reference's order: one weight after the other.
    fn descend_in_turn(
        &mut self,
        refiner: &Refiner<'_>,
        params: &SearchParams,
        runs: &mut [Run<'_>],
        starts: &[Option<Answer>],
    ) -> Result<()> {
        let mut rules = vec![Sequential::new(params.c_init); self.found.len()];
        for _ in 0..params.c_steps {
            let weight = |(instance, rule): (usize, &Sequential)| {
                let c = if params.attack { rule.c } else { 0.0 };
                if self.progress[instance].is_open() { vec![c] } else { Vec::new() }
            };
            let weights: Vec<Vec<f64>> = rules.iter().enumerate().map(weight).collect();
            self.descend(refiner, params, runs, (starts, &weights))?;
            for (rule, trials) in rules.iter_mut().zip(&self.trials) {
                rule.next(trials.last().is_some_and(|trial| trial.distance.is_some()));
            }
        }
        Ok(())
    }

    fn descend(
        &mut self,
        refiner: &Refiner<'_>,
        params: &SearchParams,
        runs: &mut [Run<'_>],
        (starts, weights): (&[Option<Answer>], &[Vec<f64>]),
    ) -> Result<()> {
        let descent = Descent { asker: refiner.asker, params };
        let mut lanes: Vec<Lane> = Vec::new();
        for (instance, weights) in weights.iter().enumerate() {
            let start = &refiner.asker.instances[instance].start;
            let attack = starts[instance].as_ref().and_then(|answer| answer.gradient.clone());
            lanes.extend(weights.iter().map(|&c| Lane::new(instance, c, start, attack.clone())));
        }
        let ended = descent.run(runs, &mut lanes, &mut self.progress);
        for lane in lanes {
            self.trials[lane.instance].push(Trial {
                c: lane.c,
                n_steps: lane.steps,
                distance: lane.best.as_ref().map(|best| best.distance),
                smallest_hinge: Some(lane.smallest_hinge).filter(|hinge| hinge.is_finite()),
            });
            if let Some(best) = lane.best {
                self.route[lane.instance] = Some(Route::Descent);
                self.keep(lane.instance, best);
            }
        }
        ended
    }

    /// Keeps an accepted point, the cheapest first.
    pub(super) fn keep(&mut self, instance: usize, candidate: Candidate) {
        let found = &mut self.found[instance];
        if found.iter().all(|own| own.point != candidate.point) {
            let place = found.partition_point(|own| own.distance <= candidate.distance);
            found.insert(place, candidate);
        }
    }

    /// The ways for instances without a point.
    fn fall_back(&mut self, refiner: &Refiner<'_>, runs: &mut [Run<'_>]) -> Result<()> {
        let open: Vec<usize> = (0..self.found.len()).filter(|&own| self.is_open(own)).collect();
        if open.is_empty() {
            return Ok(());
        }
        let mut starts = Vec::new();
        for &instance in &open {
            let start = &refiner.asker.instances[instance].start;
            starts.push((instance, start.clone()));
            if let Some((_, nearest)) = &self.progress[instance].nearest
                && nearest.point != start
            {
                starts.push((instance, nearest.point.clone()));
            }
        }
        let mut found = refiner.ascend(runs, &mut self.progress, starts)?;
        let still: Vec<usize> = open
            .into_iter()
            .filter(|&own| {
                self.is_open(own) && found.iter().all(|(_, other)| other.instance != own)
            })
            .collect();
        if !still.is_empty() {
            let far = refiner.probe_far(runs, &mut self.progress, &still)?;
            let (routes, mut far): (Vec<Route>, Vec<Owned>) = far.into_iter().unzip();
            refiner.tighten(runs, &mut self.progress, &mut far)?;
            found.extend(routes.into_iter().zip(far));
        }
        for (route, own) in found {
            self.route[own.instance] = Some(route);
            self.keep(own.instance, own.candidate);
        }
        Ok(())
    }

    /// Polishes the best points and takes their smallest changes back.
    ///
    /// What further terms drew is first moved back along its way, and then stays where they drew it.
    fn refine(
        &mut self,
        refiner: &Refiner<'_>,
        params: &SearchParams,
        runs: &mut [Run<'_>],
    ) -> Result<()> {
        let mut best: Vec<Owned> = Vec::new();
        let mut drawn: Vec<Owned> = Vec::new();
        let mut narrow = refiner.asker.instances.to_vec();
        for (instance, found) in self.found.iter().enumerate() {
            if self.route[instance] == Some(Route::Start) {
                continue;
            }
            let own = |candidate: &Candidate| Owned { instance, candidate: candidate.clone() };
            let few = found.iter().take(POLISHED).map(own);
            let Some(targets) = refiner.asker.problem.drawn_to(instance) else {
                best.extend(few);
                continue;
            };
            drawn.extend(few);
            let own = &mut narrow[instance];
            let ends = || found.iter().map(|own| &own.point).chain(&targets);
            for k in 0..own.center.len() {
                let values = || ends().map(|end| end[k]);
                own.lower[k] = values().fold(own.center[k], f64::min).max(own.lower[k]);
                own.upper[k] = values().fold(own.center[k], f64::max).min(own.upper[k]);
            }
        }
        let asker = super::Evaluator { instances: &narrow, ..refiner.asker };
        let narrowed = Refiner { asker, cost: refiner.cost };
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
        mut best: Vec<Owned>,
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
                for (own, before) in best.iter().zip(polished) {
                    if own.candidate.point != before.candidate.point {
                        changed.push(own.clone());
                    }
                }
                refiner.polish(runs, &mut self.progress, &mut changed)?;
                best.extend(changed);
            }
        }
        for own in best {
            self.keep(own.instance, own.candidate);
        }
        Ok(())
    }

    /// Asks for what is returned once more, and says how every search ended.
    fn outcomes(mut self, refiner: &Refiner<'_>, runs: &mut [Run<'_>]) -> Result<Vec<Outcome>> {
        let n = self.found.len();
        let mut confirmed: Vec<Option<Candidate>> = vec![None; n];
        let mut next = vec![0; n];
        for (own, run) in runs.iter().enumerate() {
            // Without a query left the answer that a point was accepted for has to do.
            if run.queries_left() == Some(0) {
                confirmed[own] = self.found[own].first().cloned();
            }
        }
        loop {
            let pending: Vec<usize> = (0..n)
                .filter(|&own| confirmed[own].is_none() && next[own] < self.found[own].len())
                .filter(|&own| runs[own].queries_left() != Some(0))
                .collect();
            if pending.is_empty() {
                break;
            }
            let question = |&instance: &usize| Question {
                instance,
                point: self.found[instance][next[instance]].point.clone(),
                gradient: false,
            };
            let questions: Vec<Question> = pending.iter().map(question).collect();
            let answers = refiner.asker.ask(runs, &questions, &|_, _| None)?;
            for (&own, answer) in pending.iter().zip(answers) {
                let candidate = &self.found[own][next[own]];
                next[own] += 1;
                if refiner.asker.instances[own].hinge.accepts(&answer.outputs) {
                    confirmed[own] =
                        Some(Candidate { outputs: answer.outputs, ..candidate.clone() });
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
                nearest_miss: nearest.map(|(_, own)| own).filter(|_| found.is_none()),
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
            return Ok(Status::Budget);
        }
        if 0 < progress.n_rejected {
            return Ok(Status::TrustRejected);
        }
        let instance = &refiner.asker.instances[index];
        let nearest = progress.nearest.as_ref().map_or(&instance.start, |(_, own)| &own.point);
        let question = Question { instance: index, point: nearest.clone(), gradient: true };
        // Opened, so that forbidden coordinates are differentiated as well.
        let mut opened = refiner.asker.instances.to_vec();
        opened[index].lower.fill(f64::NEG_INFINITY);
        opened[index].upper.fill(f64::INFINITY);
        let asker = Evaluator { instances: &opened, ..refiner.asker };
        if runs[index].queries_left().is_some_and(|left| left < asker.price(&question)) {
            return Ok(Status::TargetNotReached);
        }
        let answers = asker.ask(runs, &[question], &|_, outputs| {
            Some(instance.hinge.log_margin(outputs).cotangent)
        })?;
        let Some(gradient) = answers.into_iter().next().and_then(|answer| answer.gradient) else {
            return Ok(Status::TargetNotReached);
        };
        let leads_in = |k: usize| {
            let slope = gradient[k];
            (0.0 < slope && nearest[k] < instance.upper[k])
                || (slope < 0.0 && instance.lower[k] < nearest[k])
        };
        let open = (0..gradient.len()).any(leads_in);
        let any = gradient.iter().any(|&slope| slope != 0.0);
        Ok(match (any, open) {
            (_, true) => Status::TargetNotReached,
            (true, false) => Status::RangeInfeasible,
            (false, false) => Status::GradientVanished,
        })
    }
}
