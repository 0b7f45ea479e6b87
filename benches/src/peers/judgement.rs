//! What the answers of a side are worth, in numbers with names.

use anyhow::{Result, ensure};

use super::{Case, Report, RunReport};

/// What the answers of a report are worth.
#[derive(Debug)]
pub struct Judgement {
    /// One for each run of the case.
    pub runs: Vec<RunJudgement>,
    /// How uncertain the known truth is itself, as a squared error relative to it; 0 when it is exact or there is none.
    pub of_truth: f64,
}

/// What the answers of a run are worth.
#[derive(Debug)]
pub struct RunJudgement {
    /// The coalitions per player that the run was allowed, in tasks at equal budgets.
    pub per_player: Option<u64>,
    /// Numbers by name, in the order in which a table shows them.
    pub qualities: Vec<(String, f64)>,
}

impl Judgement {
    /// Judges the answers of a report to the case, whoever gave them, where it matters beside those of another.
    ///
    /// # Errors
    /// When an answer does not have the form of the method.
    pub fn of(case: &Case, report: &Report, beside: Option<&Report>) -> Result<Self> {
        let others: &[RunReport] = beside.map_or(&[], |report| &report.runs);
        for run in report.runs.iter().chain(others) {
            ensure!(
                run.answers.len() == run.instances && run.instances <= case.instances.nrows(),
                "a run has {} answers for {} instances",
                run.answers.len(),
                run.instances
            );
        }
        case.explainer.settings().judge(case, &report.runs, others)
    }
}
