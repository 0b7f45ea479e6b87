//! The parts of an explanation that all modalities share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::figure::Table;
use xai_core::{Output, OutputNames, ParamError, Status, Stop, require};

use crate::bandit::{Counts, Step};
use crate::certificate::Certificate;
pub(crate) use crate::decision::Decision;
use crate::interval::Interval;
use crate::search::Candidate;

/// What the explanations of rows, texts and images share; in JSON its keys stand beside those of the method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct AnchorResult {
    /// The share of perturbations for which the model decides as for the instance, as the search estimated it: too large
    /// on average, since the anchor was chosen for it. `certificate` has an estimate without that bias.
    pub precision: f64,
    /// The share that the anchor covers: of training rows for a table, of perturbations for texts and images.
    pub coverage: f64,
    /// How the search ended: `found`, `empty` (the anchor without conditions is valid), `not-found` (no anchor that was
    /// considered is precise enough; the most precise one is returned) or `stopped` (the best so far is returned).
    pub status: Status,
    /// What the status means, in a sentence.
    pub reason: String,
    /// What ended the search early; `converged` when nothing did.
    pub stop: Stop,
    /// Whether the returned anchor passed the test of validity, and in a strict search its certificate.
    pub valid: bool,
    /// The model's decision for the instance: a class, a label, the number of a bin, or a quantity.
    pub decision: f64,
    /// What the model's outputs were read as; never `auto`.
    pub output: Output,
    /// The names of the classes, where the model has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
    /// The precision on fresh samples; `null` without `final_samples`, and when the budget left none.
    pub certificate: Option<Certificate>,
    /// The coverage, with its counts and its interval.
    pub coverage_of: Coverage,
    /// The precision of the empty anchor: how often the model decides as for the instance when nothing is fixed.
    pub base_rate: Estimate,
    /// The highest precision that a chosen anchor of each size had, from one predicate on.
    pub best_of_size: Vec<Estimate>,
    /// What the model was asked.
    pub queries: Queries,
    /// The steps of the bandit, with `verbose`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<TraceStep>,
}

impl AnchorResult {
    /// The title of a figure: the decision by name, and the conditions of its anchor, or of the most precise candidate
    /// where none is an anchor.
    pub(crate) fn title(&self, names: &OutputNames, conditions: &str) -> String {
        let decision = self.decision_name(names);
        match (self.valid, conditions) {
            (true, "") => format!("Anchor for {decision}: no condition needed"),
            (true, _) => format!("Anchor for {decision}: {conditions}"),
            (false, "") => format!("No anchor for {decision}"),
            (false, _) => {
                format!("No anchor for {decision}; the most precise candidate: {conditions}")
            }
        }
    }

    /// The decision for the instance by its name, among `names` or else those that the model has; that of a score in bins
    /// is its range.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "classes and bins are whole numbers of at least 0"
    )]
    pub fn decision_name(&self, names: &OutputNames) -> String {
        let index = self.decision as usize;
        let of_model = OutputNames::new(&self.class_names);
        let names = if names.as_slice().is_empty() { &of_model } else { names };
        match &self.output {
            Output::Within { tolerance, .. } => format!("{} ± {tolerance}", self.decision),
            Output::Label if self.decision < 0.0 => format!("label {}", self.decision),
            Output::Bins { edges, target } => {
                // As many names as bins may be those of outputs or of bins: the range is true of either.
                let is_clear = names.as_slice().len() != edges.len() + 1;
                let name = names.as_slice().get(*target).filter(|_| is_clear).cloned();
                let name = name.unwrap_or_else(|| format!("output {target}"));
                let lower = index.checked_sub(1).and_then(|below| edges.get(below));
                match (lower, edges.get(index)) {
                    (Some(lower), Some(upper)) => format!("{lower} <= {name} < {upper}"),
                    (Some(lower), None) => format!("{name} >= {lower}"),
                    (None, Some(upper)) => format!("{name} < {upper}"),
                    (None, None) => format!("any {name}"),
                }
            }
            output => names.class_of(index, output),
        }
    }
}

/// The number of predicates of a partial anchor: `size`, or all of them for `None`.
///
/// # Errors
/// [`ParamError`] named `size` when the anchor has fewer.
pub(crate) fn partial_size(size: Option<usize>, n_predicates: usize) -> Result<usize, ParamError> {
    let size = size.unwrap_or(n_predicates);
    let rule = format!("at most the anchor's {n_predicates} predicates");
    require(size <= n_predicates, "size", rule, size)?;
    Ok(size)
}

/// As [`partial_size`], for an anchor of at least one predicate.
pub(crate) fn nonempty_size(size: Option<usize>, n_predicates: usize) -> Result<usize, ParamError> {
    let size = partial_size(size, n_predicates)?;
    require(0 < size, "size", "at least 1", size)?;
    Ok(size)
}

/// A share that was estimated from samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Estimate {
    /// Samples.
    pub n_samples: u64,
    /// Successes among them.
    pub positives: u64,
    /// Their share; 0 without samples.
    pub mean: f64,
    /// The exact two-sided interval at `1 - delta`. It takes the number of samples as given, although the search samples
    /// promising anchors more often; the certificate does not have this bias.
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
#[non_exhaustive]
pub struct Coverage {
    /// Rows of the coverage set.
    pub n_rows: usize,
    /// Those that satisfy the anchor.
    pub n_covered: usize,
    /// Their share.
    pub coverage: f64,
    /// Whether the share is exact, for instance because the coverage set is all training rows; otherwise the set is a
    /// sample.
    pub exact: bool,
    /// The exact two-sided interval at `1 - delta` around the share; `null` for an exact one.
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
#[non_exhaustive]
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

/// One line of an [`AnchorTable`]: a partial anchor.
pub(crate) struct TableRow {
    /// The predicate that it ends with, in words.
    pub predicate: String,
    pub precision: Estimate,
    pub coverage: f64,
}

/// An anchor as a table: precision and coverage from the base rate through each predicate, then the certificate.
pub(crate) struct AnchorTable<'d> {
    pub result: &'d AnchorResult,
    pub rows: Vec<TableRow>,
}

impl AnchorTable<'_> {
    pub(crate) fn table(&self) -> Table {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let row = |predicate: &str, precision: &Estimate, coverage: f64| {
            let Interval { lower, upper } = precision.interval;
            let share = percent(precision.mean);
            vec![
                predicate.to_owned(),
                format!("{share} ({} to {})", percent(lower), percent(upper)),
                precision.n_samples.to_string(),
                percent(coverage),
            ]
        };
        let mut rows = vec![row("no condition", &self.result.base_rate, 1.0)];
        rows.extend(self.rows.iter().map(|r| row(&r.predicate, &r.precision, r.coverage)));
        if let Some(certificate) = &self.result.certificate {
            let Certificate { precision, lower_bound, n_samples, .. } = certificate;
            rows.push(vec![
                "on fresh samples".to_owned(),
                format!("{} (at least {})", percent(*precision), percent(*lower_bound)),
                n_samples.to_string(),
                percent(self.rows.last().map_or(1.0, |last| last.coverage)),
            ]);
        }
        let columns = ["conditions so far", "precision", "samples", "coverage"];
        let columns = columns.map(str::to_owned).to_vec();
        Table { title: self.result.reason.clone(), columns, rows }
    }
}

/// One step of the bandit, as `verbose` asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
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
