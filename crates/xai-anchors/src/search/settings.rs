//! The settings of the search, checked once for all modalities.

use xai_core::{Error, ParamError, Run, Semantics, require};

use crate::bandit::Exploration;

/// What the search needs to know; each modality's params hold these under the same names, with their documentation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub threshold: f64,
    pub delta: f64,
    pub tau: f64,
    pub exploration: Exploration,
    pub batch_size: usize,
    pub beam_size: usize,
    pub stop_on_first: bool,
    pub max_anchor_size: Option<usize>,
    pub min_samples_start: usize,
    pub epsilon_stop: f64,
    pub max_samples: u64,
    pub coverage_sweep: bool,
    pub coverage_gain: f64,
    pub strict: bool,
    pub final_samples: usize,
    pub top_k: usize,
    pub n_covered_ex: usize,
    pub verbose: bool,
    pub verbose_every: usize,
    pub semantics: Semantics,
}

/// The most samples that one request may be for.
const MOST: usize = 1 << 24;

impl Settings {
    pub(crate) fn validate(&self) -> Result<(), ParamError> {
        let open = |x: f64| 0.0 < x && x < 1.0;
        let half_open = |x: f64| 0.0 < x && x <= 1.0;
        let count = |n: usize| (1..=MOST).contains(&n);
        let counting = "at least 1 and at most 2^24";
        require(half_open(self.threshold), "threshold", "above 0 and at most 1", self.threshold)?;
        require(open(self.delta), "delta", "above 0 and below 1", self.delta)?;
        require(half_open(self.tau), "tau", "above 0 and at most 1", self.tau)?;
        require(count(self.batch_size), "batch_size", counting, self.batch_size)?;
        require(count(self.beam_size), "beam_size", counting, self.beam_size)?;
        let size = self.max_anchor_size;
        require(size != Some(0), "max_anchor_size", "at least 1, or none", size)?;
        require(
            count(self.min_samples_start),
            "min_samples_start",
            counting,
            self.min_samples_start,
        )?;
        let margin = self.epsilon_stop;
        let rule = || format!("above 0 and at most the threshold {}", self.threshold);
        require(0.0 < margin && margin <= self.threshold, "epsilon_stop", rule(), margin)?;
        let rule = "at least min_samples_start";
        let most = self.max_samples;
        require(self.min_samples_start as u64 <= most, "max_samples", rule, most)?;
        let gain = self.coverage_gain;
        require(gain.is_finite() && 0.0 <= gain, "coverage_gain", "finite and at least 0", gain)?;
        let most = self.final_samples;
        require(most <= MOST, "final_samples", "at most 2^24", most)?;
        let rule = "at least 1 for a strict search, which accepts by them";
        require(!self.strict || 0 < most, "final_samples", rule, most)?;
        require(1 <= self.verbose_every, "verbose_every", "at least 1", self.verbose_every)
    }

    /// Requires a budget for the instance and the first look at the empty anchor.
    pub(crate) fn require_budget(&self, run: &Run<'_>) -> xai_core::Result<()> {
        let needed = 1 + self.min_samples_start as u64;
        match run.queries_left().filter(|&left| left < needed) {
            Some(given) => Err(Error::Budget { what: "the budget of queries", given, needed }),
            None => Ok(()),
        }
    }
}
