//! Searches among few features, for instances of which only so many may change.

use crate::evaluate::{Evaluator, Query};
use crate::outcome::{Candidate, SearchParams};
use crate::refine::{FoundPoint, Refiner};
use crate::searched::Searched;
use xai_core::error::Result;
use xai_core::explanation::Stop;
use xai_core::run::Run;

/// Sets of groups that are tried for an instance, at most. Chosen by hand.
const ATTEMPTS: usize = 4;

impl Searched {
    /// Searches again among few groups where too many change.
    pub(super) fn enforce_max_changes(
        &mut self,
        refiner: &Refiner<'_>,
        params: &SearchParams,
        runs: &mut [Run<'_>],
    ) -> Result<()> {
        let mut crowded: Vec<(usize, usize, Vec<Candidate>)> = Vec::new();
        for (instance, target) in refiner.evaluator.instances.iter().enumerate() {
            let Some(most) = target.max_changes else { continue };
            let few = |candidate: &Candidate| {
                let found_point = FoundPoint { instance, candidate: candidate.clone() };
                refiner.changes(&found_point).len() <= most
            };
            let (few, many): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.found[instance]).into_iter().partition(few);
            self.found[instance] = few;
            if self.found[instance].is_empty() && !many.is_empty() {
                crowded.push((instance, most, many));
            }
        }
        if crowded.is_empty() {
            return Ok(());
        }
        let supports = self.supports(refiner, runs, &crowded)?;
        for attempt in 0..ATTEMPTS {
            let mut instances = refiner.evaluator.instances.to_vec();
            // Only the instances of this attempt are searched for; the others are closed.
            let mut inner = Searched::new(instances.len());
            let mut any = false;
            for (index, progress) in inner.progress.iter_mut().enumerate() {
                let place = crowded.iter().position(|(instance, ..)| *instance == index);
                let support = place.and_then(|place| supports[place].get(attempt));
                let wanted = self.found[index].is_empty() && self.progress[index].is_open();
                let Some(support) = support.filter(|_| wanted) else {
                    progress.stop = Some(Stop::Converged);
                    continue;
                };
                any = true;
                let instance = &mut instances[index];
                for k in 0..instance.start.len() {
                    if !support.contains(&refiner.evaluator.problem.group(k)) {
                        (instance.lower[k], instance.upper[k]) =
                            (instance.start[k], instance.start[k]);
                    }
                }
            }
            if !any {
                return Ok(());
            }
            let evaluator = Evaluator { instances: &instances, ..refiner.evaluator };
            let result = inner.find(&Refiner { evaluator, ..*refiner }, params, runs);
            for (index, found) in inner.found.into_iter().enumerate() {
                if found.is_empty() {
                    continue;
                }
                self.route[index] = inner.route[index];
                found.into_iter().for_each(|candidate| self.record(index, candidate));
            }
            for (progress, inner) in self.progress.iter_mut().zip(inner.progress) {
                progress.stop =
                    progress.stop.or(inner.stop.filter(|&stop| stop != Stop::Converged));
            }
            result?;
        }
        Ok(())
    }

    /// Groups to which the changes of an instance may be confined, in the order in which they are tried: those that
    /// gain most in the linear margin of its best point, then those that change most in its best points.
    fn supports(
        &mut self,
        refiner: &Refiner<'_>,
        runs: &mut [Run<'_>],
        crowded: &[(usize, usize, Vec<Candidate>)],
    ) -> Result<Vec<Vec<Vec<usize>>>> {
        let evaluator = &refiner.evaluator;
        let query = |(instance, _, many): &(usize, usize, Vec<Candidate>)| Query {
            instance: *instance,
            point: many[0].point.clone(),
            gradient: true,
        };
        let queries: Vec<Query> = crowded.iter().map(query).collect();
        let kept = refiner.affordable(runs, &mut self.progress, &queries);
        let asked: Vec<Query> = queries
            .into_iter()
            .zip(kept)
            .filter(|(_, kept)| *kept)
            .map(|(query, _)| query)
            .collect();
        let evaluations = evaluator.evaluate(runs, &asked, &|index, outputs| {
            let hinge = &evaluator.instances[asked[index].instance].hinge;
            Some(hinge.log_margin(outputs).cotangent)
        })?;
        let mut supports = Vec::with_capacity(crowded.len());
        for (instance, most, many) in crowded {
            let mut supports_of_instance: Vec<Vec<usize>> = Vec::new();
            let slope =
                asked.iter().zip(&evaluations).find(|(asked, _)| asked.instance == *instance);
            if let Some(gradient) = slope.and_then(|(_, evaluation)| evaluation.gradient.as_ref()) {
                let center = &evaluator.instances[*instance].center;
                let gains = (&many[0].point - center) * gradient;
                let n_groups =
                    1 + (0..gains.len()).map(|k| evaluator.problem.group(k)).max().unwrap_or(0);
                let mut by_group: Vec<(usize, f64)> =
                    (0..n_groups).map(|group| (group, 0.0)).collect();
                for (k, gain) in gains.iter().enumerate() {
                    by_group[evaluator.problem.group(k)].1 += gain;
                }
                by_group.sort_by(|a, b| b.1.total_cmp(&a.1));
                supports_of_instance
                    .push(by_group.iter().take(*most).map(|(group, _)| *group).collect());
            }
            for candidate in many {
                let owned = FoundPoint { instance: *instance, candidate: candidate.clone() };
                let changes = refiner.changes(&owned);
                let largest: Vec<usize> =
                    changes.iter().rev().take(*most).map(|(group, _)| *group).collect();
                if !supports_of_instance.contains(&largest) {
                    supports_of_instance.push(largest);
                }
            }
            supports.push(supports_of_instance);
        }
        Ok(supports)
    }
}
