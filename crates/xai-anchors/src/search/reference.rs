//! The rules of the reference's search, to compare with its results and with the tables of the paper.

use xai_core::Result;

use super::{Candidate, END, Flow, GO_ON, Neighborhood, Rules, SampleId, Search};
use crate::bandit::{Counts, Exploration};
use crate::params::AnchorSearchParams;

/// The search of alibi.
pub(crate) struct Reference;

impl Rules for Reference {
    const COVERAGE_BREAKS_TIES: bool = false;

    const TRIES_IMPLIED: bool = true;

    fn settings(settings: &AnchorSearchParams) -> AnchorSearchParams {
        AnchorSearchParams {
            exploration: Exploration::Proved,
            coverage_sweep: false,
            coverage_gain: 0.0,
            ..settings.clone()
        }
    }

    /// Samples of parents count like the candidate's, which may be far off.
    fn counts(candidate: &Candidate) -> Counts {
        let Candidate { drawn, inherited, .. } = candidate;
        Counts {
            n_samples: drawn.n_samples + inherited.n_samples,
            positives: drawn.positives + inherited.positives,
        }
    }

    fn tested(candidate: &Candidate) -> Counts {
        Self::counts(candidate)
    }

    /// The empty anchor is accepted when its lower bound exceeds the threshold; more samples are drawn only while that
    /// bound is below the threshold minus `tau`.
    fn test_empty_anchor<N: Neighborhood>(
        search: &mut Search<'_, '_, '_, N, Self>,
    ) -> Result<Flow> {
        let AnchorSearchParams { threshold, tau, delta, batch_size, .. } = *search.settings;
        let level = (1.0 / delta).ln();
        loop {
            let counts = search.counts(0);
            let lower = counts.lower_bound(level);
            if threshold < counts.mean() && lower < threshold - tau {
                if search.draw(&[0], batch_size)?.is_break() {
                    return Ok(END);
                }
                continue;
            }
            return if threshold < lower { search.accept_one(0) } else { Ok(GO_ON) };
        }
    }

    fn prune<N: Neighborhood>(_: &mut Search<'_, '_, '_, N, Self>) -> Result<()> {
        Ok(())
    }

    /// The first samples of the candidate's last request.
    fn examples<N: Neighborhood>(
        search: &Search<'_, '_, '_, N, Self>,
        candidate: usize,
        agrees: bool,
    ) -> Vec<SampleId> {
        let n_examples = search.settings.n_covered_ex;
        search.log.first_of_last(&search.candidates, candidate, agrees, n_examples)
    }
}
