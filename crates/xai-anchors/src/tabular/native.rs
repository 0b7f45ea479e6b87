//! How this crate reads tables.

use xai_core::Result;
use xai_core::tabular::discretizer::Edges;

use super::semantics::Conventions;

/// The most training rows for which coverage is exact by default.
const EXACT: usize = 1_000_000;

/// The tables of this crate.
pub(crate) struct Native;

impl Conventions for Native {
    fn is_exact_by_default(&self, n_rows: usize) -> bool {
        n_rows <= EXACT
    }

    /// An edge with all numbers on one side says nothing.
    fn edges(&self, edges: Edges, separates: &dyn Fn(f64) -> bool) -> Result<Edges> {
        let kept = edges.as_slice().iter().copied().filter(|&edge| separates(edge));
        Ok(Edges::new(kept.collect())?)
    }

    fn may_stop_on_first(&self) -> bool {
        true
    }
}
