//! Where the search of this crate and that of the reference differ.

use xai_core::Result;

use super::{Candidate, Flow, Neighborhood, SampleId, Search};
use crate::bandit::Counts;
use crate::params::AnchorSearchParams;

/// The rules of a search; chosen once, when it starts.
pub(crate) trait Rules: Sized {
    /// Whether coverage decides between anchors of equal precision; otherwise their position does.
    const COVERAGE_BREAKS_TIES: bool;

    /// Whether predicates are tried that the anchor implies.
    const TRIES_IMPLIED: bool;

    /// The settings that have an effect on this search.
    fn settings(settings: &AnchorSearchParams) -> AnchorSearchParams;

    /// The samples that count for the precision of a candidate.
    fn counts(candidate: &Candidate) -> Counts;

    /// The samples that the test of validity looks at.
    fn tested(candidate: &Candidate) -> Counts;

    /// Tests the anchor without predicates.
    fn test_empty_anchor<N: Neighborhood>(search: &mut Search<'_, '_, '_, N, Self>)
    -> Result<Flow>;

    /// Shortens the best anchor, when the search has ended.
    fn prune<N: Neighborhood>(search: &mut Search<'_, '_, '_, N, Self>) -> Result<()>;

    /// Samples of a candidate for which the model agrees, or does not, to show as examples.
    fn examples<N: Neighborhood>(
        search: &Search<'_, '_, '_, N, Self>,
        candidate: usize,
        agrees: bool,
    ) -> Vec<SampleId>;
}
