#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod background;
mod background_rows;
mod coalitions;
mod data;
mod design;
mod designs;
mod exact;
mod explainer;
mod game;
mod importances;
mod interactions;
mod k_means;
mod l1;
mod link;
mod paired;
mod params;
mod permutation;
mod plan;
mod reference;
mod session;
mod solution;
#[cfg(feature = "sparse")]
mod sparse;
mod strata;
mod summary;
mod uncertainty;

pub use data::{KernelShapData, Raw, UsedEstimator};
pub use explainer::KernelShap;
pub use importances::{Importance, importances, sum_columns};
pub use l1::L1Reg;
pub use link::Link;
pub use params::{Estimator, KernelShapParams, NSamples, Task};
pub use summary::SummariseBackground;
pub use uncertainty::{Intervals, Ranking};
