//! The tests of xai-shap in one binary, which links the crate and its dependencies once.

mod conformance;
mod golden;
mod interactions;
mod oracle;
mod outputs;
mod properties;
mod rounds;
mod settings;
#[cfg(feature = "sparse")]
mod sparse;
mod summary;
mod uncertainty;
