//! What a search ends with.

use xai_core::{Result, Status, Stop};

use super::{Candidate, Neighborhood, Rules, SampleId, Search};
use crate::bandit::Counts;
use crate::certificate::Certificate;
use crate::data::{AnchorResult, Coverage, Decision, Estimate, Queries, TraceStep};
use crate::params::AnchorSearchParams;

/// The end of a search.
pub(crate) struct Outcome {
    pub status: Status,
    pub stop: Stop,
    /// Whether the returned anchor passed the validity test.
    pub success: bool,
    /// The first predicate, the first two, and so on up to the returned anchor.
    pub prefixes: Vec<Prefix>,
    /// The samples of the empty anchor.
    pub base: Counts,
    pub certificate: Option<Certificate>,
    /// The highest precision at each size from 1.
    pub best_of_size: Vec<Counts>,
    /// The candidates worth showing.
    pub candidates: Vec<Ranked>,
    /// Requests of the search.
    pub n_requests: u64,
    /// What certificates cost.
    pub certificate_queries: u64,
    pub trace: Vec<TraceStep>,
    /// How many predicates there are to choose from.
    pub n_predicates: usize,
}

impl Outcome {
    /// What the method adds to the outcome makes the part of the answer that all methods share.
    pub(crate) fn result(&self, parts: ResultParts<'_>) -> AnchorResult {
        let delta = parts.search.delta;
        let base_rate = Estimate::new(self.base, delta);
        let precision = self.prefixes.last().map_or(self.base, |prefix| prefix.counts).mean();
        AnchorResult {
            precision,
            coverage: parts.coverage_of.coverage,
            status: self.status,
            reason: self.reason(parts.search.threshold, parts.no_predicates),
            stop: self.stop,
            valid: self.success,
            decision: parts.decision.value,
            output: parts.decision.reading.meaning().clone(),
            class_names: parts.decision.class_names.clone(),
            certificate: self.certificate.clone(),
            coverage_of: parts.coverage_of,
            base_rate,
            best_of_size: self.best_of_size.iter().map(|&c| Estimate::new(c, delta)).collect(),
            queries: parts.queries,
            trace: self.trace.clone(),
        }
    }

    /// The status in a sentence; `no_predicates` explains why there are no predicates, for instances without any.
    fn reason(&self, threshold: f64, no_predicates: &str) -> String {
        let best = self.best_of_size.iter().map(Counts::mean).fold(self.base.mean(), f64::max);
        let nearest = format!("the highest precision seen was {best:.3}");
        let certified = self.certificate.as_ref().map_or_else(String::new, |fresh| {
            format!(
                "; on {} fresh samples the share is {:.1} %, and at least {:.1} % with a confidence of {:.1} %",
                fresh.n_samples,
                100.0 * fresh.precision,
                100.0 * fresh.lower_bound,
                100.0 * fresh.confidence
            )
        });
        match self.status {
            Status::Found => format!(
                "with this anchor the model made the same decision for a share of {threshold} or more of the perturbations{certified}"
            ),
            Status::Empty => format!(
                "the model made the same decision for a share of {threshold} or more of all perturbations, so no condition is needed{certified}"
            ),
            Status::Stopped => format!("the search ended early: {}; {nearest}", self.stop),
            _ if self.n_predicates == 0 => {
                format!("{no_predicates}, so an anchor has no conditions to choose from")
            }
            _ => format!("no anchor that was tried reaches a precision of {threshold}; {nearest}"),
        }
    }

    /// What the model was asked, of `asked` rows in all.
    pub(crate) fn queries(&self, asked: u64) -> Queries {
        Queries {
            instance: 1,
            search: asked - 1 - self.certificate_queries,
            certificate: self.certificate_queries,
            search_requests: self.n_requests,
        }
    }

    /// For each predicate the precision of the anchor up to it, and what it adds.
    pub(crate) fn gains(&self, delta: f64) -> Vec<(Estimate, f64)> {
        let mut before = self.base.mean();
        let gain = |prefix: &Prefix| {
            let precision = Estimate::new(prefix.counts, delta);
            let gain = precision.mean - before;
            before = precision.mean;
            (precision, gain)
        };
        self.prefixes.iter().map(gain).collect()
    }
}

/// What a method adds to the outcome of its search.
pub(crate) struct ResultParts<'a> {
    pub search: &'a AnchorSearchParams,
    pub decision: &'a Decision,
    pub coverage_of: Coverage,
    pub queries: Queries,
    /// Why there are no predicates, for instances without any.
    pub no_predicates: &'static str,
}

/// A partial anchor of the returned one.
pub(crate) struct Prefix {
    /// The predicate that it ends with.
    pub predicate: usize,
    pub counts: Counts,
    pub n_covered: usize,
    /// Samples for which the model agrees, and for which it does not.
    pub examples: [Vec<SampleId>; 2],
}

/// An anchor that was considered.
pub(crate) struct Ranked {
    pub order: Vec<usize>,
    pub counts: Counts,
    pub n_covered: usize,
    pub valid: bool,
}

impl<N: Neighborhood, R: Rules> Search<'_, '_, '_, N, R> {
    pub(super) fn finish(mut self) -> Result<Outcome> {
        let exhausted = self.stop != Stop::Converged;
        let best = match self.best {
            Some(best) => best,
            None => self.most_precise_of_all()?,
        };
        if self.certificate.is_none() {
            self.certificate = self.certify(best, self.settings.delta)?;
        }
        let status = match (exhausted, self.best) {
            (true, _) => Status::Stopped,
            (false, None) => Status::NotFound,
            (false, Some(0)) => Status::Empty,
            (false, Some(_)) => Status::Found,
        };
        let order = self.candidates[best].order.clone();
        let mut prefixes = Vec::with_capacity(order.len());
        for size in 1..=order.len() {
            prefixes.push(self.prefix(&order[..size]));
        }
        let most_precise = |beam: &Vec<usize>| {
            let means = beam.iter().map(|&id| self.counts(id));
            means.max_by(|a, b| a.mean().total_cmp(&b.mean())).unwrap_or_default()
        };
        Ok(Outcome {
            status,
            stop: self.stop,
            success: self.best.is_some(),
            prefixes,
            base: self.counts(0),
            certificate: self.certificate.clone(),
            best_of_size: self.beams[1..].iter().map(most_precise).collect(),
            candidates: self.worth_showing(),
            n_requests: self.n_requests,
            certificate_queries: self.certificate_queries,
            trace: self.trace,
            n_predicates: self.neighborhood.n_predicates(),
        })
    }

    /// Where no anchor is valid: the most precise that was in a beam; the empty one when there was none.
    fn most_precise_of_all(&mut self) -> Result<usize> {
        let pool: Vec<usize> = self.beams[1..].concat();
        if pool.is_empty() {
            return Ok(0);
        }
        let (best, _) = self.most_precise(&pool, 1)?;
        Ok(best[0])
    }

    fn prefix(&mut self, order: &[usize]) -> Prefix {
        let mut anchor = order.to_vec();
        anchor.sort_unstable();
        let of = self.candidates.iter().position(|candidate| candidate.anchor == anchor);
        let id = of.expect("each part of an anchor was a candidate before it");
        self.log.write_out(&mut self.candidates, id, self.neighborhood);
        Prefix {
            predicate: order[order.len() - 1],
            counts: self.counts(id),
            n_covered: self.candidates[id].n_covered,
            examples: [true, false].map(|agrees| R::examples(self, id, agrees)),
        }
    }

    /// The `top_k` widest valid candidates, then the most precise of those that no other beats in both; each once.
    fn worth_showing(&self) -> Vec<Ranked> {
        let sampled = |&id: &usize| 0 < self.counts(id).n_samples;
        let (mut valid, mut others): (Vec<usize>, Vec<usize>) =
            (1..self.candidates.len()).filter(sampled).partition(|&id| self.is_valid(id));
        let of = |id: usize| &self.candidates[id];
        let mean = |id: usize| self.counts(id).mean();
        valid.sort_by(|&a, &b| {
            of(b).n_covered.cmp(&of(a).n_covered).then(mean(b).total_cmp(&mean(a)))
        });
        others.sort_by(|&a, &b| {
            mean(b).total_cmp(&mean(a)).then(of(b).n_covered.cmp(&of(a).n_covered))
        });
        // Descending in precision, each that stays covers more than all before it.
        let mut widest = None;
        others.retain(|&id| {
            let wider = widest.is_none_or(|widest| widest < of(id).n_covered);
            widest = if wider { Some(of(id).n_covered) } else { widest };
            wider
        });
        let ranked = |id: usize| {
            let Candidate { order, n_covered, .. } = of(id).clone();
            let counts = self.counts(id);
            Ranked { order, counts, n_covered, valid: self.is_valid(id) }
        };
        let mut shown: Vec<usize> = Vec::new();
        for id in valid.into_iter().chain(others) {
            if shown.len() == self.settings.top_k {
                break;
            }
            if !shown.iter().any(|&known| self.are_equivalent(known, id)) {
                shown.push(id);
            }
        }
        shown.into_iter().map(ranked).collect()
    }

    /// Whether two candidates hold for the same rows whatever the data, though one has predicates that its others imply.
    fn are_equivalent(&self, a: usize, b: usize) -> bool {
        let [a, b] = [a, b].map(|id| &self.candidates[id]);
        let implies = |anchor: &Candidate, other: &Candidate| {
            let is_implied =
                |id| anchor.anchor.contains(id) || self.neighborhood.implied(*id, &anchor.anchor);
            other.anchor.iter().all(is_implied)
        };
        a.n_covered == b.n_covered && implies(a, b) && implies(b, a)
    }
}
