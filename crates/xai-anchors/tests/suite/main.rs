//! The tests of xai-anchors in one binary, which links the crate and its dependencies once.

mod bandit;
mod budget;
mod conformance;
mod determinism;
mod errors;
mod few_rows;
#[cfg(feature = "image")]
mod image_anchors;
#[cfg(feature = "image")]
mod image_conformance;
#[cfg(feature = "image")]
mod image_pictures;
#[cfg(feature = "image")]
mod image_superpixels;
#[cfg(feature = "language-model")]
mod language_model;
mod networks;
mod oracle;
mod output;
mod reference;
mod rules;
mod statistical;
#[cfg(feature = "text")]
mod text_conformance;
#[cfg(feature = "text")]
mod text_determinism;
#[cfg(feature = "text")]
mod text_errors;
#[cfg(feature = "text")]
mod text_oracle;
