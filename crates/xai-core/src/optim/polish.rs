//! The polish of found points: the closest point that a linear model of the margin accepts, over and over.

use ndarray::{Array1, Zip};

use super::ask::Question;
use super::refine::{Cost, Owned, Proposal, Refiner, State};
use crate::error::Result;
use crate::model::Row;
use crate::run::Run;

/// Linearisations of one point at most.
const ROUNDS: usize = 10;

/// A polish ends with a relative gain below this.
const GAIN: f64 = 1e-5;

/// Steps on the way to the closest point of the linear model.
const FRACTIONS: u8 = 16;

/// Steps beyond it, where the model bends away.
const BEYOND: [f64; 4] = [1.001, 1.01, 1.03, 1.1];

impl Refiner<'_> {
    /// Polishes points in place, all of them in shared calls.
    ///
    /// # Cost
    /// For each round of a point a gradient and 20 queries; 3 to 6 rounds are usual, 10 the most.
    pub(crate) fn polish(
        &self,
        runs: &mut [Run<'_>],
        state: &mut State,
        found: &mut [Owned],
    ) -> Result<()> {
        let mut open = vec![true; found.len()];
        for _ in 0..ROUNDS {
            self.close(state, found, &mut open);
            let mut owners = Vec::new();
            let mut questions = Vec::new();
            for (owner, own) in found.iter().enumerate().filter(|(owner, _)| open[*owner]) {
                owners.push(owner);
                let point = own.candidate.point.clone();
                questions.push(Question { instance: own.instance, point, gradient: true });
            }
            let kept = self.affordable(runs, state, &questions);
            let mut kept = kept.iter();
            owners.retain(|_| *kept.next().unwrap_or(&false));
            if owners.is_empty() {
                return Ok(());
            }
            let questions: Vec<Question> = owners
                .iter()
                .map(|&owner| Question {
                    instance: found[owner].instance,
                    point: found[owner].candidate.point.clone(),
                    gradient: true,
                })
                .collect();
            let hinge = |index: usize| &self.asker.instances[questions[index].instance].hinge;
            let answers = self.asker.ask(runs, &questions, &|index, outputs| {
                Some(hinge(index).log_margin(outputs).cotangent)
            })?;
            let mut proposals = Vec::new();
            let mut limits = vec![f64::NEG_INFINITY; found.len()];
            for (index, (&owner, answer)) in owners.iter().zip(&answers).enumerate() {
                open[owner] = false;
                let instance = &self.asker.instances[found[owner].instance];
                let point = &found[owner].candidate.point;
                let value = hinge(index).log_margin(&answer.outputs).value;
                let Some(gradient) = &answer.gradient else { continue };
                let own = found[owner].instance;
                let Some(closest) = self.closest(own, point, gradient, value) else {
                    continue;
                };
                limits[owner] = found[owner].candidate.distance;
                let along = (1..=FRACTIONS).map(|j| {
                    let fraction = f64::from(j) / f64::from(FRACTIONS);
                    point + &((&closest - point) * fraction)
                });
                let beyond = BEYOND.iter().map(|&factor| {
                    let change = (&closest - &instance.center) * factor;
                    let mut far = &instance.center + &change;
                    self.keep_discrete(point, &mut far);
                    far
                });
                for mut proposed in along.chain(beyond) {
                    instance.confine(&mut proposed);
                    proposals.push(Proposal {
                        owner,
                        instance: found[owner].instance,
                        point: proposed,
                    });
                }
            }
            let better = self.cheapest(runs, state, proposals, &limits)?;
            for (owner, better) in better.into_iter().enumerate() {
                let Some(better) = better else { continue };
                open[owner] = better.distance < found[owner].candidate.distance * (1.0 - GAIN);
                found[owner].candidate = better;
            }
        }
        Ok(())
    }

    /// Discrete coordinates are not moved by a polish.
    fn keep_discrete(&self, from: &Row, to: &mut Row) {
        for (coordinate, value) in to.iter_mut().enumerate() {
            if self.asker.problem.is_discrete(coordinate) {
                *value = from[coordinate];
            }
        }
    }

    /// The cheapest point of the box at which the margin, taken as linear around `point`, is not below 0. `None` where
    /// there is none.
    fn closest(
        &self,
        index: usize,
        point: &Row,
        gradient: &Row,
        margin: f64,
    ) -> Option<Array1<f64>> {
        let instance = &self.asker.instances[index];
        let piece = |k: usize| self.asker.problem.piece(index, instance, point, k);
        let is_free = |k: usize| piece(k).0 < piece(k).1 && !self.asker.problem.is_discrete(k);
        let free: Vec<usize> = (0..point.len()).filter(|&k| is_free(k)).collect();
        // g.(v - b) + h >= 0 for the free part of v alone, written for the change from the centre.
        let needed = free.iter().map(|&k| gradient[k] * (point[k] - instance.center[k]));
        let needed = needed.sum::<f64>() - margin;
        let part = Linear {
            gradient: free.iter().map(|&k| gradient[k]).collect(),
            scale: free.iter().map(|&k| instance.scale[k].max(f64::MIN_POSITIVE)).collect(),
            lower: free.iter().map(|&k| piece(k).0 - instance.center[k]).collect(),
            upper: free.iter().map(|&k| piece(k).1 - instance.center[k]).collect(),
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
        let at = |multiplier: f64| {
            let mut change = Array1::zeros(self.gradient.len());
            for k in 0..change.len() {
                let (g, s) = (self.gradient[k], self.scale[k]);
                let size = (multiplier * g.abs() - cost.absolute * s).max(0.0)
                    / (2.0 * cost.squares * s * s);
                change[k] = (g.signum() * size).max(self.lower[k]).min(self.upper[k]);
            }
            change
        };
        let gained = |multiplier: f64| self.gained(&at(multiplier));
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
        Some(at(high))
    }

    /// The coordinates that gain most for their price, one after the other, each to its limit.
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
