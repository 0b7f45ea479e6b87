#![doc = include_str!("../README.md")]

mod background;
mod background_rows;
mod coalitions;
mod data;
mod design;
mod exact;
mod explainer;
mod game;
mod importances;
mod k_means;
mod link;
mod paired;
mod params;
mod plan;
#[cfg(feature = "sparse")]
mod sparse;
mod summary;

pub use data::{KernelShapData, Raw};
pub use explainer::KernelShap;
pub use importances::{Importance, importances, sum_columns};
pub use link::Link;
pub use params::{Estimator, KernelShapParams, NSamples, Task};
pub use summary::SummariseBackground;
