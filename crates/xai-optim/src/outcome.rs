//! The settings of a search, and what it finds.

use ndarray::Array1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::{Status, Stop};

use crate::refine::Cost;

/// Settings of a [`search`](crate::search()), as the methods make them from theirs, which they check.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchParams {
    /// What changes cost; the weight of the squares is 1 or 0.
    pub cost: Cost,
    /// The first learning rate, above 0; it falls by [`polynomial_decay`](crate::polynomial_decay).
    pub learning_rate_init: f64,
    /// The most steps of a descent, at least 1.
    pub max_iterations: usize,
    /// The first weight of the attack loss, above 0.
    pub c_init: f64,
    /// How many weights are tried, at least 1.
    pub c_steps: usize,
    /// Gradients are cut to this range coordinate by coordinate.
    pub clip: (f64, f64),
    /// A black box gives a new gradient every so many steps, at least 1; in between the last one is used again.
    pub update_num_grad: usize,
    /// A descent ends after so many steps without a gain. `None`: it takes all of its steps.
    pub patience: Option<usize>,
    /// Whether steps have momentum.
    pub momentum: bool,
    /// Whether there is an attack loss; without one, only the further terms of the problem lead to the target.
    pub attack: bool,
    /// Whether found points are polished by linearised margins.
    pub polish: bool,
    /// Whether the smallest changes of a found point are taken back where it stays valid.
    pub sparsify: bool,
    /// Whether other ways are tried where gradients found nothing.
    pub fallback: bool,
}

/// A point, what the model says of it, and what it costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The point, shape `(n_coordinates,)`.
    pub point: Array1<f64>,
    /// The model's outputs, shape `(n_outputs,)`.
    pub outputs: Array1<f64>,
    /// Its elastic-net distance from the centre, at least 0.
    pub distance: f64,
}

/// The way on which a point was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Route {
    /// It was the first point.
    Start,
    /// The descent.
    Descent,
    /// The ascent of the margin, where the descent found nothing.
    Ascent,
    /// Single coordinates, moved far.
    Sweep,
    /// The straight line to a known point of another class.
    Anchor,
    /// Random directions.
    Random,
}

/// One weight of the attack loss, as it was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Trial {
    /// The weight.
    pub c: f64,
    /// Steps that were taken.
    pub n_steps: usize,
    /// The distance of the closest accepted point; `None` where none was.
    pub distance: Option<f64>,
    /// The smallest hinge of all points that were checked; `None` where none was.
    pub smallest_hinge: Option<f64>,
}

/// What a search found for one instance.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// The closest point, if there is one.
    pub found: Option<Candidate>,
    /// The point that came closest to the target, where none reached it.
    pub nearest_miss: Option<Candidate>,
    /// The way to what was found.
    pub route: Option<Route>,
    /// The weights that were tried, in the order of the rounds.
    pub trials: Vec<Trial>,
    /// Why the search ended early, where it did; what was found is then the best so far.
    pub stop: Option<Stop>,
}

/// What is known of an instance while it is searched for.
pub(crate) struct Progress {
    /// Why the search ended early, where it did.
    pub(crate) stop: Option<Stop>,
    /// Points that the hinge accepted and the problem did not.
    pub(crate) n_rejected: usize,
    /// The point that came closest to the target.
    pub(crate) nearest: Option<NearestMiss>,
}

/// The point with the smallest hinge of those that were not accepted.
pub(crate) struct NearestMiss {
    pub(crate) hinge: f64,
    pub(crate) candidate: Candidate,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Progress { stop: None, n_rejected: 0, nearest: None }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.stop.is_none()
    }

    pub(crate) fn record_miss(&mut self, hinge: f64, candidate: impl FnOnce() -> Candidate) {
        if self.nearest.as_ref().is_none_or(|nearest| hinge < nearest.hinge) {
            self.nearest = Some(NearestMiss { hinge, candidate: candidate() });
        }
    }
}
