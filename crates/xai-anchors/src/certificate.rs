//! The precision of an anchor, estimated from samples that the search has not seen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bandit::Counts;
use crate::interval;

/// The precision of the returned anchor on fresh samples.
///
/// The estimate of the search is the mean of samples that made it choose the anchor, and so too large on average; these
/// samples were drawn afterwards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Certificate {
    /// Fresh samples; the model was asked for each of them.
    pub n_samples: u64,
    /// Those for which the model decides as for the instance.
    pub positives: u64,
    /// Their share, an unbiased estimate of the precision.
    pub precision: f64,
    /// The exact lower bound on the precision (Clopper & Pearson 1934).
    pub lower_bound: f64,
    /// The probability with which the bound holds: `1 - delta`, and more in a strict search after an anchor that failed.
    pub confidence: f64,
    /// Whether the bound is at least the threshold.
    pub clears_threshold: bool,
}

impl Certificate {
    pub(crate) fn new(counts: Counts, risk: f64, threshold: f64) -> Self {
        let lower_bound = interval::lower(counts, risk);
        Certificate {
            n_samples: counts.n_samples,
            positives: counts.positives,
            precision: counts.mean(),
            lower_bound,
            confidence: 1.0 - risk,
            clears_threshold: threshold <= lower_bound,
        }
    }
}
