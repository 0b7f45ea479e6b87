//! One run of one explainer: its seed, its budget, and the only place that calls the model.

use std::ops::{ControlFlow, Range};

use ndarray::{Array1, Array2, s};

use crate::batching::{Parts, rows_per_call};
use crate::budget::Budget;
use crate::decision::{OutputReading, Reading};
use crate::error::{Error, Result, same_shape};
use crate::explanation::{Stop, Warning};
use crate::input::all_finite;
use crate::model::{Differentiable, Paths, Predictor, Rows};
use crate::observer::{Event, InputObserver, Observer, RunObserver};
use crate::parallel;
use crate::rng::Seed;

mod query;

pub use query::BatchPlan;

/// Calls in one wave of [`Run::stream`]: the most that run side by side.
/// A constant, so that the places where a run can stop do not depend on the number of threads.
const CALLS_PER_WAVE: usize = 8;

/// What one explanation needs besides its data: seed, budget, observer, and the only place that calls the model.
pub struct Run<'o> {
    seed: Seed,
    /// The seed before the input's own took its place.
    shared_seed: Seed,
    budget: Budget<'o>,
    observer: Option<RunObserver<'o>>,
    queries: u64,
    warnings: Vec<Warning>,
    /// How the outputs were read, where the method reads them as decisions.
    output: Option<OutputReading>,
    /// A request to stop that came with the last rows of a stream, for the next one.
    stopped: Option<Stop>,
}

impl<'o> Run<'o> {
    /// A run without limits or observer.
    #[must_use]
    pub fn seeded(seed: impl Into<Seed>) -> Self {
        let seed = seed.into();
        Run {
            seed,
            shared_seed: seed,
            budget: Budget::default(),
            observer: None,
            queries: 0,
            warnings: Vec::new(),
            output: None,
            stopped: None,
        }
    }

    /// The same run under a budget.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget<'o>) -> Self {
        self.budget = budget;
        self
    }

    /// The same run, observed.
    #[must_use]
    pub fn with_observer(mut self, observer: &'o mut dyn Observer) -> Self {
        self.observer = Some(RunObserver::One(observer));
        self
    }

    /// The same run, observed as that of one of many inputs.
    #[must_use]
    pub(crate) fn with_input_observer(
        mut self,
        index: usize,
        observer: &'o dyn InputObserver,
    ) -> Self {
        self.observer = Some(RunObserver::OfInput(index, observer));
        self
    }

    /// The seed. Inside [`Explainer::compute`](crate::Explainer::compute) it is the input's own.
    #[must_use]
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// The seed that all inputs of a call have in common: what they share may be drawn from its children, since an
    /// input alone then draws the same.
    #[must_use]
    pub fn shared_seed(&self) -> Seed {
        self.shared_seed
    }

    /// Whether the run may be stopped before its work is done: it has an observer, a deadline or a cancel function.
    #[must_use]
    pub fn can_stop(&self) -> bool {
        self.observer.is_some() || self.budget.can_expire()
    }

    /// Rows the model was asked for so far.
    #[must_use]
    pub fn queries(&self) -> u64 {
        self.queries
    }

    /// Rows the model may still be asked for; `None` without a limit.
    #[must_use]
    pub fn queries_left(&self) -> Option<u64> {
        self.budget.queries.map(|limit| limit.saturating_sub(self.queries))
    }

    /// Records in `meta.output` how the model's outputs were read.
    pub fn record_output(&mut self, reading: &Reading) {
        self.output.get_or_insert_with(|| reading.to_meta());
    }

    /// Attaches a warning to the explanation (`meta.warnings`), once for each code.
    pub fn warn(&mut self, code: &str, message: impl Into<String>) {
        if self.warnings.iter().all(|warning| warning.code != code) {
            self.warnings.push(Warning { code: code.to_owned(), message: message.into() });
        }
    }

    /// Notifies the observer; `Break` when the observer or the budget's clock says stop.
    pub fn report(&mut self, event: Event<'_>) -> ControlFlow<Stop> {
        if let Some(observer) = &mut self.observer
            && observer.on(event).is_break()
        {
            return ControlFlow::Break(Stop::Observer);
        }
        if self.budget.is_expired() {
            return ControlFlow::Break(Stop::Deadline);
        }
        ControlFlow::Continue(())
    }

    /// Outputs for a batch, shape `(n_rows, n_outputs)`, checked and counted.
    ///
    /// # Errors
    /// [`Error::Stopped`] when the budget forbids so many rows, [`Error::Shape`] for a batch or an output of the
    /// wrong shape, [`Error::NotFinite`] for an output, [`Error::Predictor`] when the model fails.
    ///
    /// # Cost
    /// One query per row.
    pub fn predict(&mut self, model: &dyn Predictor, x: &Rows) -> Result<Array2<f64>> {
        self.queries += self.admit(model, x.dim(), 1)?;
        in_calls(x.nrows(), rows_per_call(model, x.ncols()), |rows| {
            call_model(model, &x.slice(s![rows.clone(), ..]), rows)
        })
    }

    /// Outputs for texts, shape `(texts.len(), n_outputs)`, checked and counted.
    ///
    /// # Errors
    /// As [`predict`](Self::predict), without those of the batch's shape.
    ///
    /// # Cost
    /// One query per text, in calls of [`Predictor::max_batch`] texts.
    pub fn predict_texts(
        &mut self,
        model: &dyn Predictor<[String]>,
        texts: &[String],
    ) -> Result<Array2<f64>> {
        self.charge(texts.len() as u64)?;
        in_calls(texts.len(), model.max_batch().max(1), |rows| {
            call_model(model, &texts[rows.clone()], rows)
        })
    }

    /// Counts rows whose outputs are known from another run of the same call, as if the model had been asked for them
    /// again: what a run costs must not depend on its neighbours.
    ///
    /// # Errors
    /// [`Error::Stopped`] when the budget forbids so many rows.
    pub fn charge_cached(&mut self, n_rows: u64) -> Result<()> {
        self.charge(n_rows)
    }

    /// Counts rows that the budget allows.
    fn charge(&mut self, n_rows: u64) -> Result<()> {
        if self.queries_left().is_some_and(|left| left < n_rows) {
            return Err(Error::Stopped(Stop::Budget));
        }
        self.queries += n_rows;
        Ok(())
    }

    /// One output for a batch, shape `(n_rows,)`.
    ///
    /// # Errors
    /// As [`predict`](Self::predict), and [`Error::Param`] when the model has no output `target`.
    ///
    /// # Cost
    /// One query per row.
    pub fn output(
        &mut self,
        model: &dyn Predictor,
        x: &Rows,
        target: usize,
    ) -> Result<Array1<f64>> {
        let outputs = self.predict(model, x)?;
        if x.nrows() == 0 {
            return Ok(Array1::zeros(0));
        }
        let rule = || format!("below the model's {} outputs", outputs.ncols());
        crate::params::require(target < outputs.ncols(), "target", rule(), target)?;
        Ok(outputs.column(target).to_owned())
    }

    /// Asks the model for rows that are made as they are needed, and never holds them all.
    ///
    /// `shape` is `(n_rows, n_features)` of the whole.
    /// `fill(first, block)` writes rows `first..first + block.nrows()` and may run on any thread;
    /// `fold(first, outputs)` takes the outputs of these rows, in order, on this one.
    /// The places where batches are cut depend on the model and the width alone, never on the number of threads.
    ///
    /// # Errors
    /// As [`predict`](Self::predict); [`Error::Stopped`] too when the observer or the clock stopped the run after a wave and
    /// there is another one to come, in this stream or the next. Work that is done is never thrown away.
    ///
    /// # Cost
    /// One query per row; memory for eight batches.
    pub fn stream(
        &mut self,
        model: &dyn Predictor,
        shape: (usize, usize),
        fill: impl Fn(usize, &mut Rows) + Sync + Send,
        mut fold: impl FnMut(usize, &Rows) -> Result<()>,
    ) -> Result<()> {
        let (n_rows, n_features) = shape;
        Run::stream_batched(
            std::slice::from_mut(self),
            model,
            (&[n_rows], n_features),
            |_, first, block| fill(first, block),
            |_, first, outputs| fold(first, outputs),
        )
    }

    /// As [`stream`](Self::stream) for several runs, whose rows share the calls: a batch may hold the last rows of one
    /// run and the first of the next.
    ///
    /// `shape` holds the number of rows of each run, in the order of `runs`, and the number of features.
    /// `fill` and `fold` also receive the index of the run. Each run counts its rows and notifies its
    /// observer.
    ///
    /// # Errors
    /// As [`stream`](Self::stream), for all the runs at once: when the budget of one of them forbids its rows, nothing
    /// is asked.
    ///
    /// # Cost
    /// One query per row; memory for eight batches.
    pub fn stream_batched(
        runs: &mut [Run<'_>],
        model: &dyn Predictor,
        shape: (&[usize], usize),
        fill: impl Fn(usize, usize, &mut Rows) + Sync + Send,
        mut fold: impl FnMut(usize, usize, &Rows) -> Result<()>,
    ) -> Result<()> {
        let (sizes, n_features) = shape;
        for (run, &n_rows) in runs.iter().zip(sizes) {
            run.admit(model, (n_rows, n_features), 1)?;
        }
        let parts = Parts::new(sizes);
        let n_rows = parts.n_rows();
        let size = rows_per_call(model, n_features).min(n_rows.max(1));
        let buffer = || Array2::zeros((size, n_features));
        let mut n_outputs = None;
        for wave in (0..n_rows).step_by(CALLS_PER_WAVE * size) {
            let wave_rows = wave..(wave + CALLS_PER_WAVE * size).min(n_rows);
            for (part, rows) in parts.of(wave_rows.clone()) {
                if let Some(stop) = runs[part].stopped {
                    return Err(Error::Stopped(stop));
                }
                runs[part].queries += rows.len() as u64;
            }
            let of_call = |call: usize| {
                let first = wave_rows.start + call * size;
                first..(first + size).min(wave_rows.end)
            };
            let calls = wave_rows.len().div_ceil(size);
            let outputs = parallel::map_with(0..calls, buffer, |buffer, call| {
                let rows = of_call(call);
                for (part, part_rows) in parts.of(rows.clone()) {
                    let first = parts.starts[part] + part_rows.start - rows.start;
                    fill(
                        part,
                        part_rows.start,
                        &mut buffer.slice_mut(s![first..first + part_rows.len(), ..]),
                    );
                }
                call_model(model, &buffer.slice(s![..rows.len(), ..]), rows)
            });
            for (call, outputs) in outputs.into_iter().enumerate() {
                let outputs = outputs?;
                let n_outputs = *n_outputs.get_or_insert(outputs.ncols());
                same_shape("the model's output", &[outputs.nrows(), n_outputs], outputs.shape())?;
                let rows = of_call(call);
                for (part, part_rows) in parts.of(rows.clone()) {
                    let first = parts.starts[part] + part_rows.start - rows.start;
                    fold(
                        part,
                        part_rows.start,
                        &outputs.slice(s![first..first + part_rows.len(), ..]),
                    )?;
                }
            }
            for (part, part_rows) in parts.of(wave_rows) {
                let (done, total) = (part_rows.end as u64, sizes[part] as u64);
                let step = Event::Step { done, total: Some(total) };
                runs[part].stopped = runs[part].report(step).break_value();
            }
        }
        Ok(())
    }

    /// Vector-Jacobian products for a batch, shape of `x`; `cotangent` has shape `(n_rows, n_outputs)`.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    ///
    /// # Cost
    /// [`Differentiable::vjp_queries`] per row: 1 for a white box, `2 * n_features` for central differences.
    #[allow(clippy::disallowed_methods, reason = "the only place that calls the model")]
    pub fn vjp(
        &mut self,
        model: &dyn Differentiable,
        x: &Rows,
        cotangent: &Rows,
    ) -> Result<Array2<f64>> {
        same_shape("the cotangent", &[x.nrows(), cotangent.ncols()], cotangent.shape())?;
        self.queries += self.admit(model, x.dim(), model.vjp_queries(x.ncols()))?;
        let size = rows_per_call(model, x.ncols());
        let starts: Vec<usize> = (0..x.nrows()).step_by(size).collect();
        let blocks = parallel::map(0..starts.len(), |call| {
            let range = starts[call]..(starts[call] + size).min(x.nrows());
            let (x, cotangent) = (x.slice(s![range.clone(), ..]), cotangent.slice(s![range, ..]));
            let gradient = model
                .vjp(&x, &cotangent)
                .map_err(|source| Error::Predictor { rows: x.nrows(), source })?;
            same_shape("the model's gradient", x.shape(), gradient.shape())?;
            finite_from(starts[call], "the model's gradient", &gradient)?;
            Ok(gradient)
        });
        let mut gradients = Array2::zeros(x.dim());
        for (start, block) in starts.iter().zip(blocks.into_iter().collect::<Result<Vec<_>>>()?) {
            gradients.slice_mut(s![*start..start + block.nrows(), ..]).assign(&block);
        }
        Ok(gradients)
    }

    /// Gradients of one output for a batch, shape of `x`.
    ///
    /// # Errors
    /// As [`predict`](Self::predict), and [`Error::Param`] when `target` is not below `n_outputs`.
    ///
    /// # Cost
    /// As [`vjp`](Self::vjp).
    pub fn gradient(
        &mut self,
        model: &dyn Differentiable,
        x: &Rows,
        target: usize,
        n_outputs: usize,
    ) -> Result<Array2<f64>> {
        crate::params::require(
            target < n_outputs,
            "target",
            format!("below the model's {n_outputs} outputs"),
            target,
        )?;
        let mut cotangent = Array2::zeros((x.nrows(), n_outputs));
        cotangent.column_mut(target).fill(1.0);
        self.vjp(model, x, &cotangent)
    }

    /// Vector-Jacobian products along straight lines, weighted and summed where the model lives; shape of `paths.from`.
    ///
    /// A call carries at most `max_points` points, at least 1; lines that fill calls are asked side by side. A line's
    /// sum does not depend on the lines beside it, nor for the provided [`Differentiable::path_vjp`] on `max_points`.
    ///
    /// # Errors
    /// As [`predict`](Self::predict); [`Error::Shape`] for paths whose parts do not fit each other;
    /// [`Error::Stopped`] when the observer or the clock stopped the run after the call before.
    ///
    /// # Cost
    /// [`Differentiable::vjp_queries`] per point of each line.
    pub fn path_vjp(
        &mut self,
        model: &dyn Differentiable,
        paths: &Paths<'_>,
        max_points: usize,
    ) -> Result<Array2<f64>> {
        let n_rows = paths.from.nrows();
        Run::path_vjp_batched(std::slice::from_mut(self), &[n_rows], model, paths, max_points)
    }

    /// As [`path_vjp`](Self::path_vjp) for several runs, whose lines share the calls; `sizes` holds the number of lines
    /// of each run, in the order of `runs`.
    ///
    /// # Errors
    /// As [`path_vjp`](Self::path_vjp), for all the runs at once: when the budget of one of them forbids its lines,
    /// nothing is asked.
    ///
    /// # Cost
    /// As [`path_vjp`](Self::path_vjp); each run counts its own lines and notifies its observer.
    #[allow(clippy::disallowed_methods, reason = "the only place that calls the model")]
    pub fn path_vjp_batched(
        runs: &mut [Run<'_>],
        sizes: &[usize],
        model: &dyn Differentiable,
        paths: &Paths<'_>,
        max_points: usize,
    ) -> Result<Array2<f64>> {
        let (n_rows, n_features) = paths.from.dim();
        let n_points = paths.alphas.len();
        same_shape("the lines of the runs", &[n_rows], &[sizes.iter().sum()])?;
        same_shape("the ends of the paths", paths.from.shape(), paths.to.shape())?;
        same_shape("the weights of the points", &[n_points], &[paths.weights.len()])?;
        let cotangent = paths.cotangent;
        same_shape("the cotangent", &[n_rows, cotangent.ncols()], cotangent.shape())?;
        let price = n_points as u64 * model.vjp_queries(n_features);
        for (run, &n_lines) in runs.iter().zip(sizes).filter(|(_, n_lines)| 0 < **n_lines) {
            if let Some(stop) = run.stopped {
                return Err(Error::Stopped(stop));
            }
            run.admit(model, (n_lines, n_features), price)?;
        }
        for (run, &n_lines) in runs.iter_mut().zip(sizes) {
            run.queries += n_lines as u64 * price;
        }
        let lines = (max_points / n_points.max(1)).clamp(1, n_rows.max(1));
        let blocks: Vec<Result<Array2<f64>>> = parallel::map(0..n_rows.div_ceil(lines), |block| {
            let (first, end) = (block * lines, ((block + 1) * lines).min(n_rows));
            let rows = s![first..end, ..];
            let (from, to) = (paths.from.slice(rows), paths.to.slice(rows));
            let block_paths =
                Paths { from: &from, to: &to, cotangent: &cotangent.slice(rows), ..*paths };
            let sums = model
                .path_vjp(&block_paths, max_points)
                .map_err(|source| Error::Predictor { rows: (end - first) * n_points, source })?;
            same_shape("the model's gradient", from.shape(), sums.shape())?;
            finite_from(first, "the model's gradient", &sums)?;
            Ok(sums)
        });
        let mut sums = Array2::zeros((n_rows, n_features));
        for (block, block_sums) in blocks.into_iter().enumerate() {
            let block_sums = block_sums?;
            let first = block * lines;
            sums.slice_mut(s![first..first + block_sums.nrows(), ..]).assign(&block_sums);
        }
        for (run, &n_lines) in runs.iter_mut().zip(sizes).filter(|(_, n_lines)| 0 < **n_lines) {
            let done = n_lines as u64 * n_points as u64;
            run.stopped = run.report(Event::Step { done, total: None }).break_value();
        }
        Ok(sums)
    }

    /// Checks width and budget before the model is called; returns the queries it will cost.
    fn admit(
        &self,
        model: &dyn Predictor,
        shape: (usize, usize),
        queries_per_row: u64,
    ) -> Result<u64> {
        let (n_rows, n_features) = shape;
        if let Some(expected) = model.n_features() {
            same_shape("the model's input", &[n_rows, expected], &[n_rows, n_features])?;
        }
        let queries = n_rows as u64 * queries_per_row;
        if self.queries_left().is_some_and(|left| left < queries) {
            return Err(Error::Stopped(Stop::Budget));
        }
        Ok(queries)
    }

    /// Gives the run the seed of its input.
    pub(crate) fn reseed(&mut self, fingerprint: u64) {
        self.seed = self.shared_seed.child(fingerprint);
    }

    /// Begins the work anew, as after a shared call that failed. What the model was asked stays counted.
    pub(crate) fn restart(&mut self) {
        self.warnings.clear();
        self.output = None;
        self.stopped = None;
    }

    /// What `meta` says of the run.
    pub(crate) fn into_provenance(self) -> Provenance {
        Provenance { seed: self.shared_seed, output: self.output, warnings: self.warnings }
    }
}

/// What `meta` says of a run.
pub(crate) struct Provenance {
    pub(crate) seed: Seed,
    pub(crate) output: Option<OutputReading>,
    pub(crate) warnings: Vec<Warning>,
}

/// The outputs of all rows, asked for side by side in calls of `size` rows.
fn in_calls(
    n_rows: usize,
    size: usize,
    call: impl Fn(Range<usize>) -> Result<Array2<f64>> + Sync + Send,
) -> Result<Array2<f64>> {
    let rows = |index: usize| index * size..((index + 1) * size).min(n_rows);
    let blocks = parallel::map(0..n_rows.div_ceil(size), |index| call(rows(index)));
    let blocks = blocks.into_iter().collect::<Result<Vec<_>>>()?;
    let n_outputs = blocks.first().map_or(0, Array2::ncols);
    let mut outputs = Array2::zeros((n_rows, n_outputs));
    for (index, block) in blocks.iter().enumerate() {
        same_shape("the model's output", &[block.nrows(), n_outputs], block.shape())?;
        outputs.slice_mut(s![rows(index), ..]).assign(block);
    }
    Ok(outputs)
}

/// One call; `rows` are the places of the batch in the whole, for messages.
#[allow(clippy::disallowed_methods, reason = "the only place that calls the model")]
fn call_model<X: ?Sized>(
    model: &dyn Predictor<X>,
    batch: &X,
    rows: Range<usize>,
) -> Result<Array2<f64>> {
    let n_rows = rows.len();
    let outputs =
        model.predict(batch).map_err(|source| Error::Predictor { rows: n_rows, source })?;
    same_shape("the model's output", &[n_rows, outputs.ncols().max(1)], outputs.shape())?;
    finite_from(rows.start, "the model's output", &outputs)?;
    Ok(outputs)
}

/// Requires finite numbers in a block that begins at row `first` of the whole; errors name the place in the whole.
fn finite_from(first: usize, what: &'static str, block: &Rows) -> Result<()> {
    all_finite(what, block).map_err(|error| match error {
        Error::NotFinite { what, at, value } => {
            Error::NotFinite { what, at: vec![first + at[0], at[1]], value }
        }
        other => other,
    })
}
