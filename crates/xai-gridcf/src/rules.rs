//! The choices in which the native search and that of the reference differ.

use crate::grid::RangeSteps;

/// How a search behaves. Chosen once, by the settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SearchRules {
    /// The grid points of a range.
    pub(crate) steps: fn(&RangeSteps) -> Vec<f64>,
    /// Whether the instance's value competes, so that a set of features is silent when some of its features alone do
    /// better.
    pub(crate) parts_compete: bool,
    /// Whether to search although the instance itself reaches the target.
    pub(crate) searches_same_class: bool,
    /// Whether a class that the model does not have is a target that nothing reaches, in place of an error.
    pub(crate) accepts_unknown_class: bool,
    /// Whether the class of an answer must be ahead by [`Reading::decision_margin`](xai_core::Reading::decision_margin).
    pub(crate) keeps_margin: bool,
    /// Whether answers at one distance are ordered by the number of their features.
    pub(crate) orders_by_length: bool,
}
