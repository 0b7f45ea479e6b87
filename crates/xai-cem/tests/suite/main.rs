//! The tests of xai-cem in one binary, which links the crate and its dependencies once.

mod conformance;
mod golden;
mod gradients;
mod oracle;
mod properties;
mod settings;
