#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod data;
mod explainer;
mod model;
mod native;
mod params;
mod problem;
mod reference;
mod rules;

pub use data::CemData;
pub use explainer::Cem;
pub use model::CemModel;
pub use params::{CemParams, Mode, NoInfo};
pub use xai_core::Status;
pub use xai_core::tabular::Change;
pub use xai_optim::{Classes, Counterfactual, Distances, GradientSearchParams, Route, Trial};
