//! The part of a search behind the descent.

use super::{Candidate, Outcome, Route, SearchParams, Searched};
use crate::error::Result;
use crate::explanation::Stop;
use crate::optim::ask::Asker;
use crate::optim::refine::Refiner;
use crate::run::Run;

/// What a descent of a method's own found for one instance; see [`complete`].
#[derive(Clone, Debug, Default)]
pub struct Descended {
    /// Accepted points, in any order.
    pub found: Vec<Candidate>,
    /// Whether the only one is where the search started.
    pub at_start: bool,
    /// The point with the smallest hinge of those that were not accepted.
    pub nearest: Option<Candidate>,
    /// Why the descent ended early, where it did.
    pub stop: Option<Stop>,
}

/// The part of a [`search`](super::search()) behind the descent, for methods that have a descent of their own: fallbacks, polish, the
/// taking back of small changes and the last check. `descended` has one for each instance.
///
/// Of `params` what concerns the descent is not used; the semantics is taken to be the native one.
///
/// # Errors
/// As [`search`](super::search()).
///
/// # Cost
/// As the polish and the fallbacks of [`search`](super::search()).
pub fn complete(
    asker: Asker<'_>,
    params: &SearchParams,
    runs: &mut [Run<'_>],
    descended: Vec<Descended>,
) -> Result<Vec<Outcome>> {
    let refiner = Refiner { asker, cost: params.cost };
    let mut searched = Searched::new(descended.len());
    for (instance, own) in descended.into_iter().enumerate() {
        searched.progress[instance].stop = own.stop;
        if let Some(nearest) = own.nearest {
            let hinge = asker.instances[instance].hinge.value(&nearest.outputs);
            searched.progress[instance].miss(hinge, || nearest);
        }
        if !own.found.is_empty() {
            searched.route[instance] =
                Some(if own.at_start { Route::Start } else { Route::Descent });
        }
        own.found.into_iter().for_each(|candidate| searched.keep(instance, candidate));
    }
    let alone = runs.len() == 1;
    if params.fallback {
        let ended = searched.fall_back(&refiner, runs);
        searched.ended(alone, ended)?;
    }
    let ended = searched.refine(&refiner, params, runs);
    searched.ended(alone, ended)?;
    let ended = searched.thin_out(&refiner, params, runs);
    searched.ended(alone, ended)?;
    searched.outcomes(&refiner, runs)
}
