#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod attribution;
mod batching;
mod budget;
mod closure;
pub mod constraints;
pub mod decision;
pub mod error;
pub mod explainer;
pub mod explanation;
pub mod figure;
mod gradient;
pub mod input;
pub mod linalg;
pub mod model;
pub mod observer;
pub mod parallel;
pub mod params;
pub mod rng;
pub mod run;
pub mod serde_arrays;
pub mod tabular;

pub use attribution::Attributions;
pub use budget::Budget;
pub use closure::{
    BatchFunction, FunctionModel, IntoOutputRow, IntoOutputs, OfBatch, OfRow, per_row, predictor,
    text_predictor,
};
pub use decision::{InInterval, Output, OutputNames, Reading};
pub use error::{Error, Result, same_shape};
pub use explainer::{Explainer, MethodInfo, RunConfig};
pub use explanation::{Explanation, Meta, Status, Stop, Warning};
pub use figure::{Figure, ToFigure};
pub use gradient::CentralDifference;
pub use input::{Input, Inputs};
pub use model::{
    BlackBox, BoxError, Differentiable, ModelKind, ModelRef, Paths, Predictor, Row, Rows, Side,
    Split, WhiteBox, sum_along_paths,
};
pub use observer::{Event, InputObserver, Observer};
pub use params::{AsJson, ParamError, Params, PerFeature, Semantics, Valid, Written, require};
pub use rng::{Seed, Stream};
pub use run::{BatchPlan, Run};
