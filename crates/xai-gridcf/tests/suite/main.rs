//! The tests of xai-gridcf in one binary, which links the crate and its dependencies once.

mod conformance;
mod decisions;
mod golden;
mod oracle;
mod properties;
mod settings;
