//! The tests of xai-intgrad in one binary, which links the crate and its dependencies once.

mod conformance;
mod golden;
mod models;
mod oracle;
mod properties;
mod quadrature;
mod settings;
mod statistical;
