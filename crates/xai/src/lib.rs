#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alibi")]
pub mod alibi;
#[cfg(feature = "job")]
pub mod job;
pub mod prelude;

/// The arrays of rows, outputs and answers.
pub use ndarray;
/// Models, runs, explanations, features and figures.
pub use xai_core as core;
/// What every method returns.
pub use xai_core::Explanation;

/// Anchors of rows, texts and images.
#[cfg(feature = "anchors")]
pub use xai_anchors as anchors;
/// Models of candle, with gradients.
#[cfg(feature = "candle")]
pub use xai_candle as candle;
/// Contrastive explanations.
#[cfg(feature = "cem")]
pub use xai_cem as cem;
/// Counterfactuals guided by prototypes.
#[cfg(feature = "cfproto")]
pub use xai_cfproto as cfproto;
/// Counterfactuals by gradient.
#[cfg(feature = "counterfactual")]
pub use xai_counterfactual as counterfactual;
/// Counterfactuals by grid search.
#[cfg(feature = "gridcf")]
pub use xai_gridcf as gridcf;
/// Integrated gradients.
#[cfg(feature = "intgrad")]
pub use xai_intgrad as intgrad;
/// Models from ONNX files.
#[cfg(feature = "onnx")]
pub use xai_onnx as onnx;
/// KernelSHAP.
#[cfg(feature = "shap")]
pub use xai_shap as shap;
