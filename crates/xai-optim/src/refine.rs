//! What is done with points that were found: polish, taking back, discrete moves, and the last check.

use ndarray::Array1;

use super::ask::{Evaluator, Question};
use super::lanes::admitted;
use super::search::{Candidate, Progress};
use xai_core::error::Result;
use xai_core::explanation::Stop;
use xai_core::run::Run;

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
    pub fn of(self, instance: &super::Instance, point: &xai_core::Row) -> f64 {
        let (squares, absolute) = instance.parts(point);
        self.squares * squares + self.absolute * absolute
    }
}

/// Improves points that were found, with the model at hand.
#[derive(Clone, Copy)]
pub(crate) struct Refiner<'a> {
    pub(crate) asker: Evaluator<'a>,
    pub(crate) cost: Cost,
}

/// A found point and its instance.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
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

/// Passes over single moves at most.
const PASSES: usize = 32;

/// With more groups than this only prefixes of the changes are taken back, not each by itself.
const SINGLES: usize = 64;

impl Refiner<'_> {
    /// Whether each question can be paid for, in their order; instances whose budget is used up are stopped.
    pub(crate) fn affordable(
        &self,
        runs: &[Run<'_>],
        state: &mut State,
        questions: &[Question],
    ) -> Vec<bool> {
        let mut prices = vec![0; runs.len()];
        for question in questions {
            prices[question.instance] += self.asker.price(question);
        }
        for (index, &price) in prices.iter().enumerate() {
            if 0 < price && !Evaluator::affords(&runs[index], price) {
                state[index].stop.get_or_insert(Stop::Budget);
            }
        }
        questions.iter().map(|question| state[question.instance].stop.is_none()).collect()
    }

    /// Closes the owners whose instance was stopped.
    pub(crate) fn close(&self, state: &State, found: &[Owned], open: &mut [bool]) {
        for (open, own) in open.iter_mut().zip(found) {
            *open &= state[own.instance].stop.is_none();
        }
    }

    /// Outputs at the points of proposals whose instance can pay for them: the proposals that were asked, with the
    /// answers.
    pub(crate) fn asked(
        &self,
        runs: &mut [Run<'_>],
        state: &mut State,
        proposals: Vec<Proposal>,
    ) -> Result<Vec<(Proposal, Array1<f64>)>> {
        let question = |own: &Proposal| Question {
            instance: own.instance,
            point: own.point.clone(),
            gradient: false,
        };
        let questions: Vec<Question> = proposals.iter().map(question).collect();
        let kept = self.affordable(runs, state, &questions);
        let both = proposals.into_iter().zip(questions).zip(kept);
        let (proposals, questions): (Vec<_>, Vec<_>) =
            both.filter(|(_, kept)| *kept).map(|(both, _)| both).unzip();
        let answers = self.asker.ask(runs, &questions, &|_, _| None)?;
        Ok(proposals.into_iter().zip(answers).map(|(own, answer)| (own, answer.outputs)).collect())
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
        for own in &mut proposals {
            self.asker.problem.snap(own.instance, &mut own.point);
        }
        proposals.retain(|own| {
            self.cost.of(&self.asker.instances[own.instance], &own.point) < limits[own.owner]
        });
        let mut accepted: Vec<(usize, usize, Candidate)> = Vec::new();
        for (own, outputs) in self.asked(runs, state, proposals)? {
            let instance = &self.asker.instances[own.instance];
            let distance = self.cost.of(instance, &own.point);
            let candidate = Candidate { point: own.point, outputs, distance };
            if instance.hinge.accepts(&candidate.outputs) {
                accepted.push((own.owner, own.instance, candidate));
            } else {
                let hinge = instance.hinge.value(&candidate.outputs);
                state[own.instance].miss(hinge, || candidate);
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
            let admitted = admitted(&self.asker, runs, &instances, candidates)?;
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
    pub(crate) fn changes(&self, own: &Owned) -> Vec<(usize, f64)> {
        let instance = &self.asker.instances[own.instance];
        let mut sizes: Vec<(usize, f64)> = Vec::new();
        for (k, (value, center)) in own.candidate.point.iter().zip(&instance.center).enumerate() {
            if value == center {
                continue;
            }
            let (group, size) =
                (self.asker.problem.group(k), instance.scale[k] * (value - center).abs());
            match sizes.iter_mut().find(|(other, _)| *other == group) {
                Some((_, sum)) => *sum += size,
                None => sizes.push((group, size)),
            }
        }
        sizes.sort_by(|a, b| a.1.total_cmp(&b.1));
        sizes
    }

    /// A point with some groups put back to the centre.
    fn reverted(&self, own: &Owned, groups: &[(usize, f64)]) -> Proposal {
        let instance = &self.asker.instances[own.instance];
        let mut point = own.candidate.point.clone();
        for (k, value) in point.iter_mut().enumerate() {
            if groups.iter().any(|(group, _)| *group == self.asker.problem.group(k)) {
                *value = instance.center[k];
            }
        }
        instance.confine(&mut point);
        Proposal { owner: 0, instance: own.instance, point }
    }

    /// Takes back as many of the smallest changes as possible, all numbers of them in one round.
    ///
    /// # Cost
    /// One query for each changed group.
    pub(crate) fn sparsify(
        &self,
        runs: &mut [Run<'_>],
        state: &mut State,
        found: &mut [Owned],
    ) -> Result<()> {
        let mut proposals = Vec::new();
        for (owner, own) in found.iter().enumerate() {
            let changes = self.changes(own);
            for end in 1..changes.len() {
                proposals.push(Proposal { owner, ..self.reverted(own, &changes[..end]) });
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
        found: &mut [Owned],
    ) -> Result<()> {
        let mut open = vec![true; found.len()];
        for _ in 0..PASSES {
            self.close(state, found, &mut open);
            let mut proposals = Vec::new();
            for (owner, own) in found.iter().enumerate().filter(|(owner, _)| open[*owner]) {
                let neighbors = self.asker.problem.neighbors(own.instance, &own.candidate.point);
                let moved = neighbors.into_iter().map(|point| Proposal {
                    owner,
                    instance: own.instance,
                    point,
                });
                proposals.extend(moved);
                let changes = self.changes(own);
                if (2..=SINGLES).contains(&changes.len()) {
                    let back = changes.iter().map(|change| self.reverted(own, &[*change]));
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
        found: &mut [Owned],
        proposals: Vec<Proposal>,
    ) -> Result<Vec<bool>> {
        let limits: Vec<f64> = found.iter().map(|own| own.candidate.distance).collect();
        let better = self.cheapest(runs, state, proposals, &limits)?;
        let gained = better.iter().map(Option::is_some).collect();
        for (own, better) in found.iter_mut().zip(better) {
            if let Some(better) = better {
                own.candidate = better;
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
        found: &mut [Owned],
    ) -> Result<()> {
        let ends: Vec<Array1<f64>> = found.iter().map(|own| own.candidate.point.clone()).collect();
        let mut parts = vec![(0.0, 1.0); found.len()];
        for _ in 0..3 {
            let mut proposals = Vec::new();
            let place = |owner: usize, fraction: f64, parts: &[(f64, f64)]| {
                let (low, high): (f64, f64) = parts[owner];
                low + fraction * (high - low)
            };
            for (owner, own) in found.iter().enumerate() {
                let center = &self.asker.instances[own.instance].center;
                proposals.extend((1..FRACTIONS).map(|j| {
                    let at = place(owner, f64::from(j) / f64::from(FRACTIONS), &parts);
                    let point = center + &((&ends[owner] - center) * at);
                    Proposal { owner, instance: own.instance, point }
                }));
            }
            let before: Vec<f64> = found.iter().map(|own| own.candidate.distance).collect();
            self.improve(runs, state, found, proposals)?;
            for (owner, own) in found.iter().enumerate() {
                let center = &self.asker.instances[own.instance].center;
                let (low, high) = parts[owner];
                let width = (high - low) / f64::from(FRACTIONS);
                let way = |point: &Array1<f64>| (point - center).mapv(f64::abs).sum();
                let whole = way(&ends[owner]);
                let at = if own.candidate.distance < before[owner] && 0.0 < whole {
                    (way(&own.candidate.point) / whole).clamp(low, high)
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
        found: &mut [Owned],
    ) -> Result<()> {
        let fractions = || (1..FRACTIONS).map(|j| f64::from(j) / f64::from(FRACTIONS));
        for _ in 0..2 {
            let mut proposals = Vec::new();
            for (owner, own) in found.iter().enumerate() {
                let instance = &self.asker.instances[own.instance];
                proposals.extend(fractions().map(|fraction| {
                    let way = &own.candidate.point - &instance.center;
                    let point = &instance.center + &(way * fraction);
                    Proposal { owner, instance: own.instance, point }
                }));
            }
            self.improve(runs, state, found, proposals)?;
        }
        let mut open = vec![true; found.len()];
        for _ in 0..PASSES {
            self.close(state, found, &mut open);
            let mut proposals = Vec::new();
            for (owner, own) in found.iter().enumerate().filter(|(owner, _)| open[*owner]) {
                let center = &self.asker.instances[own.instance].center;
                for k in 0..center.len() {
                    let way = own.candidate.point[k] - center[k];
                    if way == 0.0 || self.asker.problem.is_discrete(k) {
                        continue;
                    }
                    proposals.extend(std::iter::once(0.0).chain(fractions()).map(|fraction| {
                        let mut point = own.candidate.point.clone();
                        point[k] = center[k] + fraction * way;
                        Proposal { owner, instance: own.instance, point }
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

/// Parts of a way that are tried.
const FRACTIONS: u8 = 16;
