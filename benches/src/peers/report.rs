//! Our side of a task: explain, count, time, report.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use ndarray::{Array2, s};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use xai_core::{BoxError, Differentiable, Predictor, Rows};

use super::Case;
use crate::timed;

/// What a side prints about a case, as one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
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
#[derive(Debug, Serialize, Deserialize)]
pub struct RunReport {
    /// Wall clock for all instances.
    pub seconds: f64,
    /// The part of it inside the model, summed over threads.
    pub model_seconds: f64,
    /// Rows that the model was asked for.
    pub queries: u64,
    /// Calls of the model that carried them.
    pub calls: u64,
    /// How many instances were explained.
    pub instances: usize,
    /// One for each instance, in the form of the method.
    pub answers: Vec<Value>,
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
        let runs = case.explainer.settings().explain(case, &instances)?;
        Ok(Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            peak_memory_bytes: peak_memory()?,
            idle_memory_bytes,
            runs,
        })
    }
}

impl RunReport {
    /// Seconds for one instance.
    #[must_use]
    pub fn seconds_each(&self) -> f64 {
        self.seconds / self.instances as f64
    }

    /// Times `explain` with a model that is counted, and puts its answers into their form outside the clock.
    ///
    /// # Errors
    /// When an explanation fails or an answer is no JSON.
    pub(super) fn timed<X: Batch + ?Sized, E, A: Serialize>(
        model: &dyn Predictor<X>,
        explain: impl FnOnce(&dyn Predictor<X>) -> Vec<xai_core::Result<E>>,
        answer: impl Fn(E) -> A,
    ) -> Result<Self> {
        let meter = Meter::default();
        Self::metered(&meter, || explain(&Metered::new(model, &meter)), answer)
    }

    /// As [`metered`](Self::metered), but the seconds are those of the processor, of as many repetitions as a second
    /// holds, and the part inside the model is the share that it has of their wall clock.
    ///
    /// # Errors
    /// When an explanation fails, an answer is no JSON, or the system tells no processor time.
    pub(super) fn by_processor<E, A: Serialize>(
        meter: &Meter,
        explain: impl Fn() -> Vec<xai_core::Result<E>>,
        answer: impl Fn(E) -> A,
    ) -> Result<Self> {
        let run = Self::metered(meter, &explain, answer)?;
        meter.reset();
        let start = processor_seconds()?;
        let (mut n_repetitions, mut wall) = (0.0, 0.0);
        let spent = loop {
            wall += timed(&explain).1;
            n_repetitions += 1.0;
            let spent = processor_seconds()? - start;
            if 1.0 <= spent {
                break spent;
            }
        };
        let seconds = spent / n_repetitions;
        let model_seconds = seconds * meter.seconds() / wall;
        Ok(RunReport { seconds, model_seconds, ..run })
    }

    /// Times `explain`, which asks models that `meter` counts, and puts its answers into their form outside the clock.
    ///
    /// # Errors
    /// When an explanation fails or an answer is no JSON.
    pub(super) fn metered<E, A: Serialize>(
        meter: &Meter,
        explain: impl FnOnce() -> Vec<xai_core::Result<E>>,
        answer: impl Fn(E) -> A,
    ) -> Result<Self> {
        meter.reset();
        let (explanations, seconds) = timed(explain);
        let answers = explanations
            .into_iter()
            .map(|explanation| Ok(serde_json::to_value(answer(explanation?))?))
            .collect::<Result<Vec<_>>>()?;
        Ok(RunReport {
            seconds,
            model_seconds: meter.seconds(),
            queries: meter.rows.load(Ordering::Relaxed),
            calls: meter.calls.load(Ordering::Relaxed),
            instances: answers.len(),
            answers,
        })
    }
}

/// What a model is asked about at once.
pub(super) trait Batch {
    /// How many instances there are.
    fn n_rows(&self) -> usize;
}

impl Batch for Rows {
    fn n_rows(&self) -> usize {
        self.nrows()
    }
}

impl Batch for [String] {
    fn n_rows(&self) -> usize {
        self.len()
    }
}

/// Calls of a model, the rows it is asked for and the time it takes.
#[derive(Default)]
pub(super) struct Meter {
    rows: AtomicU64,
    calls: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Meter {
    fn reset(&self) {
        for count in [&self.rows, &self.calls, &self.nanoseconds] {
            count.store(0, Ordering::Relaxed);
        }
    }

    fn seconds(&self) -> f64 {
        self.nanoseconds.load(Ordering::Relaxed) as f64 * 1e-9
    }

    /// Counts calls.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a duration in nanoseconds is a small positive number"
    )]
    fn count(&self, n_rows: usize, calls: u64, seconds: f64) {
        self.rows.fetch_add(n_rows as u64, Ordering::Relaxed);
        self.calls.fetch_add(calls, Ordering::Relaxed);
        self.nanoseconds.fetch_add((seconds * 1e9) as u64, Ordering::Relaxed);
    }
}

/// A model that a meter counts.
pub(super) struct Metered<'m, M: ?Sized> {
    model: &'m M,
    meter: &'m Meter,
    counts_rows: bool,
}

impl<'m, M: ?Sized> Metered<'m, M> {
    /// The model under explanation.
    pub(super) fn new(model: &'m M, meter: &'m Meter) -> Self {
        Metered { model, meter, counts_rows: true }
    }

    /// A model that guides the search: its time is spent in models, but nobody asked it what is explained.
    pub(super) fn guide(model: &'m M, meter: &'m Meter) -> Self {
        Metered { model, meter, counts_rows: false }
    }

    fn count(&self, n_rows: usize, seconds: f64) {
        let (n_rows, calls) = if self.counts_rows { (n_rows, 1) } else { (0, 0) };
        self.meter.count(n_rows, calls, seconds);
    }
}

impl<X: Batch + ?Sized, M: Predictor<X> + ?Sized> Predictor<X> for Metered<'_, M> {
    #[allow(clippy::disallowed_methods, reason = "a wrapper asks the model it wraps")]
    fn predict(&self, batch: &X) -> Result<Array2<f64>, BoxError> {
        let (outputs, seconds) = timed(|| self.model.predict(batch));
        self.count(batch.n_rows(), seconds);
        outputs
    }

    fn max_batch(&self) -> usize {
        self.model.max_batch()
    }
}

#[allow(clippy::disallowed_methods, reason = "a wrapper asks the model it wraps")]
impl<M: Differentiable + ?Sized> Differentiable for Metered<'_, M> {
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        let (gradients, seconds) = timed(|| self.model.vjp(batch, cotangent));
        self.count(batch.nrows(), seconds);
        gradients
    }

    fn value_and_vjp(
        &self,
        batch: &Rows,
        cotangent: &mut dyn FnMut(&Rows) -> Array2<f64>,
    ) -> Result<(Array2<f64>, Array2<f64>), BoxError> {
        // Between its two passes the model waits for the explainer.
        let mut outside = 0.0;
        let mut waiting = |outputs: &Rows| {
            let (slopes, seconds) = timed(|| cotangent(outputs));
            outside += seconds;
            slopes
        };
        let (result, seconds) = timed(|| self.model.value_and_vjp(batch, &mut waiting));
        self.count(batch.nrows(), seconds - outside);
        result
    }
}

/// What the process has had of processors so far, all threads together, in seconds, by ticks of a hundredth.
fn processor_seconds() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").context("processor time needs Linux")?;
    // The name of the program, in parentheses, may hold anything.
    let (_, fields) = text.rsplit_once(')').context("no name in /proc/self/stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? * 0.01)
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
