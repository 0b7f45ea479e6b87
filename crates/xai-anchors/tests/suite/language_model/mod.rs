//! Perturbations by masked language models: the sampler with a model of fixed scores, and the loader with small models.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    reason = "tests; probabilities of 0 and 1 are exact; ids are small"
)]

mod explanation;
mod fake;
mod fills;
mod hidden_words;
mod loader;
mod split;
mod trained;
