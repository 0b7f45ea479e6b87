#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod baselines;
mod data;
mod explainer;
mod integral;
mod layout;
mod moments;
mod params;
pub mod quadrature;
pub mod reference;
mod sampling;
mod semantics;
mod session;
mod target;

pub use baselines::{BaselineValue, Baselines, Distribution, Several};
pub use data::IntegratedGradientsData;
pub use explainer::IntegratedGradients;
pub use layout::InputTensor;
pub use params::{IntegratedGradientsParams, NoiseKind, NoiseTunnel};
pub use target::Target;
