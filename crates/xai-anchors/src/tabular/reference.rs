//! How the reference reads tables, to compare with its results and with the tables of the paper.

use xai_core::Result;
use xai_core::tabular::discretizer::{Edges, Neighbors};

use super::semantics::Conventions;

/// The tables of alibi.
pub(crate) struct Reference;

impl Conventions for Reference {
    /// Coverage is always that of sampled rows.
    fn is_exact_by_default(&self, _: usize) -> bool {
        false
    }

    /// All of them.
    fn percentile_edges(&self, edges: Edges, _: &[Neighbors]) -> Result<Edges> {
        Ok(edges)
    }

    /// Every percentile makes a predicate, the largest number included.
    fn tries_what_always_holds(&self) -> bool {
        true
    }

    /// The search for rows of a table goes on to wider anchors.
    fn may_stop_on_first(&self) -> bool {
        false
    }
}
