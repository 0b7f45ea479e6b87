//! How this crate reads tables.

use xai_core::Result;
use xai_core::tabular::discretizer::{Edges, Neighbors};

use super::semantics::Conventions;

/// The most training rows for which coverage is exact by default.
const EXACT: usize = 1_000_000;

/// The tables of this crate.
pub(crate) struct Native;

impl Conventions for Native {
    fn is_exact_by_default(&self, n_rows: usize) -> bool {
        n_rows <= EXACT
    }

    /// A percentile with all numbers on one side cuts nothing off; cuts that were given are another matter.
    fn percentile_edges(&self, edges: Edges, neighbors: &[Neighbors]) -> Result<Edges> {
        let separates = |beside: &Neighbors| beside.at_most.is_finite() && beside.above.is_finite();
        let both = edges.as_slice().iter().zip(neighbors);
        let kept = both.filter(|(_, beside)| separates(beside)).map(|(&edge, _)| edge);
        Ok(Edges::new(kept.collect())?)
    }

    /// It would say nothing.
    fn tries_what_always_holds(&self) -> bool {
        false
    }

    fn may_stop_on_first(&self) -> bool {
        true
    }
}
