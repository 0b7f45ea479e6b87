#![doc = include_str!("../README.md")]

pub mod bandit;
mod bits;
mod certificate;
mod data;
mod interval;
mod output;
mod search;
mod tabular;

pub use bandit::Exploration;
pub use certificate::Certificate;
pub use data::{Coverage, Estimate, Queries, Status, TraceStep};
pub use interval::Interval;
pub use output::Output;
pub use tabular::{
    AnchorTabular, AnchorTabularData, AnchorTabularParams, Candidate, CoverageSet,
    DistributedAnchorTabular, Examples, Missing, Operator, Pick, Predicate, Raw, Rule,
    RuleCondition, RuleReport, Sampling, class_balanced_weights, submodular_pick,
};
