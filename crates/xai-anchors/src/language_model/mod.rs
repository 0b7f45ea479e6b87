//! Perturbations of a text by a masked language model: words are hidden and filled in again as the model expects them
//! in their context.

mod encoder;
mod error;
mod fillers;
mod interface;
mod loader;
mod sampler;
mod weights;
mod words;

pub use error::LanguageModelError;
pub use interface::{LanguageModel, TextToken};
pub use loader::CandleLanguageModel;
pub use sampler::{FilledTexts, LanguageModelSampler};
