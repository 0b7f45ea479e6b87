//! How the reference reads tables, to compare with its results and with the tables of the paper.

use xai_core::Result;
use xai_core::tabular::discretizer::Edges;

use super::semantics::Conventions;

/// The tables of alibi.
pub(crate) struct Reference;

impl Conventions for Reference {
    /// Coverage is always that of sampled rows.
    fn is_exact_by_default(&self, _: usize) -> bool {
        false
    }

    /// Every percentile is an edge, the largest number included.
    fn edges(&self, edges: Edges, _: &dyn Fn(f64) -> bool) -> Result<Edges> {
        Ok(edges)
    }

    /// The search for rows of a table goes on to wider anchors.
    fn may_stop_on_first(&self) -> bool {
        false
    }
}
