#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod ask;
mod fallback;
mod lanes;
pub mod loss;
mod polish;
mod problem;
mod refine;
mod rows;
mod search;
mod step;
mod support;
mod weights;

pub use ask::{Answer, Evaluator, Question};
pub use problem::{Instance, Problem};
pub use refine::Cost;
pub use rows::{ConstrainedRows, require_inside};
pub use search::{
    Candidate, Descended, Outcome, Route, SearchParams, Status, Trial, complete, search,
};
pub use step::{
    Adam, keep_away, keep_toward, linear_decay, momentum, polynomial_decay, proximal, shrink,
    shrink_one_sided,
};
pub use weights::{Sequential, decades, refined};
