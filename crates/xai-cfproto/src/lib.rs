#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod data;
pub mod distance;
mod explainer;
mod fit;
mod guided;
mod model;
pub mod neighbors;
mod params;
pub mod prototype;
pub mod scaling;
mod space;
pub mod trust;

pub use data::{CfProtoData, Change, Counterfactual};
pub use explainer::CfProto;
pub use model::CfProtoModel;
pub use params::CfProtoParams;
pub use xai_optim::{Route, Status, Trial};
