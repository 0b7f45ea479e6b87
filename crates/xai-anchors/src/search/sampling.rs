//! What the search asks of a modality.

use xai_core::{Result, Run};

use crate::bits::Bits;

/// The perturbations of one instance, and the predicates that may hold for them.
///
/// The search knows predicates by number alone; what they mean, how a perturbation is drawn and what the model is
/// asked is the modality's.
pub(crate) trait Neighborhood {
    /// How many predicates there are; the instance satisfies each.
    fn n_predicates(&self) -> usize;

    /// The rows of the coverage set that satisfy each predicate.
    fn covered(&self, predicate: usize) -> &Bits;

    /// How many rows the coverage set has.
    fn n_coverage(&self) -> usize;

    /// How many rows of the coverage set count as covered by an anchor, of which `counted` satisfy it. Where the share
    /// is known it counts instead, so that no noise decides between anchors.
    fn n_covered(&self, anchor: &[usize], counted: usize) -> usize {
        let _ = anchor;
        counted
    }

    /// Whether a predicate holds wherever the anchor does, whatever the data.
    fn implied(&self, predicate: usize, anchor: &[usize]) -> bool;

    /// Draws perturbations for each request, asks the model about all of them at once, and returns for which it decides as
    /// for the instance.
    ///
    /// What a request gives depends on the request alone, not on what was drawn before or is drawn beside it.
    fn draw(&mut self, requests: &[Request<'_>], run: &mut Run<'_>) -> Result<Vec<Bits>>;

    /// The most queries that requests may cost.
    fn price(&self, requests: &[Request<'_>]) -> u64 {
        requests.iter().map(|request| request.n_samples as u64).sum()
    }

    /// For each predicate, the perturbations of a request of the search that satisfy it; the request is identified by any of
    /// its samples.
    fn satisfies(&self, sample: &SampleId) -> Vec<Bits>;
}

/// Perturbations wanted for an anchor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    /// The anchor's predicates in the order in which they were added.
    pub order: &'a [usize],
    /// The search itself, or the certificate: their samples are independent.
    pub purpose: Purpose,
    /// How many requests this anchor has made before for this purpose.
    pub batch: u64,
    /// How many perturbations.
    pub n_samples: usize,
}

/// What samples are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// To find an anchor.
    Search,
    /// To estimate its precision, unseen by the search.
    Certificate,
}

/// One perturbation, to be drawn again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SampleId {
    /// The anchor it was drawn for, in the order of its predicates.
    pub order: Vec<usize>,
    /// The request.
    pub batch: u64,
    /// How many perturbations the request was for.
    pub n_samples: usize,
    /// Which of them.
    pub index: usize,
}

impl SampleId {
    /// Whether both are samples of one request.
    pub(crate) fn is_of_the_request_of(&self, other: &SampleId) -> bool {
        self.batch == other.batch && self.n_samples == other.n_samples && self.order == other.order
    }
}
