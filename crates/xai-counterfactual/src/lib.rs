#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod data;
mod explainer;
mod lanes;
mod params;
mod record;
mod reference;

pub use data::{CounterfactualData, CounterfactualRecord, Lambda};
pub use explainer::Counterfactual;
pub use params::{CounterfactualParams, DistanceFn, Init, TargetClass};
pub use xai_core::tabular::Change;
