//! The choices in which tables are read differently natively and by the reference.

use xai_core::tabular::discretizer::{Edges, Neighbors};
use xai_core::{Result, Semantics};

use super::native::Native;
use super::reference::Reference;

/// How the training rows are read where the two semantics differ. Chosen once, by the settings; how anchors are searched
/// for is up to the [rules of the search](crate::search::Rules).
pub(crate) trait Conventions {
    /// Whether [`CoverageSet::Auto`](super::CoverageSet::Auto) stands for all training rows.
    fn is_exact_by_default(&self, n_rows: usize) -> bool;

    /// The percentiles of a column that are edges; `neighbors` are the training numbers beside each.
    fn percentile_edges(&self, edges: Edges, neighbors: &[Neighbors]) -> Result<Edges>;

    /// Whether a predicate of a numeric feature is tried that all numbers of the training rows satisfy.
    fn tries_what_always_holds(&self) -> bool;

    /// Whether `stop_on_first` has an effect.
    fn may_stop_on_first(&self) -> bool;
}

/// The conventions of some semantics.
pub(crate) fn conventions(semantics: Semantics) -> &'static dyn Conventions {
    match semantics {
        Semantics::Native => &Native,
        Semantics::Reference => &Reference,
    }
}
