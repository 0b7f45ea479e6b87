#![doc = include_str!("../README.md")]

mod container;
mod error;
mod graph;
mod input;
mod model;
mod operators;
mod plan;
mod thresholds;

pub use error::OnnxError;
pub use model::{OnnxModel, OnnxOptions};
