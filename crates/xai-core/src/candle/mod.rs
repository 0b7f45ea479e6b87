//! Models of [candle](candle_core) as predictors with gradients, behind the feature `candle`.
//!
//! [`CandleModel`] makes any [`Module`](candle_core::Module) or function of tensors a
//! [`Predictor`](crate::Predictor) and [`Differentiable`](crate::Differentiable).
//! [`Linear`], [`Conv2d`], [`relu`], [`max_pool2d`] and [`avg_pool2d`] stand in for candle's own where gradients are
//! wanted fast on a processor: their weights are constants, and their results do not depend on the other rows of a
//! batch. Both kinds mix freely. As a [`Layer`] of its own each also has a way back that is shorter than candle's.
//!
//! ```
//! use ndarray::array;
//! use xai_core::candle::candle_core::{Device, Tensor};
//! use xai_core::candle::{CandleInput, CandleModel, Linear, Relu};
//! use xai_core::{Differentiable, Predictor};
//!
//! let weight = Tensor::new(&[[1.0_f32, -2.0], [0.5, 1.0]], &Device::Cpu)?;
//! let model = CandleModel::chain([CandleInput::new([2])])
//!     .layer("dense", Linear::new(&weight, None)?)
//!     .layer("relu", Relu)
//!     .build()?;
//! let row = array![[1.0, 1.0]];
//! assert_eq!(model.predict(&row)?, array![[0.0, 1.5]]);
//! assert_eq!(model.vjp(&row, &array![[1.0, 1.0]])?, array![[0.5, 1.0]]);
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```

mod activation;
mod chain;
mod convolution;
mod direct;
mod error;
mod graph;
mod input;
mod linear;
mod memory;
mod model;
mod paths;
mod pooling;
mod real;
mod window;

/// The version of candle that this module works with.
pub use candle_core;
/// The version of candle's layers and loaders that this module works with.
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
