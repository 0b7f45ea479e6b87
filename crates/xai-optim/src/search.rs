//! The search for the closest point that the model judges as wanted.

use xai_core::error::Result;
use xai_core::run::Run;

use crate::evaluate::Evaluator;
use crate::fista::Native;
use crate::outcome::{Outcome, SearchParams};
use crate::refine::Refiner;
use crate::searched::Searched;

mod refine_candidates;

pub use refine_candidates::{DescentResult, refine_candidates};

/// Searches for the closest accepted point of each instance; `evaluator.instances` and `runs` go together.
///
/// The weights `c` are tried side by side, found points are polished by linearised margins and their smallest changes
/// reverted, and where gradients lead nowhere other ways are tried. What is returned was checked with the model once
/// more, number for number.
///
/// # Errors
/// Those of the model. A budget, clock or observer that ends the search of a single instance leaves the best so far; for
/// several instances at once it may be an error, and each is then to be searched for alone.
///
/// # Cost
/// One gradient at the start. At most `max_iterations` rounds of calls for each of two rounds of weights; in each a
/// descent asks for at most two points and one gradient. The polish asks for 20 points and a gradient in each of at most ten rounds, for up to three points of an instance.
pub fn search(
    evaluator: Evaluator<'_>,
    params: &SearchParams,
    runs: &mut [Run<'_>],
) -> Result<Vec<Outcome>> {
    let refiner = Refiner { evaluator, cost: params.cost };
    let n = evaluator.instances.len();
    let mut searched = Searched::new(n);
    let is_single = runs.len() == 1;
    let result = searched.find(&refiner, params, runs);
    searched.ended(is_single, result)?;
    let result = searched.enforce_max_changes(&refiner, params, runs);
    searched.ended(is_single, result)?;
    searched.outcomes(&refiner, &Native, runs)
}
