//! Perturbations of a text by a masked language model: words are hidden and filled in again as the model expects them
//! in their context.

mod encoder;
mod fillers;
mod interface;
mod loader;
mod sampler;
mod weights;
mod words;

pub use interface::{LanguageModel, TextToken};
pub use loader::{CandleLanguageModel, LanguageModelError};
pub use sampler::{FilledTexts, LanguageModelSampler};
