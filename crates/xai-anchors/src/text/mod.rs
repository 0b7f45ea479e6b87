//! Anchors of texts.

mod analyzer;
mod corpus;
mod data;
mod english;
mod explainer;
mod params;
mod perturbation;
mod rendering;
mod similarity;
mod tokenizer;
mod unknown;
mod vectors;

pub use analyzer::{Pos, TextAnalyzer, Token};
pub use data::{AnchorTextData, TextCandidate, TextExamples, TextPredicate};
pub use english::EnglishAnalyzer;
pub use explainer::{AnchorText, TextResources};
pub use params::{AnchorTextParams, Join, SamplingStrategy};
pub use tokenizer::RuleTokenizer;
pub use vectors::{VectorsError, WordVectors};
