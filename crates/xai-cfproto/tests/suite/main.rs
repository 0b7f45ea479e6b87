//! The tests of xai-cfproto in one binary, which links the crate and its dependencies once.

mod conformance;
mod golden;
mod oracle;
mod properties;
mod search;
