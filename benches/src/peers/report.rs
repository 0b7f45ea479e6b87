//! Our side of a task: explain, count, time, report.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use ndarray::{Array2, Array3, Axis, s};
use serde::Serialize;
use xai_core::tabular::Features;
use xai_core::{BoxError, Explainer, Predictor, Rows, Runs, nested};
use xai_shap::{KernelShapParams, NSamples};

use super::{Case, Method, RunSettings};
use crate::timed;

/// What a side prints about a case, as one line of JSON.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The version of the explainer.
    pub version: String,
    /// The largest resident set of the process, in bytes.
    pub peak_memory_bytes: u64,
    /// The same before the first explanation: interpreter, libraries, task.
    pub idle_memory_bytes: u64,
    /// One for each of the case's runs.
    pub runs: Vec<RunReport>,
}

/// What one run took and found.
#[derive(Debug, Serialize)]
pub struct RunReport {
    /// Wall clock for all instances.
    pub seconds: f64,
    /// The part of it inside the model, summed over threads.
    pub model_seconds: f64,
    /// Rows that the model was asked for.
    pub queries: u64,
    /// Shape `(n_instances, n_outputs, n_players)`.
    #[serde(with = "nested")]
    pub values: Array3<f64>,
    /// Shape `(n_instances, n_outputs)`.
    #[serde(with = "nested")]
    pub expected_values: Array2<f64>,
}

impl Report {
    /// Explains the first `n_instances` of the case, all of them when absent.
    ///
    /// # Errors
    /// When the case asks for what is not there, or an explanation fails.
    pub fn of(case: &Case, n_instances: Option<usize>) -> Result<Self> {
        let n_instances = n_instances.unwrap_or(case.instances.nrows());
        ensure!(n_instances <= case.instances.nrows(), "the case has fewer instances");
        let instances = case.instances.slice(s![..n_instances, ..]).to_owned();
        let idle_memory_bytes = peak_memory()?;
        let runs = match case.explainer {
            Method::KernelShap => kernel_shap(case, &instances)?,
        };
        Ok(Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            peak_memory_bytes: peak_memory()?,
            idle_memory_bytes,
            runs,
        })
    }
}

fn kernel_shap(case: &Case, instances: &Rows) -> Result<Vec<RunReport>> {
    let model = case.model.predictor();
    let run = |(index, settings): (usize, &RunSettings)| {
        let nsamples = settings.nsamples.map_or(NSamples::Auto, NSamples::Count);
        let params = KernelShapParams { nsamples, ..params(case) };
        let explainer =
            params.fit(&case.background, Features::unnamed(case.background.ncols())?)?;
        let runs = Runs::seeded(settings.seed);
        if index == 0 {
            explainer.explain(model, &instances.row(0), runs.run())?;
        }
        let metered = Metered::new(model);
        let (explanations, seconds) = timed(|| explainer.explain_rows(&metered, instances, &runs));
        let explanations = explanations.into_iter().collect::<xai_core::Result<Vec<_>>>()?;
        let values: Vec<_> = explanations.iter().map(|one| one.data.shap_values.clone()).collect();
        let expected: Vec<_> =
            explanations.iter().map(|one| one.data.expected_value.view()).collect();
        Ok(RunReport {
            seconds,
            model_seconds: metered.nanoseconds.into_inner() as f64 * 1e-9,
            queries: metered.rows.into_inner(),
            values: stacked(&values),
            expected_values: ndarray::stack(Axis(0), &expected)?,
        })
    };
    case.runs.iter().enumerate().map(run).collect()
}

/// The settings of the case, but for the number of coalitions.
pub(super) fn params(case: &Case) -> KernelShapParams {
    KernelShapParams {
        estimator: case.estimator,
        link: case.link,
        groups: case.groups.clone(),
        ..Default::default()
    }
}

/// One matrix for each instance, on a new first axis.
pub(super) fn stacked(matrices: &[Array2<f64>]) -> Array3<f64> {
    let views: Vec<_> = matrices.iter().map(|matrix| matrix.view()).collect();
    ndarray::stack(Axis(0), &views).expect("all instances have as many outputs and players")
}

/// A model that counts the rows it is asked for and the time it takes.
struct Metered<'m> {
    model: &'m dyn Predictor,
    rows: AtomicU64,
    nanoseconds: AtomicU64,
}

impl<'m> Metered<'m> {
    fn new(model: &'m dyn Predictor) -> Self {
        Metered { model, rows: AtomicU64::new(0), nanoseconds: AtomicU64::new(0) }
    }
}

impl Predictor for Metered<'_> {
    #[allow(clippy::disallowed_methods, reason = "a wrapper asks the model it wraps")]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a duration in nanoseconds is a small positive number"
    )]
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        let (outputs, seconds) = timed(|| self.model.predict(batch));
        self.rows.fetch_add(batch.nrows() as u64, Ordering::Relaxed);
        self.nanoseconds.fetch_add((seconds * 1e9) as u64, Ordering::Relaxed);
        outputs
    }

    fn max_batch(&self) -> usize {
        self.model.max_batch()
    }
}

/// The largest resident set so far, in bytes; Linux tells it.
fn peak_memory() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("peak memory needs Linux")?;
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB"))
        .context("no VmHWM in /proc/self/status")?;
    Ok(kilobytes.trim().parse::<u64>()? * 1024)
}
