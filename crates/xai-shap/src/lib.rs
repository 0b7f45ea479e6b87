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
mod n_samples;
mod native;
mod paired;
mod params;
mod permutation;
mod plan;
mod reference;
mod rows;
mod selected;
mod session;
mod solution;
#[cfg(feature = "sparse")]
mod sparse;
mod strata;
mod summarise_background;
mod summary;
mod uncertainty;
mod work;

pub use data::{KernelShapData, UsedEstimator};
pub use explainer::KernelShap;
pub use importances::{Importance, Importances, importances, sum_columns};
pub use l1::L1Reg;
pub use link::Link;
pub use n_samples::NSamples;
pub use params::{Estimator, KernelShapParams, Task};
pub use summarise_background::SummariseBackground;
pub use uncertainty::{Intervals, Ranking};
