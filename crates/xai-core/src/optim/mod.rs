//! The engine of gradient counterfactuals: points that the model judges otherwise, as close as they can be.
//!
//! A search runs in *lanes*, one for each instance and weight `c` of the attack loss. All lanes of a call share the
//! model's batches, and none sees its neighbours: an instance gets the same bits alone and beside others.
//!
//! The pieces, from the small to the large:
//!
//! - learning rates, momentum, proximal maps and [`Adam`] ([`polynomial_decay`], [`proximal`], ...);
//! - the weights that are tried ([`decades`] and [`refined`], or [`Sequential`], the reference's rule);
//! - [`Asker`], which asks the model for values and gradients of many points in one round of calls;
//! - [`Problem`] and [`Instance`], with which a method says what its points mean, where they may go and what they cost;
//!   [`ConstrainedRows`] is that of rows under [`Constraints`](crate::constraints::Constraints);
//! - [`search`], the whole way: lanes, polish, reverting of small changes, fallbacks, and the check of what is returned;
//!   [`complete`] is what is behind the lanes, for methods with lanes of their own.
//!
//! # Source
//! Dhurandhar et al. 2018, "Explanations based on the missing" (the loss and its weight `c`); Beck and Teboulle 2009
//! (FISTA). The grid of weights, the polish by linearised margins and the fallbacks are ours.

mod ask;
mod fallback;
mod lanes;
mod polish;
mod problem;
mod refine;
mod rows;
mod search;
mod step;
mod support;
mod weights;

pub use ask::{Answer, Asker, Question};
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
