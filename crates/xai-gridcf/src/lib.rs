#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod combination;
mod data;
mod distance;
mod explainer;
mod functions;
mod grid;
mod params;
mod ranges;
mod reference;
mod rules;
mod search;
mod target;
mod with_functions;

pub use data::{GridCounterfactualData, OutOfRange};
pub use distance::Distance;
pub use explainer::GridCounterfactual;
pub use functions::Functions;
pub use grid::Anchor;
pub use params::GridCounterfactualParams;
pub use ranges::{Cell, FeatureRange, Grid};
pub use search::AnswerScope;
pub use target::{Label, Prediction, Target};
pub use with_functions::WithFunctions;
