#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod bandit;
mod bits;
mod certificate;
mod data;
#[cfg(feature = "image")]
pub mod image;
mod interval;
#[cfg(feature = "language-model")]
pub mod language_model;
mod output;
mod search;
mod tabular;
#[cfg(feature = "text")]
mod text;

pub use bandit::Exploration;
pub use certificate::Certificate;
pub use data::{Coverage, Estimate, Queries, Status, TraceStep};
#[cfg(feature = "image")]
pub use image::{AnchorImage, AnchorImageData, AnchorImageParams};
pub use interval::Interval;
pub use output::Output;
pub use tabular::{
    AnchorTabular, AnchorTabularData, AnchorTabularParams, Candidate, CoverageSet,
    DistributedAnchorTabular, Examples, Missing, Operator, Pick, Predicate, Raw, Rule,
    RuleCondition, RuleReport, Sampling, class_balanced_weights, submodular_pick,
};
#[cfg(feature = "text")]
pub use text::{
    AnchorText, AnchorTextData, AnchorTextParams, EnglishAnalyzer, Filling, Join, Pos,
    RuleTokenizer, SamplingStrategy, TextAnalyzer, TextCandidate, TextExamples, TextPredicate,
    TextRaw, TextResources, Token, VectorsError, WordVectors,
};
