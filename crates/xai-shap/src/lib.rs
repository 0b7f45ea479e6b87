#![doc = include_str!("../README.md")]

mod background;
mod coalitions;
mod data;
mod design;
mod exact;
mod explainer;
mod game;
mod importances;
mod link;
mod paired;
mod params;
mod plan;

pub use data::{KernelShapData, Raw};
pub use explainer::KernelShap;
pub use importances::{Importance, importances, sum_columns};
pub use link::Link;
pub use params::{Estimator, KernelShapParams, NSamples, Task};
