#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod data;
pub mod distance;
mod explainer;
mod fit;
mod model;
mod native;
pub mod neighbors;
mod objective;
mod params;
pub mod prototype;
pub mod reference;
mod rules;
pub mod scaling;
mod space;
pub mod trust;

pub use data::CfProtoData;
pub use explainer::CfProto;
pub use model::CfProtoModel;
pub use params::CfProtoParams;
pub use xai_core::Status;
pub use xai_core::tabular::Change;
pub use xai_optim::{Classes, Counterfactual, Distances, GradientSearchParams, Route, Trial};
