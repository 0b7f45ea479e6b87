#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod bandit;
mod bits;
mod certificate;
mod data;
mod decision;
#[cfg(feature = "text")]
mod filling;
#[cfg(feature = "image")]
pub mod image;
mod interval;
#[cfg(feature = "language-model")]
pub mod language_model;
mod params;
#[cfg(feature = "text")]
mod perturber;
mod search;
mod tabular;
#[cfg(feature = "text")]
mod text;

pub use bandit::Exploration;
pub use certificate::Certificate;
pub use data::{AnchorResult, Coverage, Estimate, Queries, TraceStep};
#[cfg(feature = "text")]
pub use filling::{Filling, FillingParams};
#[cfg(feature = "image")]
pub use image::{AnchorImage, AnchorImageData, AnchorImageParams};
pub use interval::Interval;
pub use params::AnchorSearchParams;
pub use tabular::{
    AnchorTabular, AnchorTabularData, AnchorTabularParams, Candidate, CoverageSet, Examples,
    Missing, Operator, Pick, Predicate, Rule, RuleCondition, RuleReport, Sampling,
    class_balanced_weights, submodular_pick,
};
#[cfg(feature = "text")]
pub use text::{
    AnchorText, AnchorTextData, AnchorTextParams, EnglishAnalyzer, Join, Pos, RuleTokenizer,
    SamplingStrategy, TextAnalyzer, TextCandidate, TextExamples, TextPredicate, TextResources,
    Token, VectorsError, WordVectors,
};
