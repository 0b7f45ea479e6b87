//! The parts of an explanation that all modalities share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::figure::Table;

use crate::bandit::{Counts, Step};
use crate::certificate::Certificate;
use crate::interval::Interval;
use crate::search::Candidate;

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The empty anchor holds: the model decides alike for nearly all perturbations, whatever is held fixed.
    Empty,
    /// An anchor holds.
    Found,
    /// No anchor that was considered is precise enough; the most precise one is returned.
    NotFound,
    /// The search was stopped by a budget, the clock or the observer; what is returned is the best so far.
    BudgetExhausted,
}

/// A share that was estimated from samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// Samples.
    pub n_samples: u64,
    /// Successes among them.
    pub positives: u64,
    /// Their share; 0 without samples.
    pub mean: f64,
    /// The exact two-sided interval at `1 - delta`. It takes the number of samples as given, while the search goes on
    /// sampling what looks good: the certificate does not have this flaw.
    pub interval: Interval,
}

impl Estimate {
    pub(crate) fn new(counts: Counts, delta: f64) -> Self {
        Estimate {
            n_samples: counts.n_samples,
            positives: counts.positives,
            mean: counts.mean(),
            interval: Interval::exact(counts, delta),
        }
    }
}

/// The share of the coverage set that an anchor covers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// Rows of the coverage set.
    pub n_rows: usize,
    /// Those that satisfy the anchor.
    pub n_covered: usize,
    /// Their share.
    pub coverage: f64,
    /// Whether the coverage set is all there is, such as all training rows, so that the share is exact; otherwise it
    /// is a sample.
    pub exact: bool,
    /// The exact two-sided interval at `1 - delta` around the share of all; `null` where that is known.
    pub interval: Option<Interval>,
}

impl Coverage {
    pub(crate) fn new(n_covered: usize, n_rows: usize, exact: bool, delta: f64) -> Self {
        let counts = Counts { n_samples: n_rows as u64, positives: n_covered as u64 };
        Coverage {
            n_rows,
            n_covered,
            coverage: counts.mean(),
            exact,
            interval: (!exact).then(|| Interval::exact(counts, delta)),
        }
    }
}

/// Rows that the model was asked for, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Queries {
    /// The instance itself.
    pub instance: u64,
    /// Perturbations of the search.
    pub search: u64,
    /// Perturbations of certificates.
    pub certificate: u64,
    /// Requests of the search, each for one batch or several.
    pub search_requests: u64,
}

/// An anchor as a table: precision and coverage from the base rate through each predicate, then what is certain.
pub(crate) struct Held<'d> {
    pub reason: &'d str,
    pub base_rate: &'d Estimate,
    /// Each predicate in words, with the precision and the coverage of the anchor up to it.
    pub held: Vec<(String, Estimate, f64)>,
    pub certificate: Option<&'d Certificate>,
}

impl Held<'_> {
    pub(crate) fn table(&self) -> Table {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let row = |held: &str, of: &Estimate, coverage: f64| {
            let [lower, upper] = [of.interval.lower, of.interval.upper].map(percent);
            let precision = format!("{} ({lower} to {upper})", percent(of.mean));
            vec![held.to_owned(), precision, of.n_samples.to_string(), percent(coverage)]
        };
        let mut rows = vec![row("anything", self.base_rate, 1.0)];
        rows.extend(self.held.iter().map(|(held, of, coverage)| row(held, of, *coverage)));
        if let Some(own) = self.certificate {
            let coverage = self.held.last().map_or(1.0, |(_, _, coverage)| *coverage);
            rows.push(vec![
                "on fresh samples".to_owned(),
                format!("{} (at least {})", percent(own.precision), percent(own.lower_bound)),
                own.n_samples.to_string(),
                percent(coverage),
            ]);
        }
        let columns = ["held so far", "precision", "samples", "coverage"];
        let columns = columns.map(str::to_owned).to_vec();
        Table { title: self.reason.to_owned(), columns, rows }
    }
}

/// One step of the bandit, as `verbose` asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceStep {
    /// The number of predicates of the anchors that compete.
    pub size: usize,
    /// The step, counted from 1 for each size.
    pub step: u64,
    /// The least certain of the best, as indices of predicates.
    pub best: Vec<usize>,
    /// Its precision so far.
    pub best_mean: f64,
    /// Its samples.
    pub best_n_samples: u64,
    /// Its lower bound.
    pub best_lower_bound: f64,
    /// The most promising of the others.
    pub challenger: Vec<usize>,
    /// Its precision so far.
    pub challenger_mean: f64,
    /// Its samples.
    pub challenger_n_samples: u64,
    /// Its upper bound.
    pub challenger_upper_bound: f64,
}

impl TraceStep {
    pub(crate) fn new(
        step: &Step,
        [best, challenger]: [&Candidate; 2],
        [of_best, of_challenger]: [Counts; 2],
    ) -> Self {
        TraceStep {
            size: best.order.len(),
            step: step.step,
            best: best.order.clone(),
            best_mean: of_best.mean(),
            best_n_samples: of_best.n_samples,
            best_lower_bound: step.lower_bound,
            challenger: challenger.order.clone(),
            challenger_mean: of_challenger.mean(),
            challenger_n_samples: of_challenger.n_samples,
            challenger_upper_bound: step.upper_bound,
        }
    }
}
