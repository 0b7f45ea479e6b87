#![doc = include_str!("../README.md")]

mod data;
mod explainer;
mod lanes;
mod params;
mod reference;

pub use data::{Change, CounterfactualData, CounterfactualRecord, Lambda};
pub use explainer::Counterfactual;
pub use params::{CounterfactualParams, DistanceFn, Init, TargetClass};
