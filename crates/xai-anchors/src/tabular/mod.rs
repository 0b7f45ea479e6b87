//! Anchors of rows of a table.

mod condition;
mod data;
mod explainer;
mod native;
mod params;
mod perturbation;
mod pick;
mod plan;
mod reference;
mod rule;
mod semantics;
mod table;

pub use condition::Operator;
pub use data::{AnchorTabularData, Candidate, Examples, Predicate};
pub use explainer::AnchorTabular;
pub use params::{AnchorTabularParams, CoverageSet, Missing, Sampling};
pub use pick::{Pick, class_balanced_weights, submodular_pick};
pub use rule::{Rule, RuleCondition, RuleReport};
