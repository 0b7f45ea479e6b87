#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod adam;
mod answer;
mod evaluate;
mod fallback;
mod fista;
pub mod loss;
mod models;
mod outcome;
mod polish;
mod problem;
pub mod reference;
mod refine;
mod rows;
mod search;
mod searched;
mod settings;
mod step;
mod support;
mod weights;

pub use adam::Adam;
pub use answer::{
    Classes, Counterfactual, Distances, bars_of_changes, median, outputs_of_rows, reason,
    table_of_changes,
};
pub use evaluate::{Evaluation, Evaluator, Query, evaluate_rows};
pub use outcome::{Candidate, Outcome, Route, SearchParams, Trial};
pub use problem::{DistanceParts, Instance, Problem};
pub use refine::Cost;
pub use rows::{ConstrainedRows, require_inside};
pub use search::{DescentResult, refine_candidates, search};
pub use settings::{GradientSearchParams, NoUnknownKeys, close_schema, close_squared_error_schema};
pub use step::{linear_decay, momentum, polynomial_decay, proximal, shrink};
pub use weights::{decades, refined};
