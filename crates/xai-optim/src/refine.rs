//! What is done with points that were found: polish, taking back, discrete moves, and the last check.

use ndarray::Array1;

use xai_core::Stop;
use xai_core::error::Result;
use xai_core::model::Row;
use xai_core::run::Run;

use crate::evaluate::{Evaluator, Query};
use crate::fista::admitted;
use crate::outcome::{Candidate, Progress};
use crate::problem::Instance;

/// What a change costs: `squares * sum (s_i d_i)^2 + absolute * sum s_i |d_i|`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// The weight of the squares, at least 0.
    pub squares: f64,
    /// The weight of the absolute values, at least 0.
    pub absolute: f64,
}

impl Cost {
    /// The elastic net, `||d||^2 + beta ||d||_1`.
    #[must_use]
    pub fn elastic_net(beta: f64) -> Self {
        Cost { squares: 1.0, absolute: beta }
    }

    /// The sum of absolute changes.
    pub const ABSOLUTE: Cost = Cost { squares: 0.0, absolute: 1.0 };

    /// The cost of the way from the centre to a point.
    #[must_use]
    pub fn of(self, instance: &Instance, point: &Row) -> f64 {
        let parts = instance.parts(point);
        self.squares * parts.squares + self.absolute * parts.absolute
    }
}

/// Improves points that were found, with the model at hand.
#[derive(Clone, Copy)]
pub(crate) struct Refiner<'a> {
    pub(crate) evaluator: Evaluator<'a>,
    pub(crate) cost: Cost,
}

/// A found point and its instance.
#[derive(Clone, Debug)]
pub(crate) struct FoundPoint {
    pub(crate) instance: usize,
    pub(crate) candidate: Candidate,
}

/// A point that is asked about on behalf of an owner.
pub(crate) struct Proposal {
    pub(crate) owner: usize,
    pub(crate) instance: usize,
    pub(crate) point: Array1<f64>,
}

/// What is known of the instances.
pub(crate) type State = [Progress];

/// Passes over single moves at most. Chosen by hand.
const PASSES: usize = 32;

/// With more groups than this only prefixes of the changes are reverted, not each by itself. Chosen by hand.
const SINGLES: usize = 64;

impl Refiner<'_> {
    /// Whether each query can be paid for, in their order; instances whose budget is used up are stopped.
    pub(crate) fn affordable(
        &self,
        runs: &[Run<'_>],
        state: &mut State,
        queries: &[Query],
    ) -> Vec<bool> {
        let mut costs = vec![0; runs.len()];
        for query in queries {
            costs[query.instance] += self.evaluator.cost(query);
        }
        for (index, &cost) in costs.iter().enumerate() {
            if 0 < cost && !Evaluator::can_afford(&runs[index], cost) {
                state[index].stop.get_or_insert(Stop::Budget);
            }
        }
        queries.iter().map(|query| state[query.instance].stop.is_none()).collect()
    }

    /// The queries that can be paid for; instances whose budget is used up are stopped.
    pub(crate) fn affordable_queries(
        &self,
        runs: &[Run<'_>],
        state: &mut State,
        queries: Vec<Query>,
    ) -> Vec<Query> {
        let kept = self.affordable(runs, state, &queries);
        queries.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(query, _)| query).collect()
    }

    /// A point with its distance.
    pub(crate) fn candidate(&self, instance: usize, point: &Row, outputs: &Row) -> Candidate {
        let distance = self.cost.of(&self.evaluator.instances[instance], point);
        Candidate { point: point.to_owned(), outputs: outputs.to_owned(), distance }
    }

    /// Closes the owners whose instance was stopped.
    pub(crate) fn close(&self, state: &State, found: &[FoundPoint], open: &mut [bool]) {
        for (open, found_point) in open.iter_mut().zip(found) {
            *open &= state[found_point.instance].stop.is_none();
        }
    }

    /// Outputs at the points of proposals whose instance can pay for them: the proposals that were asked, with the
    /// evaluations.
    pub(crate) fn asked(
        &self,
        runs: &mut [Run<'_>],
        state: &mut State,
        proposals: Vec<Proposal>,
    ) -> Result<Vec<(Proposal, Array1<f64>)>> {
        let query = |proposal: &Proposal| Query {
            instance: proposal.instance,
            point: proposal.point.clone(),
            gradient: false,
        };
        let queries: Vec<Query> = proposals.iter().map(query).collect();
        let kept = self.affordable(runs, state, &queries);
        let both = proposals.into_iter().zip(queries).zip(kept);
        let (proposals, queries): (Vec<_>, Vec<_>) =
            both.filter(|(_, kept)| *kept).map(|(both, _)| both).unzip();
        let evaluations = self.evaluator.evaluate(runs, &queries, &|_, _| None)?;
        Ok(proposals
            .into_iter()
            .zip(evaluations)
            .map(|(proposal, evaluation)| (proposal, evaluation.outputs))
            .collect())
    }

    /// For each owner the cheapest accepted proposal that costs less than its limit; `limits` has one for each owner.
    pub(crate) fn cheapest(
        &self,
        runs: &mut [Run<'_>],
        state: &mut State,
        proposals: Vec<Proposal>,
        limits: &[f64],
    ) -> Result<Vec<Option<Candidate>>> {
        let mut proposals = proposals;
        for proposal in &mut proposals {
            self.evaluator.problem.snap(proposal.instance, &mut proposal.point);
        }
        proposals.retain(|proposal| {
            self.cost.of(&self.evaluator.instances[proposal.instance], &proposal.point)
                < limits[proposal.owner]
        });
        let mut accepted: Vec<(usize, usize, Candidate)> = Vec::new();
        for (proposal, outputs) in self.asked(runs, state, proposals)? {
            let instance = &self.evaluator.instances[proposal.instance];
            let distance = self.cost.of(instance, &proposal.point);
            let candidate = Candidate { point: proposal.point, outputs, distance };
            if instance.hinge.accepts(&candidate.outputs) {
                accepted.push((proposal.owner, proposal.instance, candidate));
            } else {
                let hinge = instance.hinge.value(&candidate.outputs);
                state[proposal.instance].record_miss(hinge, || candidate);
            }
        }
        accepted.sort_by(|(_, _, a), (_, _, b)| a.distance.total_cmp(&b.distance));
        let mut best: Vec<Option<Candidate>> = vec![None; limits.len()];
        while !accepted.is_empty() {
            // The cheapest of every owner is put to the problem; where it is refused, the next one.
            let mut seen = vec![false; limits.len()];
            let (firsts, rest): (Vec<_>, Vec<_>) = accepted
                .into_iter()
                .partition(|(owner, ..)| !std::mem::replace(&mut seen[*owner], true));
            let mut firsts = firsts;
            firsts.sort_by_key(|(owner, ..)| *owner);
            let instances: Vec<usize> = firsts.iter().map(|(_, instance, _)| *instance).collect();
            let candidates = firsts.iter().map(|(.., candidate)| candidate);
            let admitted = admitted(&self.evaluator, runs, &instances, candidates)?;
            for ((owner, instance, candidate), admitted) in firsts.into_iter().zip(admitted) {
                if admitted {
                    best[owner] = Some(candidate);
                } else {
                    state[instance].n_rejected += 1;
                }
            }
            accepted = rest;
            accepted.retain(|(owner, ..)| best[*owner].is_none());
        }
        Ok(best)
    }

    /// The groups of coordinates in which a point differs from the centre, with the size of the change, the smallest
    /// first.
    #[allow(clippy::float_cmp, reason = "a coordinate is kept when it is the same number")]
    pub(crate) fn changes(&self, found_point: &FoundPoint) -> Vec<(usize, f64)> {
        let instance = &self.evaluator.instances[found_point.instance];
        let mut sizes: Vec<(usize, f64)> = Vec::new();
        for (k, (value, center)) in
            found_point.candidate.point.iter().zip(&instance.center).enumerate()
        {
            if value == center {
                continue;
            }
            let (group, size) =
                (self.evaluator.problem.group(k), instance.scale[k] * (value - center).abs());
            match sizes.iter_mut().find(|(other, _)| *other == group) {
                Some((_, sum)) => *sum += size,
                None => sizes.push((group, size)),
            }
        }
        sizes.sort_by(|a, b| a.1.total_cmp(&b.1));
        sizes
    }

    /// A point with some groups put back to the centre.
    fn reverted(&self, found_point: &FoundPoint, groups: &[(usize, f64)]) -> Proposal {
        let instance = &self.evaluator.instances[found_point.instance];
        let mut point = found_point.candidate.point.clone();
        for (k, value) in point.iter_mut().enumerate() {
            if groups.iter().any(|(group, _)| *group == self.evaluator.problem.group(k)) {
                *value = instance.center[k];
            }
        }
        instance.confine(&mut point);
        Proposal { owner: 0, instance: found_point.instance, point }
    }

    /// Takes back as many of the smallest changes as possible, all numbers of them in one round.
    ///
    /// # Cost
    /// One query for each changed group.
    pub(crate) fn sparsify(
        &self,
        runs: &mut [Run<'_>],
        state: &mut State,
        found: &mut [FoundPoint],
    ) -> Result<()> {
        let mut proposals = Vec::new();
        for (owner, found_point) in found.iter().enumerate() {
            let changes = self.changes(found_point);
            for end in 1..changes.len() {
                proposals.push(Proposal { owner, ..self.reverted(found_point, &changes[..end]) });
            }
        }
        self.improve(runs, state, found, proposals).map(drop)
    }

    /// Moves single discrete features, and takes back single changes, as long as that gains.
    ///
    /// # Cost
    /// For each pass one query for each neighbour and each changed group.
    pub(crate) fn descend(
        &self,
        runs: &mut [Run<'_>],
        state: &mut State,
        found: &mut [FoundPoint],
    ) -> Result<()> {
        let mut open = vec![true; found.len()];
        for _ in 0..PASSES {
            self.close(state, found, &mut open);
            let mut proposals = Vec::new();
            for (owner, found_point) in found.iter().enumerate().filter(|(owner, _)| open[*owner]) {
                let neighbors = self
                    .evaluator
                    .problem
                    .neighbors(found_point.instance, &found_point.candidate.point);
                let moved = neighbors.into_iter().map(|point| Proposal {
                    owner,
                    instance: found_point.instance,
                    point,
                });
                proposals.extend(moved);
                let changes = self.changes(found_point);
                if (2..=SINGLES).contains(&changes.len()) {
                    let back = changes.iter().map(|change| self.reverted(found_point, &[*change]));
                    proposals.extend(back.map(|back| Proposal { owner, ..back }));
                }
            }
            if proposals.is_empty() {
                break;
            }
            open = self.improve(runs, state, found, proposals)?;
        }
        Ok(())
    }

    /// Puts the cheapest accepted proposal of each owner in its place; says which owners gained.
    pub(crate) fn improve(
        &self,
        runs: &mut [Run<'_>],
        state: &mut State,
        found: &mut [FoundPoint],
        proposals: Vec<Proposal>,
    ) -> Result<Vec<bool>> {
        let limits: Vec<f64> =
            found.iter().map(|found_point| found_point.candidate.distance).collect();
        let better = self.cheapest(runs, state, proposals, &limits)?;
        let gained = better.iter().map(Option::is_some).collect();
        for (found_point, better) in found.iter_mut().zip(better) {
            if let Some(better) = better {
                found_point.candidate = better;
            }
        }
        Ok(gained)
    }

    /// Moves points back along their way from the centre, to the first accepted of the places that are tried: the way is
    /// cut three times into sixteen parts, each time the part before the place.
    ///
    /// # Cost
    /// 15 queries three times.
    pub(crate) fn shorten(
        &self,
        runs: &mut [Run<'_>],
        state: &mut State,
        found: &mut [FoundPoint],
    ) -> Result<()> {
        let ends: Vec<Array1<f64>> =
            found.iter().map(|found_point| found_point.candidate.point.clone()).collect();
        let mut parts = vec![(0.0, 1.0); found.len()];
        for _ in 0..3 {
            let mut proposals = Vec::new();
            let place = |owner: usize, fraction: f64, parts: &[(f64, f64)]| {
                let (low, high): (f64, f64) = parts[owner];
                low + fraction * (high - low)
            };
            for (owner, found_point) in found.iter().enumerate() {
                let center = &self.evaluator.instances[found_point.instance].center;
                proposals.extend((1..FRACTIONS).map(|j| {
                    let at = place(owner, f64::from(j) / f64::from(FRACTIONS), &parts);
                    let point = center + &((&ends[owner] - center) * at);
                    Proposal { owner, instance: found_point.instance, point }
                }));
            }
            let before: Vec<f64> =
                found.iter().map(|found_point| found_point.candidate.distance).collect();
            self.improve(runs, state, found, proposals)?;
            for (owner, found_point) in found.iter().enumerate() {
                let center = &self.evaluator.instances[found_point.instance].center;
                let (low, high) = parts[owner];
                let width = (high - low) / f64::from(FRACTIONS);
                let way = |point: &Array1<f64>| (point - center).mapv(f64::abs).sum();
                let whole = way(&ends[owner]);
                let at = if found_point.candidate.distance < before[owner] && 0.0 < whole {
                    (way(&found_point.candidate.point) / whole).clamp(low, high)
                } else {
                    high
                };
                parts[owner] = ((at - width).max(low), at);
            }
        }
        Ok(())
    }

    /// Moves points towards the centre where there are no gradients: along the whole way, then coordinate by
    /// coordinate.
    ///
    /// # Cost
    /// 15 queries twice, then for each pass 15 for each changed coordinate.
    pub(crate) fn tighten(
        &self,
        runs: &mut [Run<'_>],
        state: &mut State,
        found: &mut [FoundPoint],
    ) -> Result<()> {
        let fractions = || (1..FRACTIONS).map(|j| f64::from(j) / f64::from(FRACTIONS));
        for _ in 0..2 {
            let mut proposals = Vec::new();
            for (owner, found_point) in found.iter().enumerate() {
                let instance = &self.evaluator.instances[found_point.instance];
                proposals.extend(fractions().map(|fraction| {
                    let way = &found_point.candidate.point - &instance.center;
                    let point = &instance.center + &(way * fraction);
                    Proposal { owner, instance: found_point.instance, point }
                }));
            }
            self.improve(runs, state, found, proposals)?;
        }
        let mut open = vec![true; found.len()];
        for _ in 0..PASSES {
            self.close(state, found, &mut open);
            let mut proposals = Vec::new();
            for (owner, found_point) in found.iter().enumerate().filter(|(owner, _)| open[*owner]) {
                let center = &self.evaluator.instances[found_point.instance].center;
                for k in 0..center.len() {
                    let way = found_point.candidate.point[k] - center[k];
                    if way == 0.0 || self.evaluator.problem.is_discrete(k) {
                        continue;
                    }
                    proposals.extend(std::iter::once(0.0).chain(fractions()).map(|fraction| {
                        let mut point = found_point.candidate.point.clone();
                        point[k] = center[k] + fraction * way;
                        Proposal { owner, instance: found_point.instance, point }
                    }));
                }
            }
            if proposals.is_empty() {
                break;
            }
            open = self.improve(runs, state, found, proposals)?;
        }
        Ok(())
    }
}

/// Parts of a path that are tried. Chosen by hand.
const FRACTIONS: u8 = 16;
