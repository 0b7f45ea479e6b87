//! The polish of found points: the closest point that a linear model of the margin accepts, over and over.

use ndarray::{Array1, Zip};

use crate::evaluate::Query;
use crate::refine::{Cost, FoundPoint, Proposal, Refiner, State};
use xai_core::error::Result;
use xai_core::model::Row;
use xai_core::run::Run;

/// Linearisations of one point at most. Chosen by hand.
const ROUNDS: usize = 10;

/// Linearisations at most that are trusted nearby alone, after those that were not. Chosen by hand.
const CLOSE_ROUNDS: usize = 14;

/// A polish ends with a relative gain below this. Chosen by hand.
const GAIN: f64 = 1e-5;

/// Steps on the way to the closest point of the linear model. Chosen by hand.
const FRACTIONS: u8 = 16;

/// Steps beyond it, where the model bends away. Chosen by hand.
const BEYOND: [f64; 4] = [1.001, 1.01, 1.03, 1.1];

/// Parts of the most that the linear margin can gain nearby, which a point must gain against the bend of the model.
/// Chosen by hand.
const RESERVES: [f64; 4] = [0.0, 0.02, 0.1, 0.3];

/// A radius that led nowhere shrinks by this factor, and one that did grows by its square root. Chosen by hand.
const SHRINKAGE: f64 = 4.0;

/// How often it shrinks at most. Chosen by hand.
const SHRINKAGES: i32 = 4;

/// Points that cost more than this times the cheapest of their instance are not polished any closer. Chosen by hand.
const PROMISING: f64 = 1.05;

/// How a point is being polished.
#[derive(Clone, Copy)]
struct Trust {
    is_open: bool,
    /// The most that a scaled coordinate may move at once; `None` while there is no limit.
    radius: Option<f64>,
    /// The radius below which a polish ends.
    least: f64,
    rounds: usize,
}

impl Trust {
    /// Goes on after a round that gained, or not, and in which the closest point of the linear model was `reach` away.
    fn next(&mut self, has_gained: bool, reach: f64) {
        self.rounds += 1;
        self.radius = match self.radius {
            None if has_gained && self.rounds < ROUNDS => None,
            None => {
                self.least = reach / f64::from(FRACTIONS) / SHRINKAGE.powi(SHRINKAGES);
                self.rounds = 0;
                Some(reach / f64::from(FRACTIONS))
            }
            Some(radius) if has_gained => Some(radius * SHRINKAGE.sqrt()),
            Some(radius) => Some(radius / SHRINKAGE),
        };
        self.is_open = match self.radius {
            None => true,
            Some(radius) => 0.0 < reach && self.least <= radius && self.rounds < CLOSE_ROUNDS,
        };
    }
}

impl Refiner<'_> {
    /// Polishes points in place, all of them in shared calls.
    ///
    /// The linear model is trusted everywhere first, which gets to the corners of the box; where that leads no further,
    /// nearby alone.
    ///
    /// # Cost
    /// For each round of a point a gradient and 20 queries, later 8; 10 and 14 rounds at the most.
    pub(crate) fn polish(
        &self,
        runs: &mut [Run<'_>],
        state: &mut State,
        found: &mut [FoundPoint],
    ) -> Result<()> {
        let fresh = Trust { is_open: true, radius: None, least: 0.0, rounds: 0 };
        let mut trusts = vec![fresh; found.len()];
        loop {
            let mut open: Vec<bool> = trusts.iter().map(|trust| trust.is_open).collect();
            self.close(state, found, &mut open);
            let query = |owner: usize| Query {
                instance: found[owner].instance,
                point: found[owner].candidate.point.clone(),
                gradient: true,
            };
            let owners: Vec<usize> = (0..found.len()).filter(|&owner| open[owner]).collect();
            let queries: Vec<Query> = owners.iter().map(|&owner| query(owner)).collect();
            let kept = self.affordable(runs, state, &queries);
            let both = owners.into_iter().zip(queries).zip(kept);
            let (owners, queries): (Vec<usize>, Vec<Query>) =
                both.filter(|(_, kept)| *kept).map(|(both, _)| both).unzip();
            if owners.is_empty() {
                return Ok(());
            }
            let hinge = |index: usize| &self.evaluator.instances[queries[index].instance].hinge;
            let evaluations = self.evaluator.evaluate(runs, &queries, &|index, outputs| {
                Some(hinge(index).log_margin(outputs).cotangent)
            })?;
            let mut proposals = Vec::new();
            let mut limits = vec![f64::NEG_INFINITY; found.len()];
            let mut reaches = vec![0.0; found.len()];
            for (index, (&owner, evaluation)) in owners.iter().zip(&evaluations).enumerate() {
                let value = hinge(index).log_margin(&evaluation.outputs).value;
                let Some(gradient) = &evaluation.gradient else { continue };
                limits[owner] = found[owner].candidate.distance;
                let (points, reach) =
                    self.along(&found[owner], gradient, value, trusts[owner].radius);
                reaches[owner] = reach;
                let instance = found[owner].instance;
                proposals.extend(points.into_iter().map(|point| Proposal {
                    owner,
                    instance,
                    point,
                }));
            }
            let better = self.cheapest(runs, state, proposals, &limits)?;
            for &owner in &owners {
                let before = found[owner].candidate.distance;
                if let Some(better) = &better[owner] {
                    found[owner].candidate = better.clone();
                }
                let has_gained = found[owner].candidate.distance < before * (1.0 - GAIN);
                trusts[owner].next(has_gained, reaches[owner]);
            }
            for owner in 0..found.len() {
                let found_point = &found[owner];
                let rivals = found.iter().filter(|other| other.instance == found_point.instance);
                let least =
                    rivals.fold(f64::INFINITY, |least, other| other.candidate.distance.min(least));
                let is_promising = found_point.candidate.distance <= PROMISING * least;
                let is_led =
                    trusts[owner].radius.is_some_and(|radius| self.is_led(found, owner, radius));
                trusts[owner].is_open &=
                    trusts[owner].radius.is_none() || (is_promising && !is_led);
            }
        }
    }

    /// Whether a cheaper point of the same instance lies within the radius of a point, so that both would be polished to
    /// the same.
    fn is_led(&self, found: &[FoundPoint], owner: usize, radius: f64) -> bool {
        let found_point = &found[owner];
        let instance = &self.evaluator.instances[found_point.instance];
        let is_near = |other: &FoundPoint| {
            let pairs = found_point.candidate.point.iter().zip(&other.candidate.point);
            pairs.zip(&instance.scale).all(|((a, b), scale)| (scale * (a - b)).abs() <= radius)
        };
        found.iter().enumerate().any(|(place, other)| {
            let order = other.candidate.distance.total_cmp(&found_point.candidate.distance);
            let is_cheaper = order.then(place.cmp(&owner)).is_lt();
            other.instance == found_point.instance && is_cheaper && is_near(other)
        })
    }

    /// The points that a linear model of the margin proposes, and how far its closest point is.
    fn along(
        &self,
        found_point: &FoundPoint,
        gradient: &Row,
        margin: f64,
        radius: Option<f64>,
    ) -> (Vec<Array1<f64>>, f64) {
        let instance = &self.evaluator.instances[found_point.instance];
        let point = &found_point.candidate.point;
        let mut points = Vec::new();
        let mut reach = 0.0_f64;
        let mut measure = |closest: &Array1<f64>| {
            for ((to, from), scale) in closest.iter().zip(point).zip(&instance.scale) {
                reach = reach.max((scale * (to - from)).abs());
            }
        };
        if let Some(radius) = radius {
            let most = |k: usize| gradient[k].abs() * radius / instance.scale[k].max(1e-300);
            let most: f64 = (0..gradient.len())
                .filter(|&k| instance.lower[k] < instance.upper[k])
                .map(most)
                .sum();
            for reserve in RESERVES {
                let margin = margin - reserve * most;
                let closest =
                    self.closest(found_point.instance, point, gradient, margin, Some(radius));
                let Some(closest) = closest else { continue };
                measure(&closest);
                points.push((point + &closest) * 0.5);
                points.push(closest);
            }
        } else if let Some(closest) =
            self.closest(found_point.instance, point, gradient, margin, None)
        {
            measure(&closest);
            points.extend((1..=FRACTIONS).map(|j| {
                let fraction = f64::from(j) / f64::from(FRACTIONS);
                point + &((&closest - point) * fraction)
            }));
            points.extend(BEYOND.iter().map(|&factor| {
                let change = (&closest - &instance.center) * factor;
                let mut far = &instance.center + &change;
                self.keep_discrete(point, &mut far);
                far
            }));
        }
        points.iter_mut().for_each(|point| instance.confine(point));
        (points, reach)
    }

    /// Discrete coordinates are not moved by a polish.
    fn keep_discrete(&self, from: &Row, to: &mut Row) {
        for (coordinate, value) in to.iter_mut().enumerate() {
            if self.evaluator.problem.is_discrete(coordinate) {
                *value = from[coordinate];
            }
        }
    }

    /// The cheapest point of the box, and within `radius`, at which the margin, taken as linear around `point`, is not
    /// below 0. `None` where there is none.
    fn closest(
        &self,
        index: usize,
        point: &Row,
        gradient: &Row,
        margin: f64,
        radius: Option<f64>,
    ) -> Option<Array1<f64>> {
        let instance = &self.evaluator.instances[index];
        let piece = |k: usize| self.evaluator.problem.piece(index, instance, point, k);
        let is_free = |k: usize| piece(k).0 < piece(k).1 && !self.evaluator.problem.is_discrete(k);
        let free: Vec<usize> = (0..point.len()).filter(|&k| is_free(k)).collect();
        // g.(v - b) + h >= 0 for the free part of v alone, written for the change from the centre.
        let needed = free.iter().map(|&k| gradient[k] * (point[k] - instance.center[k]));
        let needed = needed.sum::<f64>() - margin;
        let scale = |k: usize| instance.scale[k].max(f64::MIN_POSITIVE);
        let far = |k: usize| radius.map_or(f64::INFINITY, |radius| radius / scale(k));
        let part = Linear {
            gradient: free.iter().map(|&k| gradient[k]).collect(),
            scale: free.iter().map(|&k| scale(k)).collect(),
            lower: free
                .iter()
                .map(|&k| piece(k).0.max(point[k] - far(k)) - instance.center[k])
                .collect(),
            upper: free
                .iter()
                .map(|&k| piece(k).1.min(point[k] + far(k)) - instance.center[k])
                .collect(),
        };
        let change = part.solve(needed, self.cost)?;
        let mut closest = point.to_owned();
        for (&k, change) in free.iter().zip(&change) {
            closest[k] = instance.center[k] + change;
        }
        Some(closest)
    }
}

/// `min sum_i squares (s_i d_i)^2 + absolute s_i |d_i|` subject to `g.d >= needed` and `lower <= d <= upper`.
struct Linear {
    gradient: Array1<f64>,
    scale: Array1<f64>,
    lower: Array1<f64>,
    upper: Array1<f64>,
}

impl Linear {
    fn solve(&self, needed: f64, cost: Cost) -> Option<Array1<f64>> {
        if self.gained(&self.at_ends()) < needed {
            return None;
        }
        if cost.squares == 0.0 { Some(self.filled(needed)) } else { self.bisected(needed, cost) }
    }

    /// The change that gains most; limits that are infinite count as far away.
    fn at_ends(&self) -> Array1<f64> {
        let far = |limit: f64| limit.clamp(-1e100, 1e100);
        Zip::from(&self.gradient).and(&self.lower).and(&self.upper).map_collect(
            |&g, &low, &high| {
                if 0.0 < g {
                    far(high)
                } else if g < 0.0 {
                    far(low)
                } else {
                    0.0
                }
            },
        )
    }

    fn gained(&self, change: &Row) -> f64 {
        self.gradient.iter().zip(change).map(|(g, d)| g * d).sum()
    }

    /// The multiplier of the constraint by bisection: every change grows with it.
    fn bisected(&self, needed: f64, cost: Cost) -> Option<Array1<f64>> {
        let at = |multiplier: f64, k: usize| {
            let (g, s) = (self.gradient[k], self.scale[k]);
            let size =
                (multiplier * g.abs() - cost.absolute * s).max(0.0) / (2.0 * cost.squares * s * s);
            (g.signum() * size).max(self.lower[k]).min(self.upper[k])
        };
        let n_coordinates = self.gradient.len();
        let gained = |multiplier: f64| -> f64 {
            (0..n_coordinates).map(|k| self.gradient[k] * at(multiplier, k)).sum()
        };
        let (mut low, mut high) = (0.0, 1.0);
        while gained(high) < needed {
            (low, high) = (high, 2.0 * high);
            if !high.is_finite() {
                return None;
            }
        }
        for _ in 0..200 {
            let middle = f64::midpoint(low, high);
            if middle <= low || high <= middle {
                break;
            }
            (low, high) = if gained(middle) < needed { (middle, high) } else { (low, middle) };
        }
        Some(Array1::from_shape_fn(n_coordinates, |k| at(high, k)))
    }

    /// The coordinates that gain most for their cost, one after the other, each to its limit.
    fn filled(&self, mut needed: f64) -> Array1<f64> {
        let mut change = Array1::zeros(self.gradient.len());
        let ends = self.at_ends();
        for k in 0..change.len() {
            change[k] = 0.0_f64.max(self.lower[k]).min(self.upper[k]);
            needed -= self.gradient[k] * change[k];
        }
        let mut order: Vec<usize> = (0..change.len()).collect();
        let worth = |k: usize| self.gradient[k].abs() / self.scale[k];
        order.sort_by(|&a, &b| worth(b).total_cmp(&worth(a)));
        for k in order {
            if needed <= 0.0 || self.gradient[k] == 0.0 {
                break;
            }
            let most = self.gradient[k] * (ends[k] - change[k]);
            if most <= needed {
                (needed, change[k]) = (needed - most, ends[k]);
            } else {
                change[k] += needed / self.gradient[k];
                needed = 0.0;
            }
        }
        change
    }
}
