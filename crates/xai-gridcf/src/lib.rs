#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod combination;
mod customised;
mod data;
mod distance;
mod explainer;
mod grid;
mod params;
mod ranges;
mod search;
mod target;

pub use customised::{Customised, CustomisedParams};
pub use data::{Change, GridCounterfactualData, OutOfRange, Outcome};
pub use distance::Distance;
pub use explainer::GridCounterfactual;
pub use params::{Anchor, AnswerScope, GridCounterfactualParams};
pub use ranges::{Cell, FeatureRange, Grid};
pub use target::{Label, Prediction, Target};
