//! The tests of xai-onnx in one binary, which links the crate and its dependencies once.

mod build;
mod damage;
mod golden;
#[cfg(feature = "gradients")]
mod gradients;
mod inputs;
mod meaning;
mod operators;
mod refusals;
mod thresholds;
