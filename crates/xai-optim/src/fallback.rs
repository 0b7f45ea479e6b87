//! Other ways to a first point, for instances whose descent found none.

use ndarray::Array1;

use crate::evaluate::Query;
use crate::outcome::{Candidate, Route};
use crate::refine::{FoundPoint, Proposal, Refiner, State};
use xai_core::error::Result;
use xai_core::rng::Stream;
use xai_core::run::Run;

/// Rounds of an ascent at most. Chosen by hand.
const ROUNDS: usize = 30;

/// Step lengths of one round, as powers of two times the length at which the linear margin vanishes. Chosen by hand.
const LENGTHS: std::ops::RangeInclusive<i32> = -5..=6;

/// Steps of a single coordinate in both directions. Chosen by hand.
const STEPS: i32 = 12;

/// Random directions, and points on each. Chosen by hand.
const DIRECTIONS: usize = 32;

/// Points on the line to an anchor. Chosen by hand.
const FRACTIONS: u8 = 16;

/// Anchors that are tried at most. Chosen by hand.
const ANCHORS: usize = 8;

/// The label of the seed from which directions are drawn.
const RANDOM: u64 = 0x7261_6e64_6f6d;

/// One ascent of the margin.
struct Ascent {
    instance: usize,
    point: Array1<f64>,
    margin: f64,
}

impl Refiner<'_> {
    /// Climbs the margin from the given points until a point is accepted.
    ///
    /// The margin is that of logarithms where it can be, so that a saturated model still says where to go. A step goes
    /// along the gradient without what leads out of the box; its length is the best of twelve.
    ///
    /// # Cost
    /// For each round a gradient and 12 queries, 30 rounds at most.
    pub(crate) fn ascend(
        &self,
        runs: &mut [Run<'_>],
        state: &mut State,
        starts: Vec<(usize, Array1<f64>)>,
    ) -> Result<Vec<(Route, FoundPoint)>> {
        let ascent = |(instance, point)| Ascent { instance, point, margin: f64::NEG_INFINITY };
        let mut open: Vec<Ascent> = starts.into_iter().map(ascent).collect();
        let mut found = Vec::new();
        for _ in 0..ROUNDS {
            let query = |ascent: &Ascent| Query {
                instance: ascent.instance,
                point: ascent.point.clone(),
                gradient: true,
            };
            let queries: Vec<Query> = open.iter().map(query).collect();
            let mut kept = self.affordable(runs, state, &queries).into_iter();
            open.retain(|_| kept.next().unwrap_or(false));
            if open.is_empty() {
                break;
            }
            let queries: Vec<Query> = open.iter().map(query).collect();
            let hinge = |index: usize| &self.evaluator.instances[queries[index].instance].hinge;
            let evaluations = self.evaluator.evaluate(runs, &queries, &|index, outputs| {
                Some(hinge(index).log_margin(outputs).cotangent)
            })?;
            let mut proposals = Vec::new();
            for (index, (ascent, evaluation)) in open.iter_mut().zip(evaluations).enumerate() {
                ascent.margin = hinge(index).log_margin(&evaluation.outputs).value;
                let Some(direction) =
                    evaluation.gradient.map(|gradient| self.inwards(ascent, &gradient))
                else {
                    continue;
                };
                let slope = direction.dot(&direction);
                if !(0.0 < slope && slope < f64::INFINITY) {
                    continue;
                }
                let length = ascent.margin.abs().max(1e-6) / slope;
                let instance = &self.evaluator.instances[ascent.instance];
                for exponent in LENGTHS {
                    let step = &direction * (length * 2.0_f64.powi(exponent));
                    let mut point = &ascent.point + &step;
                    instance.confine(&mut point);
                    if point.iter().all(|value| value.is_finite()) {
                        proposals.push(Proposal { owner: index, instance: ascent.instance, point });
                    }
                }
            }
            self.climb(runs, state, &mut open, proposals, &mut found)?;
        }
        Ok(found)
    }

    /// The gradient without what leads out of the box or moves a coordinate that may not move.
    fn inwards(&self, ascent: &Ascent, gradient: &Array1<f64>) -> Array1<f64> {
        let instance = &self.evaluator.instances[ascent.instance];
        let inward = |k: usize| {
            let (value, slope) = (ascent.point[k], gradient[k]);
            let is_out = (0.0 < slope && instance.upper[k] <= value)
                || (slope < 0.0 && value <= instance.lower[k]);
            if is_out { 0.0 } else { slope }
        };
        Array1::from_shape_fn(gradient.len(), inward)
    }

    /// Moves every ascent to the best of its proposals, and ends those that arrived or can go no further.
    fn climb(
        &self,
        runs: &mut [Run<'_>],
        state: &mut State,
        open: &mut Vec<Ascent>,
        proposals: Vec<Proposal>,
        found: &mut Vec<(Route, FoundPoint)>,
    ) -> Result<()> {
        // Judged where they would be returned, continued where they are.
        let mut judged = proposals;
        let raw: Vec<Array1<f64>> = judged.iter().map(|proposal| proposal.point.clone()).collect();
        for proposal in &mut judged {
            self.evaluator.problem.snap(proposal.instance, &mut proposal.point);
        }
        let numbered: Vec<(usize, usize)> =
            judged.iter().map(|proposal| (proposal.owner, proposal.instance)).collect();
        let mut best: Vec<Option<(f64, usize)>> = vec![None; open.len()];
        let mut arrived: Vec<Option<Candidate>> = vec![None; open.len()];
        let limits: Vec<f64> = vec![f64::INFINITY; open.len()];
        let answered = self.asked(runs, state, judged)?;
        let mut accepted = Vec::new();
        let mut place = 0;
        for (proposal, outputs) in answered {
            while numbered[place] != (proposal.owner, proposal.instance) {
                place += 1;
            }
            let hinge = &self.evaluator.instances[proposal.instance].hinge;
            let margin = hinge.log_margin(&outputs).value;
            if best[proposal.owner].is_none_or(|(most, _)| most < margin) {
                best[proposal.owner] = Some((margin, place));
            }
            if hinge.accepts(&outputs) {
                accepted.push(proposal);
            }
            place += 1;
        }
        if !accepted.is_empty() {
            arrived = self.cheapest(runs, state, accepted, &limits)?;
        }
        let mut owner = 0;
        open.retain_mut(|ascent| {
            let (arrived, best) = (arrived[owner].take(), best[owner]);
            owner += 1;
            if let Some(candidate) = arrived {
                let owned = FoundPoint { instance: ascent.instance, candidate };
                found.push((Route::Ascent, owned));
                return false;
            }
            match best {
                Some((margin, place)) if ascent.margin + 1e-9 * ascent.margin.abs() < margin => {
                    ascent.point.clone_from(&raw[place]);
                    true
                }
                _ => false,
            }
        });
        Ok(())
    }

    /// Tries single coordinates far away, lines to known points and random directions, for models that are flat where
    /// they are asked. The cheapest accepted point of each instance.
    ///
    /// # Cost
    /// At most 24 queries for each coordinate, 128 for anchors and 384 for directions, of which later ones are asked
    /// only where earlier ones found nothing.
    pub(crate) fn probe_far(
        &self,
        runs: &mut [Run<'_>],
        state: &mut State,
        instances: &[usize],
    ) -> Result<Vec<(Route, FoundPoint)>> {
        let mut found: Vec<(Route, FoundPoint)> = Vec::new();
        for route in [Route::Anchor, Route::Sweep, Route::Random] {
            let mut proposals = Vec::new();
            for (owner, &instance) in instances.iter().enumerate() {
                if found.iter().any(|(_, found_point)| found_point.instance == instance) {
                    continue;
                }
                let points = match route {
                    Route::Anchor => self.on_lines(instance),
                    Route::Sweep => self.far_away(instance),
                    _ => self.anywhere(instance, &mut runs[instance].seed().child(RANDOM).stream()),
                };
                proposals.extend(points.into_iter().map(|point| Proposal {
                    owner,
                    instance,
                    point,
                }));
            }
            let limits = vec![f64::INFINITY; instances.len()];
            let best = self.cheapest(runs, state, proposals, &limits)?;
            for (&instance, candidate) in instances.iter().zip(best) {
                found
                    .extend(candidate.map(|candidate| (route, FoundPoint { instance, candidate })));
            }
        }
        Ok(found)
    }

    /// Points on the lines to known points of other classes, the closest of these first.
    fn on_lines(&self, index: usize) -> Vec<Array1<f64>> {
        let instance = &self.evaluator.instances[index];
        let mut anchors: Vec<&Array1<f64>> = instance.anchors.iter().collect();
        anchors.sort_by(|a, b| self.cost.of(instance, a).total_cmp(&self.cost.of(instance, b)));
        let mut points = Vec::new();
        for anchor in anchors.into_iter().take(ANCHORS) {
            for j in 1..=FRACTIONS {
                let fraction = f64::from(j) / f64::from(FRACTIONS);
                let mut point = &instance.center + &((anchor - &instance.center) * fraction);
                instance.confine(&mut point);
                points.push(point);
            }
        }
        points
    }

    /// Points that differ from the centre in one coordinate: evenly to a limit that is finite, by powers of two where
    /// there is none.
    fn far_away(&self, index: usize) -> Vec<Array1<f64>> {
        let instance = &self.evaluator.instances[index];
        let mut points = Vec::new();
        for k in 0..instance.center.len() {
            for limit in [instance.lower[k], instance.upper[k]] {
                let way = limit - instance.center[k];
                let length = |step: i32| match way.abs() <= 1e9 {
                    true => way * f64::from(step) / f64::from(STEPS),
                    false => way.signum() * 2.0_f64.powi(step - STEPS / 2),
                };
                let moved = (1..=STEPS).map(length).filter(|change| *change != 0.0);
                points.extend(moved.map(|change| {
                    let mut point = instance.center.clone();
                    point[k] += change;
                    point
                }));
            }
        }
        points
    }

    /// Points in random directions, on each at twelve distances.
    fn anywhere(&self, index: usize, stream: &mut Stream) -> Vec<Array1<f64>> {
        let instance = &self.evaluator.instances[index];
        let mut points = Vec::new();
        for _ in 0..DIRECTIONS {
            let end = Array1::from_shape_fn(instance.center.len(), |k| {
                let bounded = |way: f64| if way.abs() <= 1e9 { way } else { way.signum() };
                let up = bounded(instance.upper[k] - instance.center[k]);
                let down = bounded(instance.lower[k] - instance.center[k]);
                let toss = 2.0 * stream.uniform() - 1.0;
                if 0.0 < toss { toss * up } else { -toss * down }
            });
            let is_open =
                instance.upper.iter().chain(&instance.lower).any(|limit| 1e9 < limit.abs());
            let reach = if is_open { 5 } else { 0 };
            for exponent in reach - STEPS + 1..=reach {
                let mut point = &instance.center + &(&end * 2.0_f64.powi(exponent));
                instance.confine(&mut point);
                points.push(point);
            }
        }
        points
    }
}
