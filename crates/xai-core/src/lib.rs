#![doc = include_str!("../README.md")]

#[cfg(feature = "candle")]
pub mod candle;
pub mod constraints;
pub mod error;
pub mod explainer;
pub mod explanation;
pub mod figure;
pub mod input;
mod interval;
pub mod linalg;
pub mod loss;
pub mod model;
pub mod nested;
pub mod optim;
pub mod parallel;
pub mod params;
pub mod rng;
pub mod run;
pub mod tabular;

pub use error::{Error, Result, same_shape};
pub use explainer::{About, Explainer, Runs};
pub use explanation::{Explanation, Meta, Stop, Warning};
pub use figure::Figure;
pub use input::Input;
pub use interval::InInterval;
pub use model::{
    Access, BoxError, CentralDifference, Cut, Differentiable, Paths, Predictor, Row, Rows,
};
pub use params::{ParamError, Params, PerFeature, Semantics, Valid, require};
pub use rng::{Seed, Stream};
pub use run::{Batch, Budget, Event, Observer, Run};
