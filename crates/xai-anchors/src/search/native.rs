//! The rules of this crate's search.

use xai_core::Result;

use super::{Candidate, END, Flow, Neighborhood, Rules, SampleId, Search};
use crate::bandit::Counts;
use crate::params::AnchorSearchParams;

/// The label of the seed that examples are chosen with.
const EXAMPLES: u64 = 0x6578_616d_706c_6573;

/// The search of this crate.
pub(crate) struct Native;

impl Rules for Native {
    const COVERAGE_BREAKS_TIES: bool = true;

    /// An implied predicate would cost samples and change nothing.
    const TRIES_IMPLIED: bool = false;

    fn settings(settings: &AnchorSearchParams) -> AnchorSearchParams {
        settings.clone()
    }

    /// Samples of a parent that happen to satisfy its child come from other rows than the child's samples: they satisfy
    /// the last predicate without being drawn for it. They count until the child has samples itself.
    fn counts(candidate: &Candidate) -> Counts {
        if 0 < candidate.drawn.n_samples { candidate.drawn } else { candidate.inherited }
    }

    fn tested(candidate: &Candidate) -> Counts {
        candidate.drawn
    }

    /// The test of all other anchors.
    fn test_empty_anchor<N: Neighborhood>(
        search: &mut Search<'_, '_, '_, N, Self>,
    ) -> Result<Flow> {
        if search.sample_until_clear(&[0])?.is_break() {
            return Ok(END);
        }
        search.accept(&[0])
    }

    fn prune<N: Neighborhood>(search: &mut Search<'_, '_, '_, N, Self>) -> Result<()> {
        search.drop_predicates()
    }

    /// Each sample is as likely to be shown as any other.
    fn examples<N: Neighborhood>(
        search: &Search<'_, '_, '_, N, Self>,
        candidate: usize,
        agrees: bool,
    ) -> Vec<SampleId> {
        let seed = search.run.shared_seed().child(EXAMPLES);
        let anchor = &search.candidates[candidate].anchor;
        let seed = anchor.iter().fold(seed, |seed, &id| seed.child(id as u64));
        let n_examples = search.settings.n_covered_ex;
        let mut stream = seed.child(agrees.into()).stream();
        search.log.choose(&search.candidates, candidate, agrees, n_examples, &mut stream)
    }
}
