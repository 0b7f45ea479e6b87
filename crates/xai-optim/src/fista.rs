//! FISTA in lanes: one for each instance and weight of the attack loss.

use ndarray::{Array1, Array2};

use super::ask::{Answer, Evaluator, Question, stack};
use super::search::{Candidate, Progress, SearchParams};
use super::step::{momentum, polynomial_decay};
use xai_core::error::Result;
use xai_core::model::ModelRef;
use xai_core::params::Semantics;
use xai_core::{Event, Run};

/// One descent, from the instance's start.
pub(crate) struct Lane {
    pub(crate) instance: usize,
    /// The weight of the attack loss.
    pub(crate) c: f64,
    /// Steps taken.
    pub(crate) steps: usize,
    /// The closest accepted point.
    pub(crate) best: Option<Candidate>,
    /// The smallest hinge of all points that were checked.
    pub(crate) smallest_hinge: f64,
    a: Array1<f64>,
    y: Array1<f64>,
    /// The point that was checked last, and whether it was accepted.
    checked: Option<Array1<f64>>,
    /// The derivative of the hinge at `y`; `None` where it is not active.
    attack: Option<Array1<f64>>,
    /// Whether `y` has to be asked again, this time with a gradient.
    waits: bool,
    /// Points whose gradients the next step averages, in the reference's black box.
    recorded: Vec<Array1<f64>>,
    /// Calls since the best point became notably better.
    since_better: usize,
    /// Steps in a row that led nowhere.
    still: usize,
    /// Calls since the smallest hinge became notably smaller.
    since_closer: usize,
    /// Rounds of calls.
    n_calls: usize,
    done: bool,
}

/// A relative gain below this does not count as progress.
const GAIN: f64 = 1e-4;

/// A step counts as none when no coordinate moves more than this, times the learning rate, against its size.
const STILL: f64 = 1e-6;

impl Lane {
    /// A lane before its first step; `attack` is the derivative of the hinge at the start.
    pub(crate) fn new(
        instance: usize,
        c: f64,
        start: &Array1<f64>,
        attack: Option<Array1<f64>>,
    ) -> Self {
        Lane {
            instance,
            c,
            steps: 0,
            best: None,
            smallest_hinge: f64::INFINITY,
            a: start.clone(),
            y: start.clone(),
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
}

/// The rules of one descent, shared by all lanes.
pub(crate) struct Descent<'a> {
    pub(crate) asker: Evaluator<'a>,
    pub(crate) params: &'a SearchParams,
}

/// What a lane asks for in a round: the places of its questions.
#[derive(Default)]
struct Asked {
    check: Option<usize>,
    slopes: Vec<usize>,
}

impl Descent<'_> {
    /// RunConfig the lanes of all instances to their ends.
    pub(crate) fn run(
        &self,
        runs: &mut [Run<'_>],
        lanes: &mut [Lane],
        progress: &mut [Progress],
    ) -> Result<()> {
        let mut round = 0;
        while lanes.iter().any(|lane| !lane.done) {
            round += 1;
            for (run, own) in runs.iter_mut().zip(progress.iter_mut()) {
                let total = Some(self.params.max_iterations as u64);
                if own.is_open() && run.can_stop() {
                    own.stop = run.report(Event::Step { done: round, total }).break_value();
                }
            }
            lanes.iter_mut().for_each(|lane| lane.done |= !progress[lane.instance].is_open());
            self.step(runs, lanes)?;
            self.check(runs, lanes, progress)?;
        }
        Ok(())
    }

    /// Whether gradients are those of the reference's black box.
    fn is_late(&self) -> bool {
        self.params.is_late(&self.asker)
    }

    /// One step of every lane that is not waiting for a gradient.
    fn step(&self, runs: &mut [Run<'_>], lanes: &mut [Lane]) -> Result<()> {
        let moving: Vec<usize> =
            (0..lanes.len()).filter(|&lane| !lanes[lane].done && !lanes[lane].waits).collect();
        let Some(&first) = moving.first() else { return Ok(()) };
        let instances: Vec<usize> = moving.iter().map(|&lane| lanes[lane].instance).collect();
        let points: Vec<Array1<f64>> = moving.iter().map(|&lane| lanes[lane].y.clone()).collect();
        let points = stack(&points, lanes[first].y.len());
        let smooth = self.asker.problem.smooth(runs, &instances, &points)?;
        for (row, &lane) in moving.iter().enumerate() {
            self.step_lane(
                &mut lanes[lane],
                smooth.as_ref().map(|smooth| smooth.row(row)).as_deref(),
            );
        }
        Ok(())
    }

    fn step_lane(&self, lane: &mut Lane, smooth: Option<&xai_core::Row>) {
        let SearchParams { cost, learning_rate_init, max_iterations, clip, .. } = *self.params;
        let instance = &self.asker.instances[lane.instance];
        let rate = polynomial_decay(learning_rate_init, lane.steps, max_iterations);
        let is_late = self.is_late();
        for k in 0..lane.y.len() {
            let scale = instance.scale[k];
            let mut slope = 2.0 * cost.squares * scale * scale * (lane.y[k] - instance.center[k]);
            slope += smooth.map_or(0.0, |smooth| smooth[k]);
            let attack = lane.attack.as_ref().map_or(0.0, |attack| lane.c * attack[k]);
            slope = if is_late {
                slope.clamp(clip.0, clip.1) + attack.clamp(clip.0, clip.1)
            } else {
                (slope + attack).clamp(clip.0, clip.1)
            };
            lane.y[k] -= rate * slope;
        }
        let threshold = match self.params.semantics {
            Semantics::Native => rate * cost.absolute,
            Semantics::Reference => cost.absolute,
        };
        let mut next = std::mem::replace(&mut lane.y, lane.a.clone());
        self.asker.problem.proximal(lane.instance, instance, threshold, &mut next);
        let weight = if self.params.momentum { momentum(lane.steps) } else { 0.0 };
        let mut moved = 0.0_f64;
        for k in 0..next.len() {
            let change = next[k] - lane.a[k];
            lane.y[k] = next[k] + weight * change;
            moved = moved.max(change.abs() / next[k].abs().max(1.0));
        }
        if 0.0 < weight || is_late {
            self.asker.problem.confine(lane.instance, instance, &mut lane.y);
        }
        lane.a = next;
        lane.steps += 1;
        lane.still = if moved <= STILL * rate { lane.still + 1 } else { 0 };
        if is_late {
            lane.recorded.push(lane.y.clone());
        }
    }

    /// Whether the next step of a lane needs a new gradient.
    fn needs_slope(&self, lane: &Lane) -> bool {
        let is_due = match self.asker.access {
            ModelRef::WhiteBox(_) => true,
            ModelRef::BlackBox(_) => lane.steps.is_multiple_of(self.params.update_num_grad),
        };
        self.params.attack && lane.steps < self.params.max_iterations && is_due
    }

    fn questions(&self, lane: &Lane, questions: &mut Vec<Question>) -> Asked {
        let instance = lane.instance;
        let mut asked = Asked::default();
        let mut candidate = lane.a.clone();
        self.asker.problem.snap(instance, &mut candidate);
        if !lane.waits && lane.checked.as_ref() != Some(&candidate) {
            asked.check = Some(questions.len());
            questions.push(Question { instance, point: candidate, gradient: false });
        }
        if !self.needs_slope(lane) {
            return asked;
        }
        if self.is_late() {
            for point in &lane.recorded {
                asked.slopes.push(questions.len());
                questions.push(Question { instance, point: point.clone(), gradient: true });
            }
            return asked;
        }
        // Where the hinge was not active, its numeric gradient is not paid for before it is known to be active again.
        let gradient = lane.waits
            || lane.attack.is_some()
            || matches!(self.asker.access, ModelRef::WhiteBox(_));
        let same = asked.check.filter(|&check| questions[check].point == lane.y);
        if let Some(check) = same {
            questions[check].gradient = gradient;
        }
        asked.slopes.push(same.unwrap_or(questions.len()));
        if same.is_none() {
            questions.push(Question { instance, point: lane.y.clone(), gradient });
        }
        asked
    }

    /// Asks for what every lane needs, in one round of calls, and moves the lanes on.
    fn check(
        &self,
        runs: &mut [Run<'_>],
        lanes: &mut [Lane],
        progress: &mut [Progress],
    ) -> Result<()> {
        let mut questions = Vec::new();
        let mut asked: Vec<(usize, Asked)> = Vec::new();
        for index in 0..self.asker.instances.len() {
            let (before, first) = (questions.len(), asked.len());
            for (place, lane) in lanes.iter().enumerate() {
                if lane.instance == index && !lane.done {
                    asked.push((place, self.questions(lane, &mut questions)));
                }
            }
            let price = questions[before..].iter().map(|question| self.asker.price(question)).sum();
            if !Evaluator::affords(&runs[index], price) {
                progress[index].stop.get_or_insert(xai_core::Stop::Budget);
                questions.truncate(before);
                for (place, _) in asked.drain(first..) {
                    lanes[place].done = true;
                }
            }
        }
        let hinge = |instance: usize| &self.asker.instances[instance].hinge;
        let answers = self.asker.ask(runs, &questions, &|index, outputs| {
            let hinge = hinge(questions[index].instance);
            if self.is_late() {
                hinge.inflated_cotangent(outputs)
            } else {
                hinge.cotangent(outputs)
            }
        })?;
        self.judge(runs, lanes, progress, (&questions, &answers, &asked))?;
        for (place, asked) in asked {
            self.advance(&mut lanes[place], &asked, &questions, &answers);
        }
        Ok(())
    }

    /// Keeps the accepted points.
    fn judge(
        &self,
        runs: &mut [Run<'_>],
        lanes: &mut [Lane],
        progress: &mut [Progress],
        (questions, answers, asked): (&[Question], &[Answer], &[(usize, Asked)]),
    ) -> Result<()> {
        let mut hopes: Vec<(usize, Candidate)> = Vec::new();
        for (place, asked) in asked {
            let lane = &mut lanes[*place];
            lane.since_better += 1;
            lane.since_closer += 1;
            lane.n_calls += 1;
            let Some(check) = asked.check else { continue };
            let instance = &self.asker.instances[lane.instance];
            let (point, outputs) = (&questions[check].point, &answers[check].outputs);
            lane.checked = Some(point.clone());
            let distance = self.params.cost.of(instance, point);
            let candidate =
                || Candidate { point: point.clone(), outputs: outputs.clone(), distance };
            let hinge = instance.hinge.value(outputs);
            if hinge < lane.smallest_hinge * (1.0 - GAIN) || lane.smallest_hinge.is_infinite() {
                lane.since_closer = 0;
            }
            lane.smallest_hinge = lane.smallest_hinge.min(hinge);
            if !instance.hinge.accepts(outputs) {
                progress[lane.instance].miss(hinge, candidate);
            } else if lane.best.as_ref().is_none_or(|best| distance < best.distance) {
                hopes.push((*place, candidate()));
            }
        }
        let instances: Vec<usize> = hopes.iter().map(|(place, _)| lanes[*place].instance).collect();
        for ((place, candidate), admitted) in hopes.iter().zip(admitted(
            &self.asker,
            runs,
            &instances,
            hopes.iter().map(|(_, own)| own),
        )?) {
            let lane = &mut lanes[*place];
            if !admitted {
                progress[lane.instance].n_rejected += 1;
                continue;
            }
            let before = lane.best.as_ref().map(|best| best.distance);
            if before.is_none_or(|before| candidate.distance < before * (1.0 - GAIN)) {
                lane.since_better = 0;
            }
            lane.best = Some(candidate.clone());
        }
        Ok(())
    }

    /// Takes the gradients and decides whether a lane goes on.
    fn advance(&self, lane: &mut Lane, asked: &Asked, questions: &[Question], answers: &[Answer]) {
        let hinge = &self.asker.instances[lane.instance].hinge;
        if self.is_late() {
            lane.attack = average(
                asked.slopes.iter().filter_map(|&slope| answers[slope].gradient.as_ref()),
                asked.slopes.len(),
            );
            if !asked.slopes.is_empty() {
                lane.recorded.clear();
            }
        } else if let [slope] = asked.slopes[..] {
            let answer = &answers[slope];
            let is_known = questions[slope].gradient || hinge.value(&answer.outputs) <= 0.0;
            lane.waits = !is_known;
            if is_known {
                lane.attack.clone_from(&answer.gradient);
            }
        }
        let SearchParams { patience, max_iterations, .. } = *self.params;
        // A point that stays where it is under an unchanged gradient stays for good: threshold and step shrink alike.
        let is_stuck = self.params.semantics == Semantics::Native
            && !lane.waits
            && lane.y == lane.a
            && 2 <= lane.still
            && lane.a == self.asker.instances[lane.instance].start;
        // What hovers without coming closer has too little weight; the longer wait is for flat stretches.
        let has_settled = patience.is_some_and(|patience| match lane.best {
            Some(_) => patience <= lane.since_better,
            None => patience <= lane.still || 2 * patience <= lane.since_closer,
        });
        // A round that only brings the gradient counts as well, so that a lane has as many calls as steps.
        let is_over = match self.params.semantics {
            Semantics::Native => max_iterations <= lane.n_calls,
            Semantics::Reference => max_iterations <= lane.steps,
        };
        lane.done |= is_over || is_stuck || has_settled;
    }
}

/// Which candidates the problem admits.
pub(crate) fn admitted<'c>(
    asker: &Evaluator<'_>,
    runs: &mut [Run<'_>],
    instances: &[usize],
    candidates: impl Iterator<Item = &'c Candidate>,
) -> Result<Vec<bool>> {
    if instances.is_empty() {
        return Ok(Vec::new());
    }
    let (points, outputs): (Vec<_>, Vec<_>) =
        candidates.map(|own| (own.point.clone(), own.outputs.clone())).unzip();
    let points: Array2<f64> = stack(&points, points[0].len());
    let outputs = stack(&outputs, outputs[0].len());
    asker.problem.admits(runs, instances, &points, &outputs)
}

/// The mean of gradients, those that are missing counting as zero.
fn average<'g>(gradients: impl Iterator<Item = &'g Array1<f64>>, n: usize) -> Option<Array1<f64>> {
    let sum = gradients.fold(None, |sum: Option<Array1<f64>>, own| {
        Some(sum.map_or_else(|| own.clone(), |sum| sum + own))
    });
    sum.map(|sum| sum / n as f64)
}
