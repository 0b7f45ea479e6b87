//! The part of a search behind the descent.

use crate::evaluate::Evaluator;
use crate::fista::Native;
use crate::outcome::{Candidate, Outcome, Route, SearchParams};
use crate::refine::{FoundPoint, Refiner};
use crate::searched::Searched;
use xai_core::error::Result;
use xai_core::explanation::Stop;
use xai_core::run::Run;

/// What the descent of a method found for one instance; see [`refine_candidates`].
#[derive(Clone, Debug, Default)]
pub struct DescentResult {
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

/// The part of a [`search`](super::search()) behind the descent, for methods with another descent than FISTA: fallbacks, polish, the
/// reverting of small changes and the last check. `results` has one for each instance.
///
/// Of `params` what concerns the descent is not used.
///
/// # Errors
/// As [`search`](super::search()).
///
/// # Cost
/// As the polish and the fallbacks of [`search`](super::search()); for each point of [`Route::Anchor`] 30 queries, and for
/// at most 32 passes 16 for each coordinate that differs from the centre.
pub fn refine_candidates(
    evaluator: Evaluator<'_>,
    params: &SearchParams,
    runs: &mut [Run<'_>],
    results: Vec<DescentResult>,
) -> Result<Vec<Outcome>> {
    let refiner = Refiner { evaluator, cost: params.cost };
    let mut searched = Searched::new(results.len());
    let mut anchors = Vec::new();
    for (instance, result) in results.into_iter().enumerate() {
        searched.progress[instance].stop = result.stop;
        if let Some(nearest) = result.nearest {
            let hinge = evaluator.instances[instance].hinge.value(&nearest.outputs);
            searched.progress[instance].record_miss(hinge, || nearest);
        }
        if !result.found.is_empty() {
            searched.route[instance] = result.route.or(Some(Route::Descent));
        }
        if result.route == Some(Route::Anchor) {
            let owned =
                |candidate: &Candidate| FoundPoint { instance, candidate: candidate.clone() };
            anchors.extend(result.found.iter().map(owned));
        }
        result.found.into_iter().for_each(|candidate| searched.record(instance, candidate));
    }
    let is_single = runs.len() == 1;
    if params.fallback {
        let result = searched.fall_back(&refiner, runs);
        searched.ended(is_single, result)?;
    }
    if !anchors.is_empty() {
        let result = refiner.tighten(runs, &mut searched.progress, &mut anchors);
        searched.ended(is_single, result)?;
    }
    anchors
        .into_iter()
        .for_each(|found_point| searched.record(found_point.instance, found_point.candidate));
    let result = searched.refine(&refiner, params, runs);
    searched.ended(is_single, result)?;
    let result = searched.enforce_max_changes(&refiner, params, runs);
    searched.ended(is_single, result)?;
    searched.outcomes(&refiner, &Native, runs)
}
