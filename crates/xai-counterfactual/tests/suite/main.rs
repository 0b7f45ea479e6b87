//! The tests of xai-counterfactual in one binary, which links the crate and its dependencies once.

mod conformance;
mod cost;
mod golden;
mod gradient;
mod interval;
mod oracle;
mod properties;
mod rows;
mod settings;
