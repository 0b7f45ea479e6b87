//! The search for the anchor of largest coverage that is precise enough: beam search over sets of predicates, best-arm
//! identification at each size.
//!
//! # Source
//! Ribeiro, Singh & Guestrin 2018, "Anchors: high-precision model-agnostic explanations", algorithms 1 and 2.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::ops::ControlFlow;

use xai_core::{Error, Event, Result, Run, Semantics, Stop};

use crate::bandit::{Arms, BestArms, Counts, Step};
use crate::certificate::Certificate;
use crate::data::TraceStep;
use crate::params::AnchorSearchParams;

mod log;
mod native;
mod outcome;
mod prune;
mod reference;
mod rules;
mod sampling;

pub(crate) use log::{Candidate, Log};
pub(crate) use outcome::{Outcome, Prefix, Ranked, ResultParts};
use rules::Rules;
pub(crate) use sampling::{Neighborhood, Purpose, Request, SampleId};

/// Searches for an anchor to the end, or as far as the budget allows.
///
/// # Errors
/// [`Error::Stopped`] when not even the empty anchor could be sampled, and those of the model.
pub(crate) fn search<N: Neighborhood>(
    settings: &AnchorSearchParams,
    neighborhood: &mut N,
    run: &mut Run<'_>,
) -> Result<Outcome> {
    match settings.semantics {
        Semantics::Native => search_by::<_, native::Native>(settings, neighborhood, run),
        Semantics::Reference => search_by::<_, reference::Reference>(settings, neighborhood, run),
    }
}

fn search_by<N: Neighborhood, R: Rules>(
    settings: &AnchorSearchParams,
    neighborhood: &mut N,
    run: &mut Run<'_>,
) -> Result<Outcome> {
    Search::<N, R>::new(&R::settings(settings), neighborhood, run).run()
}

/// One search in progress.
pub(crate) struct Search<'s, 'r, 'o, N, R> {
    rules: PhantomData<R>,
    settings: &'s AnchorSearchParams,
    neighborhood: &'s mut N,
    run: &'r mut Run<'o>,
    log: Log,
    /// All anchors considered so far; the first is the empty one.
    candidates: Vec<Candidate>,
    /// The beam of each size, by number of candidate, best last; the first holds the empty anchor.
    beams: Vec<Vec<usize>>,
    /// The candidates to extend next.
    parents: Vec<usize>,
    best: Option<usize>,
    certificate: Option<Certificate>,
    /// Anchors that a strict search has put to the test.
    n_tests: u64,
    /// Samples drawn so far, without those of certificates.
    n_samples: u64,
    n_requests: u64,
    certificate_queries: u64,
    stop: Stop,
    trace: Vec<TraceStep>,
}

/// Whether to go on with the search.
type Flow = ControlFlow<()>;

const GO_ON: Flow = ControlFlow::Continue(());
const END: Flow = ControlFlow::Break(());

impl<'s, 'r, 'o, N: Neighborhood, R: Rules> Search<'s, 'r, 'o, N, R> {
    fn new(
        settings: &'s AnchorSearchParams,
        neighborhood: &'s mut N,
        run: &'r mut Run<'o>,
    ) -> Self {
        let empty = Candidate::empty(neighborhood.n_coverage());
        Search {
            rules: PhantomData,
            log: Log::new(neighborhood.n_predicates()),
            settings,
            neighborhood,
            run,
            candidates: vec![empty],
            beams: vec![vec![0]],
            parents: vec![0],
            best: None,
            certificate: None,
            n_tests: 0,
            n_samples: 0,
            n_requests: 0,
            certificate_queries: 0,
            stop: Stop::Converged,
            trace: Vec::new(),
        }
    }

    fn run(mut self) -> Result<Outcome> {
        if self.draw(&[0], self.settings.min_samples_start)?.is_break() {
            return Err(Error::Stopped(self.stop));
        }
        let mut flow = R::test_empty_anchor(&mut self)?;
        let limit = self.settings.max_anchor_size.unwrap_or(usize::MAX);
        while flow.is_continue() && self.beams.len() <= limit {
            let proposed = self.propose();
            if proposed.is_empty() {
                break;
            }
            flow = self.search_size(&proposed)?;
        }
        R::prune(&mut self)?;
        self.finish()
    }

    /// Anchors of one predicate more than those of the last beam, of more coverage than the best so far.
    fn propose(&mut self) -> Vec<usize> {
        let parents = self.parents.clone();
        for &id in &parents {
            self.log.write_out(&mut self.candidates, id, self.neighborhood);
        }
        let mut seen = BTreeSet::new();
        let mut proposed = Vec::new();
        for predicate in 0..self.neighborhood.n_predicates() {
            for &id in &parents {
                let parent = &self.candidates[id];
                if parent.anchor.contains(&predicate)
                    || (!R::TRIES_IMPLIED && self.neighborhood.implied(predicate, &parent.anchor))
                {
                    continue;
                }
                let child = self.log.child(&self.candidates, id, predicate, self.neighborhood);
                if seen.insert(child.anchor.clone()) && self.is_wider_than_the_best(&child) {
                    proposed.push(self.candidates.len());
                    self.candidates.push(child);
                }
            }
        }
        proposed
    }

    /// Finds the most precise of the proposed anchors, and the valid one of largest coverage among them.
    fn search_size(&mut self, proposed: &[usize]) -> Result<Flow> {
        let (beam, complete) = self.most_precise(proposed, self.settings.beam_size)?;
        self.beams.push(beam.clone());
        self.parents = beam.clone();
        if !complete || self.sample_until_clear(&beam)?.is_break() {
            return Ok(END);
        }
        let flow = self.accept(&beam)?;
        if flow.is_break() || !self.settings.coverage_sweep {
            return Ok(flow);
        }
        if self.sweep(proposed, &beam)?.is_break() {
            return Ok(END);
        }
        self.choose_parents(proposed)
    }

    /// The most precise candidates whose children may yet be the best: they cover more than the best. In a strict search
    /// some of them are valid and failed their certificate; those are nearest to what is looked for.
    ///
    /// Only samples drawn for a candidate make it a parent: inherited ones may come from rows where its last predicate makes
    /// no difference.
    fn choose_parents(&mut self, proposed: &[usize]) -> Result<Flow> {
        let mut open: Vec<usize> = proposed
            .iter()
            .copied()
            .filter(|&id| self.is_wider_than_the_best(&self.candidates[id]))
            .collect();
        loop {
            open.sort_by(|&a, &b| {
                let mean = |id| self.counts(id).mean();
                let covered = |id: usize| self.candidates[id].n_covered;
                mean(b).total_cmp(&mean(a)).then(covered(b).cmp(&covered(a)))
            });
            let chosen = &open[..open.len().min(self.settings.beam_size)];
            let is_new = |&id: &usize| self.candidates[id].drawn.n_samples == 0;
            let new: Vec<usize> = chosen.iter().copied().filter(is_new).collect();
            if new.is_empty() {
                self.parents = chosen.to_vec();
                return Ok(GO_ON);
            }
            if self.draw(&new, self.settings.batch_size)?.is_break() {
                return Ok(END);
            }
        }
    }

    /// Anchors that are not the most precise may be precise enough, and cover more: the widest of these is the best.
    fn sweep(&mut self, proposed: &[usize], beam: &[usize]) -> Result<Flow> {
        let mut others: Vec<usize> =
            proposed.iter().copied().filter(|other| !beam.contains(other)).collect();
        // Stable, so that of equal coverage the first proposed comes first.
        others.sort_by_key(|&other| std::cmp::Reverse(self.candidates[other].n_covered));
        for other in others {
            if !self.is_wider_than_the_best(&self.candidates[other]) {
                break;
            }
            self.candidates[other].is_swept = true;
            // What is known already may rule it out, even if it comes from the samples of its parents.
            let highest = self.counts(other).upper_bound(self.validity_rate(other));
            if highest < self.settings.threshold {
                continue;
            }
            if self.sample_until_clear(&[other])?.is_break() {
                return Ok(END);
            }
            if self.accept(&[other])?.is_break() {
                return Ok(END);
            }
        }
        Ok(GO_ON)
    }

    /// The best arms among some candidates, ascending, and whether the search for them came to its end.
    fn most_precise(&mut self, candidates: &[usize], top_n: usize) -> Result<(Vec<usize>, bool)> {
        let AnchorSearchParams { tau, delta, batch_size, exploration, .. } = *self.settings;
        let by_weight = R::COVERAGE_BREAKS_TIES;
        let search = BestArms { top_n, tau, delta, exploration, batch_size, by_weight };
        let mut arms = CandidateArms { search: self, candidates };
        let (arms, complete) = search.search(&mut arms)?;
        Ok((arms.into_iter().map(|arm| candidates[arm]).collect(), complete))
    }

    /// The samples that count for the precision of a candidate.
    fn counts(&self, id: usize) -> Counts {
        R::counts(&self.candidates[id])
    }

    /// The samples that the test of validity looks at.
    fn tested(&self, id: usize) -> Counts {
        R::tested(&self.candidates[id])
    }

    /// Samples candidates until each is clearly valid or clearly not.
    fn sample_until_clear(&mut self, candidates: &[usize]) -> Result<Flow> {
        loop {
            let unclear: Vec<usize> =
                candidates.iter().copied().filter(|&id| self.is_unclear(id)).collect();
            if unclear.is_empty() {
                return Ok(GO_ON);
            }
            if self.draw(&unclear, self.settings.batch_size)?.is_break() {
                return Ok(END);
            }
        }
    }

    /// The exploration rate of the validity test. The risk is shared by the anchors that are put to the test: those of
    /// the beam at one size, and by all that a sweep may test for one that only the sweep does.
    fn validity_rate(&self, id: usize) -> f64 {
        let AnchorSearchParams { beam_size, delta, .. } = *self.settings;
        let n = self.neighborhood.n_predicates();
        let tests =
            if self.candidates[id].is_swept { beam_size * n } else { (beam_size - 1) * n + 1 };
        (tests as f64 / delta).ln()
    }

    fn is_unclear(&self, id: usize) -> bool {
        let AnchorSearchParams { threshold, epsilon_stop, .. } = *self.settings;
        let counts = self.tested(id);
        let beta = self.validity_rate(id);
        if counts.n_samples == 0 {
            return true;
        }
        if threshold <= counts.mean() {
            counts.lower_bound(beta) < threshold - epsilon_stop
        } else {
            threshold + epsilon_stop <= counts.upper_bound(beta)
        }
    }

    fn is_valid(&self, id: usize) -> bool {
        let AnchorSearchParams { threshold, epsilon_stop, .. } = *self.settings;
        let counts = self.tested(id);
        threshold <= counts.mean()
            && threshold - epsilon_stop < counts.lower_bound(self.validity_rate(id))
    }

    /// Whether a candidate covers more than the best so far, and so much more that it is worth its length.
    fn is_wider_than_the_best(&self, candidate: &Candidate) -> bool {
        self.best.is_none_or(|best| {
            let best = &self.candidates[best];
            let longer = candidate.order.len().saturating_sub(best.order.len());
            let worth = (1.0 + self.settings.coverage_gain).powf(longer as f64);
            best.n_covered < candidate.n_covered
                && best.n_covered as f64 * worth <= candidate.n_covered as f64
        })
    }

    /// Makes the widest valid candidate the best one, when it is wider than the best so far; `END` when no wider one
    /// can follow or the first is enough.
    fn accept(&mut self, candidates: &[usize]) -> Result<Flow> {
        let mut valid: Vec<usize> =
            candidates.iter().copied().filter(|&id| self.is_valid(id)).collect();
        valid.sort_by_key(|&id| std::cmp::Reverse(self.candidates[id].n_covered));
        for id in valid {
            if self.is_wider_than_the_best(&self.candidates[id]) {
                let flow = self.accept_one(id)?;
                if flow.is_break() || self.best == Some(id) {
                    return Ok(flow);
                }
            }
        }
        Ok(GO_ON)
    }

    /// Makes a candidate the best one; a strict search only when fresh samples confirm it.
    fn accept_one(&mut self, id: usize) -> Result<Flow> {
        if self.settings.strict {
            self.n_tests += 1;
            // The risks of all tests add up to delta, however many there are.
            let share = self.n_tests as f64 * (self.n_tests + 1) as f64;
            let certificate = self.certify(id, self.settings.delta / share)?;
            let n_samples = certificate.as_ref().map_or(0, |fresh| fresh.n_samples);
            let Some(certificate) = certificate.filter(|fresh| fresh.clears_threshold) else {
                if n_samples == self.settings.final_samples as u64 {
                    return Ok(GO_ON);
                }
                // Fewer samples than asked for are no evidence against the anchor.
                if self.stop == Stop::Converged {
                    self.stop = Stop::Budget;
                }
                return Ok(END);
            };
            self.certificate = Some(certificate);
        }
        self.best = Some(id);
        let covers_all = self.candidates[id].n_covered == self.neighborhood.n_coverage();
        Ok(if covers_all || self.settings.stop_on_first { END } else { GO_ON })
    }

    /// Fresh samples of a candidate; `None` when the budget does not allow any.
    fn certify(&mut self, id: usize, risk: f64) -> Result<Option<Certificate>> {
        let AnchorSearchParams { final_samples, batch_size, threshold, .. } = *self.settings;
        // What ends the search for want of samples may leave queries for the certificate; a clock or an observer does not.
        let is_interrupted = matches!(self.stop, Stop::Deadline | Stop::Observer);
        if final_samples == 0 || is_interrupted || self.report().is_break() {
            return Ok(None);
        }
        let order = &self.candidates[id].order;
        // In batches as in the search, whose size decides how a rare anchor is perturbed.
        let requests = |n_samples: usize| -> Vec<Request<'_>> {
            let batches = 0..n_samples.div_ceil(batch_size);
            let request = |batch: usize| Request {
                order,
                purpose: Purpose::Certificate,
                batch: batch as u64,
                n_samples: batch_size.min(n_samples - batch * batch_size),
            };
            batches.map(request).collect()
        };
        let mut n_samples = final_samples;
        if let Some(left) = self.run.queries_left()
            && left < self.neighborhood.price(&requests(n_samples))
        {
            n_samples = n_samples.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        if n_samples == 0 {
            return Ok(None);
        }
        let requests = requests(n_samples);
        let before = self.run.queries();
        let drawn = self.neighborhood.draw(&requests, self.run);
        self.certificate_queries += self.run.queries() - before;
        match drawn {
            Ok(draws) => {
                let positives = draws.iter().map(|agrees| agrees.count() as u64).sum();
                let counts = Counts { n_samples: n_samples as u64, positives };
                Ok(Some(Certificate::new(counts, risk, threshold)))
            }
            Err(Error::Stopped(stop)) => {
                self.stop = stop;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Reports the samples so far to the observer.
    fn report(&mut self) -> Flow {
        match self.run.report(Event::Step { done: self.n_samples, total: None }) {
            ControlFlow::Break(stop) => {
                self.stop = stop;
                END
            }
            ControlFlow::Continue(()) => GO_ON,
        }
    }

    /// One call for a batch of each candidate; `END`, and nothing drawn, when the budget does not allow it.
    fn draw(&mut self, ids: &[usize], n_samples: usize) -> Result<Flow> {
        let wanted = (ids.len() * n_samples) as u64;
        if self.stop != Stop::Converged {
            return Ok(END);
        }
        if self.settings.max_samples < self.n_samples + wanted {
            self.stop = Stop::Budget;
            return Ok(END);
        }
        if self.report().is_break() {
            return Ok(END);
        }
        let of = |&id: &usize| {
            let Candidate { order, batches, .. } = &self.candidates[id];
            Request { order, purpose: Purpose::Search, batch: *batches, n_samples }
        };
        let requests: Vec<Request<'_>> = ids.iter().map(of).collect();
        match self.neighborhood.draw(&requests, self.run) {
            Ok(draws) => {
                for (&id, agrees) in ids.iter().zip(&draws) {
                    self.log.append(id, &mut self.candidates[id], agrees);
                }
                self.n_samples += wanted;
                self.n_requests += 1;
                Ok(GO_ON)
            }
            Err(Error::Stopped(stop)) => {
                self.stop = stop;
                Ok(END)
            }
            Err(error) => Err(error),
        }
    }
}

/// Candidates as the arms of a bandit.
struct CandidateArms<'a, 's, 'r, 'o, N, R> {
    search: &'a mut Search<'s, 'r, 'o, N, R>,
    candidates: &'a [usize],
}

impl<N: Neighborhood, R: Rules> Arms for CandidateArms<'_, '_, '_, '_, N, R> {
    type Error = Error;

    fn len(&self) -> usize {
        self.candidates.len()
    }

    fn counts(&self, arm: usize) -> Counts {
        self.search.counts(self.candidates[arm])
    }

    fn weight(&self, arm: usize) -> f64 {
        self.search.candidates[self.candidates[arm]].n_covered as f64
    }

    fn pull(&mut self, arms: &[usize], n_samples: usize) -> Result<Flow> {
        let ids: Vec<usize> = arms.iter().map(|&arm| self.candidates[arm]).collect();
        self.search.draw(&ids, n_samples)
    }

    fn step(&mut self, step: &Step) {
        let search = &mut *self.search;
        if search.settings.verbose
            && (step.step - 1).is_multiple_of(search.settings.verbose_every as u64)
        {
            let ids = [step.best, step.challenger].map(|arm| self.candidates[arm]);
            let anchors = ids.map(|id| &search.candidates[id]);
            let step = TraceStep::new(step, anchors, ids.map(|id| search.counts(id)));
            search.trace.push(step);
        }
    }
}
