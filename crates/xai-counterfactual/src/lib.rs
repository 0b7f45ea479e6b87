#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod data;
mod descent;
mod explainer;
mod native;
mod params;
mod record;
mod reference;
mod rules;

pub use data::{CounterfactualData, Hit, Lambda, Step};
pub use explainer::Counterfactual;
pub use params::{CounterfactualParams, DistanceFn, TargetClass};
pub use xai_core::Status;
pub use xai_core::tabular::Change;
pub use xai_optim::{Classes, Distances, GradientSearchParams, Route};
