//! What a search ends with.

use xai_core::{Result, Semantics, Stop};

use super::{Candidate, Neighborhood, SampleId, Search};
use crate::bandit::Counts;
use crate::certificate::Certificate;
use crate::data::{Status, TraceStep};

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

/// The label of the seed that examples are chosen with.
const EXAMPLES: u64 = 0x6578_616d_706c_6573;

impl<N: Neighborhood> Search<'_, '_, '_, N> {
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
            (true, _) => Status::BudgetExhausted,
            (false, None) => Status::NotFound,
            (false, Some(0)) => Status::Empty,
            (false, Some(_)) => Status::Found,
        };
        let order = self.candidates[best].order.clone();
        let prefixes = (1..=order.len()).map(|size| self.prefix(&order[..size])).collect();
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

    fn prefix(&self, order: &[usize]) -> Prefix {
        let mut anchor = order.to_vec();
        anchor.sort_unstable();
        let of = self.candidates.iter().position(|candidate| candidate.anchor == anchor);
        let id = of.expect("each part of an anchor was a candidate before it");
        let candidate = &self.candidates[id];
        let n = self.settings.n_covered_ex;
        let choose = |agrees: bool| match self.settings.semantics {
            Semantics::Native => {
                let seed = self.run.shared_seed().child(EXAMPLES);
                let seed = anchor.iter().fold(seed, |seed, &id| seed.child(id as u64));
                self.log.choose(candidate, agrees, n, &mut seed.child(agrees.into()).stream())
            }
            Semantics::Reference => self.log.first_of_last(candidate, agrees, n),
        };
        Prefix {
            predicate: order[order.len() - 1],
            counts: self.counts(id),
            n_covered: candidate.n_covered,
            examples: [choose(true), choose(false)],
        }
    }

    /// The `top_k` widest valid candidates, then the most precise of those that no other beats in both.
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
        valid.into_iter().chain(others).take(self.settings.top_k).map(ranked).collect()
    }
}
