//! The part of a search behind the descent.

use super::{Candidate, Outcome, Route, SearchParams, Searched};
use crate::ask::Evaluator;
use crate::refine::{Owned, Refiner};
use xai_core::error::Result;
use xai_core::explanation::Stop;
use xai_core::run::Run;

/// What a descent of a method's own found for one instance; see [`complete`].
#[derive(Clone, Debug, Default)]
pub struct Descended {
    /// Accepted points, in any order.
    pub found: Vec<Candidate>,
    /// The way on which they were found, `None` for the descent. Points of [`Route::Anchor`] are known ones that may be far
    /// away; they are moved towards the centre first.
    pub route: Option<Route>,
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
/// As the polish and the fallbacks of [`search`](super::search()); for each point of [`Route::Anchor`] 30 queries, and for
/// at most 32 passes 16 for each coordinate that differs from the centre.
pub fn complete(
    asker: Evaluator<'_>,
    params: &SearchParams,
    runs: &mut [Run<'_>],
    descended: Vec<Descended>,
) -> Result<Vec<Outcome>> {
    let refiner = Refiner { asker, cost: params.cost };
    let mut searched = Searched::new(descended.len());
    let mut anchors = Vec::new();
    for (instance, own) in descended.into_iter().enumerate() {
        searched.progress[instance].stop = own.stop;
        if let Some(nearest) = own.nearest {
            let hinge = asker.instances[instance].hinge.value(&nearest.outputs);
            searched.progress[instance].miss(hinge, || nearest);
        }
        if !own.found.is_empty() {
            searched.route[instance] = own.route.or(Some(Route::Descent));
        }
        if own.route == Some(Route::Anchor) {
            let owned = |candidate: &Candidate| Owned { instance, candidate: candidate.clone() };
            anchors.extend(own.found.iter().map(owned));
        }
        own.found.into_iter().for_each(|candidate| searched.keep(instance, candidate));
    }
    let alone = runs.len() == 1;
    if params.fallback {
        let ended = searched.fall_back(&refiner, runs);
        searched.ended(alone, ended)?;
    }
    if !anchors.is_empty() {
        let ended = refiner.tighten(runs, &mut searched.progress, &mut anchors);
        searched.ended(alone, ended)?;
    }
    anchors.into_iter().for_each(|own| searched.keep(own.instance, own.candidate));
    let ended = searched.refine(&refiner, params, runs);
    searched.ended(alone, ended)?;
    let ended = searched.thin_out(&refiner, params, runs);
    searched.ended(alone, ended)?;
    searched.outcomes(&refiner, runs)
}
