#![doc = include_str!("../README.md")]

mod background;
mod coalitions;
mod data;
mod design;
mod designs;
mod exact;
mod explainer;
mod game;
mod importances;
mod l1;
mod link;
mod paired;
mod params;
mod permutation;
mod plan;
mod reference;
mod session;
mod solution;
mod uncertainty;

pub use data::{KernelShapData, Raw, UsedEstimator};
pub use explainer::KernelShap;
pub use importances::{Importance, importances, sum_columns};
pub use l1::L1Reg;
pub use link::Link;
pub use params::{Estimator, KernelShapParams, NSamples, Task};
pub use uncertainty::{Intervals, Ranking};
