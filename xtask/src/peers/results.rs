//! What was measured, as it is recorded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::case::{Case, Contender, Task};
use super::statistics::{Spread, largest_gap, mean, relative_squared_error};

/// The record of a task.
#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    /// The task.
    pub task: Task,
    /// Where it ran.
    pub setting: Setting,
    /// How often the sides took turns; 1 in tasks about errors.
    pub repetitions: usize,
    /// One for each case, contender and number of threads, in tasks about speed.
    pub speed: Vec<Comparison>,
    /// One for each case, budget and method, in tasks about errors.
    pub errors: Vec<ErrorCell>,
}

/// Machine, sources and versions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setting {
    /// The model of the processor.
    pub processor: String,
    /// How many threads "all" are.
    pub threads: usize,
    /// How many processes were running or waiting to run when the task began, mean over a minute; the comparison has
    /// one of its own.
    pub load: Option<f64>,
    /// The commit of this workspace.
    pub commit: String,
    /// The versions by name.
    pub versions: BTreeMap<String, String>,
}

/// How many threads a side may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Threads {
    /// One.
    One,
    /// As many as the machine has.
    All,
}

/// Ours, and a peer beside it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// The case.
    pub case: String,
    /// The threads of both.
    pub threads: Threads,
    /// What ours took.
    pub ours: Cost,
    /// The peer, in tasks that have some.
    pub peer: Option<PeerCost>,
}

/// What a peer took.
#[derive(Debug, Serialize, Deserialize)]
pub struct PeerCost {
    /// The peer.
    pub contender: Contender,
    /// Its time over ours, for one instance, over the pairs of turns.
    pub ratio: Spread,
    /// What it took.
    pub cost: Cost,
}

/// What explanations took, and what they are worth.
#[derive(Debug, Serialize, Deserialize)]
pub struct Cost {
    /// Milliseconds for one instance, over the repetitions.
    pub milliseconds: Spread,
    /// The share of time inside the model, over the repetitions.
    pub model_share: Spread,
    /// Rows that the model was asked for, for one instance.
    pub queries: f64,
    /// The largest resident set of all repetitions, in bytes.
    pub peak_memory_bytes: u64,
    /// The same before the first explanation.
    pub idle_memory_bytes: u64,
    /// The squared error relative to the squared true values, mean over the instances.
    pub squared_error: Option<f64>,
    /// The largest distance of expected value and values from the prediction.
    pub largest_gap: f64,
}

/// The error of a method at a budget.
#[derive(Debug, Serialize, Deserialize)]
pub struct ErrorCell {
    /// The case.
    pub case: String,
    /// Coalitions per player that the method may evaluate.
    pub per_player: u64,
    /// `ours` or the name of a peer.
    pub peer: String,
    /// The method.
    pub method: String,
    /// The mean over instances and seeds of the relative squared error; absent when the method failed.
    pub squared_error: Option<f64>,
    /// Rows that the model was asked for, for one instance.
    pub queries: f64,
    /// Milliseconds for one instance.
    pub milliseconds: f64,
    /// How uncertain the true values are themselves.
    pub of_truth: f64,
}

/// What a side printed.
#[derive(Debug, Deserialize)]
pub struct Report {
    /// Its version.
    pub version: String,
    /// The largest resident set, in bytes.
    pub peak_memory_bytes: u64,
    /// The same before the first explanation.
    pub idle_memory_bytes: u64,
    /// One for each run of the case.
    pub runs: Vec<RunReport>,
}

/// What one run took and found.
#[derive(Debug, Deserialize)]
pub struct RunReport {
    /// Wall clock.
    pub seconds: f64,
    /// Time inside the model, summed over threads.
    pub model_seconds: f64,
    /// Rows that the model was asked for.
    pub queries: u64,
    /// `[instance][output][player]`.
    pub values: Vec<Vec<Vec<f64>>>,
    /// `[instance][output]`.
    pub expected_values: Vec<Vec<f64>>,
}

impl RunReport {
    /// Seconds for one instance.
    #[must_use]
    pub fn seconds_each(&self) -> f64 {
        self.seconds / self.values.len() as f64
    }

    /// The mean relative squared error over the instances.
    fn squared_error(&self, case: &Case) -> Option<f64> {
        let truth = &case.truth.as_ref()?.values;
        let pairs = self.values.iter().zip(truth);
        let errors: Vec<f64> = pairs.map(|(v, truth)| relative_squared_error(v, truth)).collect();
        Some(mean(&errors))
    }
}

impl Cost {
    /// From the reports of the repetitions, each with one run; `None` without repetitions.
    #[must_use]
    pub fn of(case: &Case, reports: &[Report], threads: usize) -> Option<Self> {
        let runs = || reports.iter().filter_map(|report| report.runs.first());
        let last = runs().next_back()?;
        let share = |run: &RunReport| run.model_seconds / run.seconds / threads as f64;
        Some(Cost {
            milliseconds: Spread::of(runs().map(|run| 1e3 * run.seconds_each()))?,
            model_share: Spread::of(runs().map(share))?,
            queries: last.queries as f64 / last.values.len() as f64,
            peak_memory_bytes: reports.iter().map(|report| report.peak_memory_bytes).max()?,
            idle_memory_bytes: reports.iter().map(|report| report.idle_memory_bytes).max()?,
            squared_error: last.squared_error(case),
            largest_gap: largest_gap(&last.values, &last.expected_values, &case.predictions),
        })
    }
}

/// The cells of a method in a case, in the order of the budgets; without errors when there is no report.
#[must_use]
pub fn error_cells(
    case: &Case,
    peer: &str,
    method: &str,
    report: Option<&Report>,
) -> Vec<ErrorCell> {
    let n_players = case.truth.as_ref().map_or(1, |truth| truth.values[0][0].len().max(1)) as u64;
    let mut budgets: Vec<u64> = case.runs.iter().filter_map(|run| run.nsamples).collect();
    budgets.sort_unstable();
    budgets.dedup();
    let cell = |budget: u64| {
        let runs: Vec<&RunReport> = report.map_or_else(Vec::new, |report| {
            let pairs = case.runs.iter().zip(&report.runs);
            pairs.filter(|(run, _)| run.nsamples == Some(budget)).map(|(_, found)| found).collect()
        });
        let over_runs = |number: &dyn Fn(&RunReport) -> f64| {
            mean(&runs.iter().map(|run| number(run)).collect::<Vec<_>>())
        };
        let is_there = !runs.is_empty();
        let error = over_runs(&|run| run.squared_error(case).unwrap_or(f64::NAN));
        ErrorCell {
            case: case.case.clone(),
            per_player: budget / n_players,
            peer: peer.to_owned(),
            method: method.to_owned(),
            squared_error: error.is_finite().then_some(error),
            queries: if is_there {
                over_runs(&|run| run.queries as f64 / run.values.len() as f64)
            } else {
                0.0
            },
            milliseconds: if is_there { over_runs(&|run| 1e3 * run.seconds_each()) } else { 0.0 },
            of_truth: case.truth.as_ref().map_or(0.0, |truth| truth.relative_squared_error),
        }
    };
    budgets.into_iter().map(cell).collect()
}
