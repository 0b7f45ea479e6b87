#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod activation;
mod chain;
mod convolution;
mod direct;
mod error;
mod graph;
mod input;
mod linear;
mod model;
mod paths;
mod pooling;
mod real;
mod window;

/// The version of candle that this crate works with.
pub use candle_core;
/// The version of candle's layers and loaders that this crate works with.
pub use candle_nn;

pub use activation::{Flatten, Relu, relu};
pub use chain::CandleChain;
pub use convolution::{Conv2d, Conv2dConfig};
pub use error::CandleError;
pub use graph::{Graph, Layer, LayerPullback, Pullback, by_candle, trace_joined};
pub use input::CandleInput;
pub use linear::Linear;
pub use model::CandleModel;
pub use pooling::{AvgPool2d, MaxPool2d, Pool2dConfig, avg_pool2d, max_pool2d};
