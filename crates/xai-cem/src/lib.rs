#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod data;
mod explainer;
mod model;
mod params;
mod problem;

pub use data::{CemData, Distances, Prediction};
pub use explainer::Cem;
pub use model::CemModel;
pub use params::{CemParams, Interval, Mode, NoInfo};
pub use xai_core::tabular::Change;
pub use xai_optim::{Route, Status, Trial};
