#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod container;
mod error;
#[cfg(feature = "gradients")]
mod gradients;
mod graph;
mod input;
mod model;
mod operators;
mod plan;
mod thresholds;

pub use error::OnnxError;
#[cfg(feature = "gradients")]
pub use gradients::{NetworkOptions, OnnxNetwork};
pub use model::{OnnxModel, OnnxOptions};
