//! The descent of the native semantics: Adam in lanes, one for each instance and weight lambda of the distance.

use ndarray::{Array1, ArrayView1};
use xai_core::{Event, Result, Row, Run, Stop};
use xai_optim::loss::SquaredError;
use xai_optim::{
    Adam, Answer, Candidate, Cost, Descended, Evaluator, Instance, Question, Route, linear_decay,
};

use crate::params::CounterfactualParams;

/// A relative gain of the loss or of the distance below this does not count as progress.
const GAIN: f64 = 1e-3;

/// Rows that differ by less than this part of `eps` in every coordinate share their answers.
const SHARED: f64 = 1.0;

/// A step that reached the target.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub(crate) candidate: Candidate,
    /// The steps before it.
    pub(crate) step: usize,
}

/// One descent, from the instance.
pub(crate) struct Lane {
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

impl Lane {
    fn new(instance: usize, lambda: f64, start: &Array1<f64>) -> Self {
        Lane {
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
pub(crate) struct Descent<'a> {
    pub(crate) asker: Evaluator<'a>,
    pub(crate) params: &'a CounterfactualParams,
    pub(crate) losses: &'a [SquaredError],
    pub(crate) cost: Cost,
    /// Steps of numeric derivatives, shape `(n_columns,)`.
    pub(crate) eps: &'a Row,
}

/// What the lanes of one instance found.
#[derive(Default)]
pub(crate) struct Trail {
    pub(crate) lanes: Vec<Lane>,
    /// The point that came closest to the target without reaching it.
    nearest: Option<(f64, Candidate)>,
    at_start: Option<Candidate>,
    stop: Option<Stop>,
}

impl Trail {
    fn has_hits(&self) -> bool {
        self.lanes.iter().any(|lane| 0 < lane.n_hits)
    }

    fn miss(&mut self, hinge: f64, candidate: Candidate) {
        if self.nearest.as_ref().is_none_or(|(smallest, _)| hinge < *smallest) {
            self.nearest = Some((hinge, candidate));
        }
    }

    /// What the rest of the search starts from.
    pub(crate) fn descended(&self) -> Descended {
        let hits = self.lanes.iter().filter_map(|lane| lane.best.as_ref());
        let hits = hits.map(|hit| hit.candidate.clone());
        Descended {
            found: self.at_start.iter().cloned().chain(hits).collect(),
            route: self.at_start.is_some().then_some(Route::Start),
            nearest: self.nearest.as_ref().map(|(_, candidate)| candidate.clone()),
            stop: self.stop,
        }
    }
}

/// The questions of one round, and what each lane gets out of them.
#[derive(Default)]
struct Round {
    questions: Vec<Question>,
    /// The lane that asks each of them.
    owners: Vec<usize>,
    asked: Vec<Asked>,
}

struct Asked {
    instance: usize,
    lane: usize,
    /// The question that gives the gradient.
    slope: usize,
    /// The question that is judged; `None` where another lane's is shared.
    check: Option<usize>,
    /// The lane whose answers are shared.
    leader: Option<usize>,
}

impl Descent<'_> {
    /// RunConfig the lanes of all instances to their ends; `runs` has one run for each instance.
    pub(crate) fn run(&self, runs: &mut [Run<'_>]) -> Result<Vec<Trail>> {
        let mut trails: Vec<Trail> = runs.iter().map(|_| Trail::default()).collect();
        let starts = self.start(runs, &mut trails)?;
        for (index, answer) in starts.into_iter().enumerate() {
            let Some(answer) = answer else { continue };
            let is_open = trails[index].at_start.is_none();
            let start = &self.asker.instances[index].start;
            let weight = |j: usize| {
                let exponent = i32::try_from(j).unwrap_or(i32::MAX);
                self.params.lam_init / 10.0_f64.powi(exponent)
            };
            for lambda in (0..self.params.max_lam_steps).map(weight) {
                let mut lane = Lane::new(index, lambda, start);
                lane.done = !is_open || !self.leaves(index, &answer, lambda);
                if !lane.done {
                    self.advance(&mut lane, &answer);
                }
                trails[index].lanes.push(lane);
            }
        }
        let mut round = 0;
        while trails.iter().flat_map(|trail| &trail.lanes).any(|lane| !lane.done) {
            round += 1;
            for (run, trail) in runs.iter_mut().zip(&mut trails) {
                if trail.lanes.iter().all(|lane| lane.done) || !run.can_stop() {
                    continue;
                }
                let step = Event::Step { done: round, total: Some(self.params.max_iter as u64) };
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
        trail.lanes.iter_mut().for_each(|lane| lane.done = true);
    }

    /// Asks for the instances themselves, which may reach the target already.
    fn start(&self, runs: &mut [Run<'_>], trails: &mut [Trail]) -> Result<Vec<Option<Answer>>> {
        let mut questions = Vec::new();
        for (instance, own) in self.asker.instances.iter().enumerate() {
            let question = Question { instance, point: own.start.clone(), gradient: true };
            if Evaluator::affords(&runs[instance], self.asker.price(&question)) {
                questions.push(question);
            } else {
                trails[instance].stop = Some(Stop::Budget);
            }
        }
        let answers = self.ask(runs, &questions)?;
        let mut starts = vec![None; trails.len()];
        for (question, answer) in questions.iter().zip(answers) {
            let (index, instance) = (question.instance, &self.asker.instances[question.instance]);
            let candidate = self.candidate(instance, &question.point, &answer);
            if instance.hinge.accepts(&answer.outputs) {
                trails[index].at_start = Some(candidate);
            } else {
                trails[index].miss(instance.hinge.value(&answer.outputs), candidate);
            }
            starts[index] = Some(answer);
        }
        Ok(starts)
    }

    fn ask(&self, runs: &mut [Run<'_>], questions: &[Question]) -> Result<Vec<Answer>> {
        self.asker.ask(runs, questions, &|index, outputs| {
            Some(self.losses[questions[index].instance].cotangent(outputs))
        })
    }

    fn candidate(&self, instance: &Instance, point: &Array1<f64>, answer: &Answer) -> Candidate {
        let distance = self.cost.of(instance, point);
        Candidate { point: point.clone(), outputs: answer.outputs.clone(), distance }
    }

    /// Whether the loss falls in any direction from the instance: a lambda above every slope keeps the lane there for
    /// good. The slope of squared changes is 0 at the instance.
    fn leaves(&self, index: usize, answer: &Answer, lambda: f64) -> bool {
        let instance = &self.asker.instances[index];
        let Some(gradient) = &answer.gradient else { return false };
        let may_fall = |k: usize| {
            let (slope, value) = (gradient[k], instance.start[k]);
            let is_inward = (slope < 0.0 && value < instance.upper[k])
                || (0.0 < slope && instance.lower[k] < value);
            is_inward && lambda * self.cost.absolute * instance.scale[k] < slope.abs()
        };
        (0..gradient.len()).any(may_fall)
    }

    /// One step of Adam down the whole loss.
    fn advance(&self, lane: &mut Lane, answer: &Answer) {
        let instance = &self.asker.instances[lane.instance];
        let mut gradient = match &answer.gradient {
            Some(gradient) => gradient.clone(),
            None => Array1::zeros(lane.point.len()),
        };
        for (k, slope) in gradient.iter_mut().enumerate() {
            let scale = instance.scale[k];
            let change = scale * (lane.point[k] - instance.center[k]);
            let sign = if change == 0.0 { 0.0 } else { change.signum() };
            let of_distance = self.cost.absolute * sign + 2.0 * self.cost.squares * change;
            *slope += lane.lambda * scale * of_distance;
        }
        let CounterfactualParams { learning_rate_init, max_iter, decay, .. } = *self.params;
        let rate = match decay {
            true => linear_decay(learning_rate_init, lane.steps, max_iter),
            false => learning_rate_init,
        };
        lane.adam.step(&mut lane.point, &gradient, rate);
        instance.confine(&mut lane.point);
        lane.steps += 1;
    }

    /// Asks for what every lane needs, in one round of calls, and moves the lanes on.
    fn step(&self, runs: &mut [Run<'_>], trails: &mut [Trail]) -> Result<()> {
        let mut round = Round::default();
        for (index, trail) in trails.iter_mut().enumerate() {
            let (first, before) = (round.questions.len(), round.asked.len());
            for (place, lane) in trail.lanes.iter().enumerate().filter(|(_, lane)| !lane.done) {
                let asked = self.questions(lane, place, first, &mut round);
                round.owners.resize(round.questions.len(), place);
                round.asked.push(asked);
            }
            let price = round.questions[first..].iter().map(|own| self.asker.price(own)).sum();
            if !Evaluator::affords(&runs[index], price) {
                self.stop(trail, Stop::Budget);
                round.questions.truncate(first);
                round.owners.truncate(first);
                round.asked.truncate(before);
            }
        }
        let answers = self.ask(runs, &round.questions)?;
        for asked in &round.asked {
            let trail = &mut trails[asked.instance];
            if let Some(check) = asked.check {
                let point = &round.questions[check].point;
                self.judge(trail, asked.lane, point, &answers[check]);
            }
        }
        for asked in &round.asked {
            let trail = &mut trails[asked.instance];
            let has_hits = trail.has_hits();
            let is_led = asked.leader.is_some_and(|leader| trail.lanes[leader].done);
            let lane = &mut trail.lanes[asked.lane];
            self.watch(lane, &answers[asked.slope], has_hits);
            lane.done |= is_led;
            if !lane.done {
                self.advance(lane, &answers[asked.slope]);
            }
        }
        Ok(())
    }

    /// What a lane asks for; a lane that is where another one of its instance is shares its answers.
    fn questions(&self, lane: &Lane, place: usize, first: usize, round: &mut Round) -> Asked {
        let (instance, questions) = (lane.instance, &mut round.questions);
        let slope = questions.len();
        let mut asked = Asked { instance, lane: place, slope, check: None, leader: None };
        let is_near = |other: &Question| {
            let pairs = other.point.iter().zip(&lane.point).zip(self.eps);
            other.gradient && pairs.into_iter().all(|((a, b), eps)| (a - b).abs() <= SHARED * eps)
        };
        if let Some(shared) = questions[first..].iter().position(is_near) {
            asked.slope = first + shared;
            asked.leader = Some(round.owners[first + shared]);
            return asked;
        }
        let gradient = lane.steps < self.params.max_iter;
        questions.push(Question { instance, point: lane.point.clone(), gradient });
        let mut judged = lane.point.clone();
        self.asker.problem.snap(instance, &mut judged);
        asked.check = Some(asked.slope);
        if judged != lane.point {
            asked.check = Some(questions.len());
            questions.push(Question { instance, point: judged, gradient: false });
        }
        asked
    }

    /// Keeps a point that reaches the target.
    fn judge(&self, trail: &mut Trail, place: usize, point: &Array1<f64>, answer: &Answer) {
        let lane = &mut trail.lanes[place];
        let instance = &self.asker.instances[lane.instance];
        let candidate = self.candidate(instance, point, answer);
        if !instance.hinge.accepts(&answer.outputs) {
            lane.found = 0;
            return trail.miss(instance.hinge.value(&answer.outputs), candidate);
        }
        let hit = Hit { candidate, step: lane.steps - 1 };
        (lane.n_hits, lane.found) = (lane.n_hits + 1, lane.found + 1);
        if lane.trace.len() < self.params.trace {
            lane.trace.push(hit.clone());
        }
        let before = lane.best.as_ref().map(|best| best.candidate.distance);
        if before.is_none_or(|before| hit.candidate.distance < before * (1.0 - GAIN)) {
            lane.stalled = 0;
        }
        if before.is_none_or(|before| hit.candidate.distance < before) {
            lane.best = Some(hit);
        }
    }

    /// Decides whether a lane goes on.
    fn watch(&self, lane: &mut Lane, answer: &Answer, has_hits: bool) {
        let instance = &self.asker.instances[lane.instance];
        let distance = self.cost.of(instance, &lane.point);
        let loss = self.losses[lane.instance].value(&answer.outputs) + lane.lambda * distance;
        let falls = loss < self.lowest_but(lane.lowest);
        lane.lowest = lane.lowest.min(loss);
        lane.stalled = if falls && lane.n_hits == 0 { 0 } else { lane.stalled + 1 };
        let CounterfactualParams { early_stop, max_iter, .. } = *self.params;
        let patience = if has_hits { early_stop.div_ceil(10) } else { early_stop };
        lane.done |= max_iter <= lane.steps || early_stop <= lane.found || patience <= lane.stalled;
    }

    fn lowest_but(&self, lowest: f64) -> f64 {
        if lowest.is_finite() { lowest * (1.0 - GAIN) } else { lowest }
    }
}

/// The hit of the descent that is closest to a row, with the place and weight of its lane.
pub(crate) fn closest<'t>(
    trail: &'t Trail,
    row: &ArrayView1<'_, f64>,
) -> Option<(usize, f64, &'t Hit)> {
    let lanes = trail.lanes.iter().enumerate();
    let hits = lanes.filter_map(|(j, lane)| Some((j, lane.lambda, lane.best.as_ref()?)));
    let far = |hit: &Hit| (&hit.candidate.point - row).mapv(f64::abs).sum();
    hits.min_by(|a, b| far(a.2).total_cmp(&far(b.2)))
}
