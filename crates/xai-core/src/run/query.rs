//! Shared calls of searches: some rows are predicted, some are differentiated as well.

use ndarray::{Array1, Array2, s};

use super::{CALLS_PER_WAVE, Run, call_model, finite_from};
use crate::batching::{Parts, rows_per_call};
use crate::error::{Error, Result, same_shape};
use crate::model::{Differentiable, ModelRef, Row, Rows};
use crate::parallel;

/// What several runs ask of a model in one go; see [`Run::query_batched`].
#[derive(Clone, Copy)]
pub struct BatchPlan<'b> {
    /// Rows of each run, shape `(n_runs,)`.
    pub sizes: &'b [usize],
    /// How many of them may be differentiated, shape `(n_runs,)`; counts for a white box alone.
    pub gradients: &'b [usize],
    /// Columns of a row.
    pub n_features: usize,
}

impl Run<'_> {
    /// Asks the model for rows of several runs that share its calls, and a white box for gradients in the same calls.
    ///
    /// `fill(run, row, cells)` writes a row of a run, and `cotangent(run, row, outputs)` says along which outputs it is
    /// to be differentiated; both may run on any thread. `fold(run, row, outputs, gradient)` takes the answers in order,
    /// on this thread. A black box is never asked for gradients, and `gradient` is then `None`, as it is for a row
    /// without a cotangent. Unlike [`stream_batched`](Run::stream_batched), no observer is notified: a search reports its own steps.
    ///
    /// # Errors
    /// [`Error::Stopped`] when the budget of one of the runs forbids its rows, before anything is asked; else as
    /// [`predict`](Run::predict) and [`vjp`](Run::vjp).
    ///
    /// # Cost
    /// One query per row, and [`Differentiable::vjp_queries`] for each row that has a cotangent other than zero.
    pub fn query_batched(
        runs: &mut [Run<'_>],
        access: ModelRef<'_>,
        batch: BatchPlan<'_>,
        fill: impl Fn(usize, usize, &mut Row) + Sync + Send,
        cotangent: impl Fn(usize, usize, &Row) -> Option<Array1<f64>> + Sync + Send,
        mut fold: impl FnMut(usize, usize, &Row, Option<&Row>) -> Result<()>,
    ) -> Result<()> {
        let model = access.predictor();
        let price = match access {
            ModelRef::WhiteBox(model) => model.vjp_queries(batch.n_features),
            ModelRef::BlackBox(_) => 0,
        };
        for ((run, &rows), &gradients) in runs.iter().zip(batch.sizes).zip(batch.gradients) {
            run.admit(model, (rows, batch.n_features), 1)?;
            let most = rows as u64 + gradients.min(rows) as u64 * price;
            if run.queries_left().is_some_and(|left| left < most) {
                return Err(Error::Stopped(crate::Stop::Budget));
            }
        }
        let parts = Parts::new(batch.sizes);
        let n_rows = parts.n_rows();
        let size = rows_per_call(model, batch.n_features).min(n_rows.max(1));
        let buffer = || Array2::zeros((size, batch.n_features));
        let mut n_outputs = None;
        for wave in (0..n_rows).step_by(CALLS_PER_WAVE * size) {
            let wave_rows = wave..(wave + CALLS_PER_WAVE * size).min(n_rows);
            for (part, rows) in parts.of(wave_rows.clone()) {
                runs[part].queries += rows.len() as u64;
            }
            let calls = wave_rows.len().div_ceil(size);
            let answers = parallel::map_with(0..calls, buffer, |buffer, index| {
                let first = wave_rows.start + index * size;
                let rows = first..(first + size).min(wave_rows.end);
                let places: Vec<(usize, usize)> = parts
                    .of(rows.clone())
                    .flat_map(|(part, rows)| rows.map(move |row| (part, row)))
                    .collect();
                let mut block = buffer.slice_mut(s![..places.len(), ..]);
                for (&(part, row), mut cells) in places.iter().zip(block.rows_mut()) {
                    fill(part, row, &mut cells);
                }
                let answer = call(access, &block, first, &|row: usize, outputs: &Row| {
                    cotangent(places[row].0, places[row].1, outputs)
                })?;
                Ok::<_, Error>((places, answer))
            });
            // All that was asked is counted before anything can fail.
            for (places, answer) in answers.iter().flatten() {
                for (&(part, _), &has_gradient) in places.iter().zip(&answer.has_gradient) {
                    runs[part].queries += if has_gradient { price } else { 0 };
                }
            }
            for answer in answers {
                let (places, Answer { outputs, gradients, has_gradient }) = answer?;
                let n_outputs = *n_outputs.get_or_insert(outputs.ncols());
                same_shape("the model's output", &[outputs.nrows(), n_outputs], outputs.shape())?;
                for (row, &(part, part_row)) in places.iter().enumerate() {
                    let gradient = gradients.as_ref().filter(|_| has_gradient[row]);
                    let gradient = gradient.map(|gradients| gradients.row(row));
                    fold(part, part_row, &outputs.row(row), gradient.as_deref())?;
                }
            }
        }
        Ok(())
    }

    /// Outputs of a batch, shape `(n_rows, n_outputs)`, and gradients along cotangents that depend on them, shape of
    /// `x`; rows without a cotangent have the gradient zero.
    ///
    /// # Errors
    /// As [`query_batched`](Run::query_batched).
    ///
    /// # Cost
    /// As [`query_batched`](Run::query_batched).
    pub fn value_and_vjp(
        &mut self,
        model: &dyn Differentiable,
        x: &Rows,
        cotangent: impl Fn(usize, &Row) -> Option<Array1<f64>> + Sync + Send,
    ) -> Result<(Array2<f64>, Array2<f64>)> {
        let (mut outputs, mut gradients) = (None, Array2::zeros(x.dim()));
        let batch =
            BatchPlan { sizes: &[x.nrows()], gradients: &[x.nrows()], n_features: x.ncols() };
        Run::query_batched(
            std::slice::from_mut(self),
            ModelRef::WhiteBox(model),
            batch,
            |_, row, cells| cells.assign(&x.row(row)),
            |_, row, outputs| cotangent(row, outputs),
            |_, row, answer, gradient| {
                let outputs =
                    outputs.get_or_insert_with(|| Array2::zeros((x.nrows(), answer.len())));
                outputs.row_mut(row).assign(answer);
                if let Some(gradient) = gradient {
                    gradients.row_mut(row).assign(gradient);
                }
                Ok(())
            },
        )?;
        Ok((outputs.unwrap_or_else(|| Array2::zeros((0, 0))), gradients))
    }
}

/// What the model says of a block.
struct Answer {
    outputs: Array2<f64>,
    gradients: Option<Array2<f64>>,
    /// Whether each row was differentiated.
    has_gradient: Vec<bool>,
}

/// One call; `first` is the place of the block in the whole, for messages.
#[allow(clippy::disallowed_methods, reason = "called by Run alone")]
fn call(
    access: ModelRef<'_>,
    block: &Rows,
    first: usize,
    cotangent: &dyn Fn(usize, &Row) -> Option<Array1<f64>>,
) -> Result<Answer> {
    let model = match access {
        ModelRef::BlackBox(model) => {
            let outputs = call_model(model, block, first..first + block.nrows())?;
            return Ok(Answer {
                outputs,
                gradients: None,
                has_gradient: vec![false; block.nrows()],
            });
        }
        ModelRef::WhiteBox(model) => model,
    };
    let mut has_gradient = vec![false; block.nrows()];
    let mut refused = None;
    let mut along = |outputs: &Rows| {
        let mut cotangents = Array2::zeros(outputs.dim());
        // What is not finite is refused below; it must not reach a loss before.
        refused = finite_from(first, "the model's output", outputs).err();
        if refused.is_some() || outputs.nrows() != block.nrows() {
            return cotangents;
        }
        for (row, mut cells) in cotangents.rows_mut().into_iter().enumerate() {
            if let Some(row_cotangent) = cotangent(row, &outputs.row(row)) {
                has_gradient[row] = row_cotangent.iter().any(|&value| value != 0.0);
                cells.assign(&row_cotangent);
            }
        }
        cotangents
    };
    let (outputs, gradients) = model
        .value_and_vjp(block, &mut along)
        .map_err(|source| Error::Predictor { rows: block.nrows(), source })?;
    if let Some(refused) = refused {
        return Err(refused);
    }
    let expected = [block.nrows(), outputs.ncols().max(1)];
    same_shape("the model's output", &expected, outputs.shape())?;
    same_shape("the model's gradient", block.shape(), gradients.shape())?;
    finite_from(first, "the model's gradient", &gradients)?;
    Ok(Answer { outputs, gradients: Some(gradients), has_gradient })
}
