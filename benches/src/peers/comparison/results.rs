//! What was measured, as it is recorded.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::statistics::{Spread, mean};
use crate::peers::{Contender, Judgement, Report, RunJudgement, RunReport, TaskAbout};

/// The quality that tasks about errors compare.
const ERROR: &str = "squared error";

/// The record of a task.
#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    /// The task.
    pub task: TaskAbout,
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
    /// The share of our time that should be inside the model at least.
    pub model_share_goal: Option<f64>,
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
    /// Calls of the model that carried them, for one instance; absent where they were not counted.
    pub calls: Option<f64>,
    /// The largest resident set of all repetitions, in bytes.
    pub peak_memory_bytes: u64,
    /// The same before the first explanation.
    pub idle_memory_bytes: u64,
    /// What the answers of the last repetition are worth, by name in the order of the table's columns.
    pub qualities: Vec<(String, f64)>,
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

impl Comparison {
    /// What both sides took, ours first.
    pub fn costs(&self) -> impl Iterator<Item = &Cost> {
        std::iter::once(&self.ours).chain(self.peer.as_ref().map(|peer| &peer.cost))
    }
}

impl Cost {
    /// From the reports of the repetitions, each with one run, and the judgement of the last; `None` without
    /// repetitions.
    #[must_use]
    pub fn of<'r>(
        reports: impl Iterator<Item = &'r Report> + Clone,
        judgement: &Judgement,
        threads: usize,
    ) -> Option<Self> {
        let runs = || reports.clone().filter_map(|report| report.runs.first());
        let last = runs().last()?;
        let share = |run: &RunReport| run.model_seconds / run.seconds / threads as f64;
        let qualities = judgement.runs.first()?.qualities.iter();
        Some(Cost {
            milliseconds: Spread::of(runs().map(|run| 1e3 * run.seconds_each()))?,
            model_share: Spread::of(runs().map(share))?,
            queries: last.queries as f64 / last.instances as f64,
            calls: Some(last.calls as f64 / last.instances as f64),
            peak_memory_bytes: reports.clone().map(|report| report.peak_memory_bytes).max()?,
            idle_memory_bytes: reports.map(|report| report.idle_memory_bytes).max()?,
            qualities: qualities.filter(|(_, number)| number.is_finite()).cloned().collect(),
        })
    }

    /// The quality of this name.
    #[must_use]
    pub fn quality(&self, name: &str) -> Option<f64> {
        self.qualities.iter().find(|(other, _)| other == name).map(|(_, number)| *number)
    }
}

/// The cells of a method in a case, one for each of our budgets in their order; without errors when the method gave no
/// report.
#[must_use]
pub fn error_cells(
    case: &str,
    peer: &str,
    method: &str,
    ours: &Judgement,
    found: Option<(&Report, &Judgement)>,
) -> Vec<ErrorCell> {
    let budgets: BTreeSet<u64> = ours.runs.iter().filter_map(|run| run.per_player).collect();
    let cell = |budget: u64| {
        let runs: Vec<(&RunReport, &RunJudgement)> =
            found.map_or_else(Vec::new, |(report, judgement)| {
                let pairs = report.runs.iter().zip(&judgement.runs);
                pairs.filter(|(_, judgement)| judgement.per_player == Some(budget)).collect()
            });
        let over_runs = |number: &dyn Fn(&RunReport, &RunJudgement) -> f64| {
            mean(&runs.iter().map(|(run, judgement)| number(run, judgement)).collect::<Vec<_>>())
        };
        let is_there = !runs.is_empty();
        let error = over_runs(&|_, judgement| {
            let quality = judgement.qualities.iter().find(|(name, _)| name == ERROR);
            quality.map_or(f64::NAN, |(_, number)| *number)
        });
        ErrorCell {
            case: case.to_owned(),
            per_player: budget,
            peer: peer.to_owned(),
            method: method.to_owned(),
            squared_error: error.is_finite().then_some(error),
            queries: if is_there {
                over_runs(&|run, _| run.queries as f64 / run.instances as f64)
            } else {
                0.0
            },
            milliseconds: if is_there {
                over_runs(&|run, _| 1e3 * run.seconds_each())
            } else {
                0.0
            },
            of_truth: ours.of_truth,
        }
    };
    budgets.into_iter().map(cell).collect()
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "small whole numbers and powers of two are exact")]
mod tests {
    use super::*;

    fn report(seconds: &[f64]) -> Report {
        let run = |&seconds: &f64| RunReport {
            seconds,
            model_seconds: seconds / 4.0,
            queries: 48,
            calls: 6,
            instances: 2,
            answers: Vec::new(),
        };
        Report {
            version: "1".to_owned(),
            peak_memory_bytes: 9,
            idle_memory_bytes: 4,
            runs: seconds.iter().map(run).collect(),
        }
    }

    fn judgement(errors: &[(u64, f64)]) -> Judgement {
        let run = |&(budget, error): &(u64, f64)| RunJudgement {
            per_player: Some(budget),
            qualities: vec![(ERROR.to_owned(), error), ("gap".to_owned(), 0.5)],
        };
        Judgement { runs: errors.iter().map(run).collect(), of_truth: 0.125 }
    }

    #[test]
    fn costs_are_of_one_instance_and_qualities_keep_their_order() {
        let reports = [report(&[1.0]), report(&[3.0])];
        let cost = Cost::of(reports.iter(), &judgement(&[(8, 0.25)]), 2).unwrap();
        assert_eq!(cost.milliseconds, Spread { median: 1000.0, min: 500.0, max: 1500.0 });
        assert_eq!(cost.model_share.median, 0.125);
        assert_eq!((cost.queries, cost.calls), (24.0, Some(3.0)));
        let names: Vec<&str> = cost.qualities.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [ERROR, "gap"]);
        assert_eq!(cost.quality("gap"), Some(0.5));
        assert_eq!(cost.quality("coverage"), None);
        let unknown = Cost::of(reports.iter(), &judgement(&[(8, f64::NAN)]), 2).unwrap();
        assert_eq!(unknown.quality(ERROR), None);
    }

    #[test]
    fn runs_of_one_budget_share_a_cell_and_who_failed_has_cells_without_errors() {
        let ours = judgement(&[(32, 1.0), (8, 2.0), (8, 4.0)]);
        let cells = error_cells("a", "p", "m", &ours, Some((&report(&[2.0, 4.0, 8.0]), &ours)));
        let numbers: Vec<_> =
            cells.iter().map(|c| (c.per_player, c.squared_error, c.milliseconds)).collect();
        assert_eq!(numbers, [(8, Some(3.0), 3000.0), (32, Some(1.0), 1000.0)]);
        assert_eq!((cells[0].queries, cells[0].of_truth), (24.0, 0.125));
        let failed = error_cells("a", "p", "m", &ours, None);
        let numbers: Vec<_> = failed.iter().map(|c| (c.per_player, c.squared_error)).collect();
        assert_eq!(numbers, [(8, None), (32, None)]);
    }
}
