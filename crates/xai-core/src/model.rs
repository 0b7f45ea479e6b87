//! The model, seen from outside: a batch in, a matrix of outputs out.

use ndarray::{Array2, ArrayRef1, ArrayRef2, Axis, s};

use crate::run::rows_per_call;

/// One instance, shape `(n_features,)`, in the units of the features.
pub type Row = ArrayRef1<f64>;

/// A batch of instances, shape `(n_rows, n_features)`; axis 0 is the instance.
pub type Rows = ArrayRef2<f64>;

/// An error of the user's own making; it travels on as the source of [`Error::Predictor`](crate::Error::Predictor).
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A model as a black box.
///
/// `X` is [`Rows`] for numbers and `[String]` for text.
/// Any closure from a batch to `Result<Array2<f64>, BoxError>` is a predictor.
/// Explainers reach it through [`Run`](crate::Run) alone, which cuts batches, checks the outputs and counts the rows.
///
/// The promise of equal bytes at any thread count and batch size holds for models that treat rows
/// independently, that is, whose output for a row does not depend on the other rows of the batch.
pub trait Predictor<X: ?Sized = Rows>: Sync {
    /// Outputs for a batch, shape `(n_rows, n_outputs)`: class probabilities, scores or regression values.
    ///
    /// # Errors
    /// Whatever stops the model; explainers pass it on as the `source` of their own error.
    fn predict(&self, batch: &X) -> Result<Array2<f64>, BoxError>;

    /// The most rows one call should carry, `1..`. Default 256, which keeps a batch of ordinary width in the
    /// processor's cache; models with a price per call, on an accelerator or behind a network, want more.
    fn max_batch(&self) -> usize {
        256
    }

    /// The number of columns the model expects, when it knows; a batch of another width is then refused
    /// before the model is called. Default `None`.
    fn n_features(&self) -> Option<usize> {
        None
    }
}

impl<X: ?Sized, F> Predictor<X> for F
where
    F: Fn(&X) -> Result<Array2<f64>, BoxError> + Sync,
{
    fn predict(&self, batch: &X) -> Result<Array2<f64>, BoxError> {
        self(batch)
    }
}

/// A model that can be differentiated with respect to its input.
pub trait Differentiable: Predictor {
    /// The vector-Jacobian product: row `i` is `sum_k cotangent[i, k] * d f_k / d x_i`, shape of `batch`.
    ///
    /// `cotangent` has shape `(n_rows, n_outputs)`.
    ///
    /// # Errors
    /// Whatever stops the model.
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError>;

    /// Model queries that one row of [`vjp`](Self::vjp) costs. Default 1.
    fn vjp_queries(&self, n_features: usize) -> u64 {
        let _ = n_features;
        1
    }

    /// Outputs of a batch, shape `(n_rows, n_outputs)`, and its vector-Jacobian product, shape of `batch`, for a
    /// cotangent that depends on the outputs and has their shape.
    ///
    /// Rows whose cotangent is zero have the gradient zero and need not be differentiated. The provided method predicts
    /// all rows and differentiates the others; a model that gets both from one pass overrides it.
    ///
    /// # Errors
    /// Whatever stops the model.
    #[allow(
        clippy::disallowed_methods,
        reason = "a model calls itself; Run counts a query for each row and vjp_queries for each cotangent"
    )]
    fn value_and_vjp(
        &self,
        batch: &Rows,
        cotangent: &mut dyn FnMut(&Rows) -> Array2<f64>,
    ) -> Result<(Array2<f64>, Array2<f64>), BoxError> {
        let outputs = self.predict(batch)?;
        let cotangent = cotangent(&outputs);
        let mut gradients = Array2::zeros(batch.dim());
        let is_wanted = |row: &usize| cotangent.row(*row).iter().any(|&value| value != 0.0);
        let wanted: Vec<usize> = (0..cotangent.nrows()).filter(is_wanted).collect();
        if wanted.is_empty() {
            return Ok((outputs, gradients));
        }
        let rows = batch.select(Axis(0), &wanted);
        let products = self.vjp(&rows, &cotangent.select(Axis(0), &wanted))?;
        if products.dim() != rows.dim() {
            let (got, expected) = (products.dim(), rows.dim());
            return Err(format!("gradients have shape {got:?}, expected {expected:?}").into());
        }
        for (&row, product) in wanted.iter().zip(products.rows()) {
            gradients.row_mut(row).assign(&product);
        }
        Ok((outputs, gradients))
    }

    /// Vector-Jacobian products along straight lines, weighted and summed: row `i` is
    /// `sum_k weights[k] * vjp(from_i + alphas[k] (to_i - from_i), cotangent_i)`, shape of `paths.from`.
    ///
    /// Gradient methods that integrate or average along a path ask for this sum alone, so that a model on a device sends
    /// one row back for each path and not one for each point. At most `max_points` points, at least 1, are in memory at
    /// once. The provided method builds the points row after row and sums in the order of the points; models that
    /// hold their own memory override it.
    ///
    /// # Errors
    /// Whatever stops the model.
    fn path_vjp(&self, paths: &Paths<'_>, max_points: usize) -> Result<Array2<f64>, BoxError> {
        sum_along_paths(self, paths, max_points)
    }

    /// The model cut in two at a layer it knows by this name: the body from its inputs to the layer, the head from there
    /// to its outputs. Default `None`: no layer has a name.
    ///
    /// With `at_inputs` the cut is in front of the layer, otherwise behind it.
    fn cut(&self, layer: &str, at_inputs: bool) -> Option<Cut<'_>> {
        let _ = (layer, at_inputs);
        None
    }
}

/// A model as a search sees it: with its own gradients, or with those that a search takes from its outputs.
///
/// A search that checks rows anyway gets numeric gradients of a black box in the calls that check, which
/// [`CentralDifference`] cannot.
#[derive(Clone, Copy)]
pub enum Access<'m> {
    /// Gradients are vector-Jacobian products of the model.
    WhiteBox(&'m dyn Differentiable),
    /// Gradients are central differences of its outputs.
    BlackBox(&'m dyn Predictor),
}

impl<'m> Access<'m> {
    /// The model without its gradients.
    #[must_use]
    pub fn predictor(self) -> &'m dyn Predictor {
        match self {
            Access::WhiteBox(model) => model,
            Access::BlackBox(model) => model,
        }
    }
}

/// [`Differentiable::path_vjp`] with all points in memory.
#[allow(
    clippy::disallowed_methods,
    reason = "a model calls itself; Run counts n_points * vjp_queries for each row"
)]
pub(crate) fn sum_along_paths<M: Differentiable + ?Sized>(
    model: &M,
    paths: &Paths<'_>,
    max_points: usize,
) -> Result<Array2<f64>, BoxError> {
    let (n_rows, n_points) = (paths.from.nrows(), paths.alphas.len());
    let mut sums = Array2::zeros(paths.from.dim());
    let all = n_rows * n_points;
    for first in (0..all).step_by(max_points.max(1)) {
        let block = first..(first + max_points.max(1)).min(all);
        let place = |point: usize| (point / n_points, point % n_points);
        let mut points = Array2::zeros((block.len(), paths.from.ncols()));
        let mut cotangents = Array2::zeros((block.len(), paths.cotangent.ncols()));
        for (k, (row, point)) in block.clone().map(place).enumerate() {
            let alpha = paths.alphas[point];
            let ends = paths.from.row(row).into_iter().zip(paths.to.row(row));
            for (value, (from, to)) in points.row_mut(k).iter_mut().zip(ends) {
                *value = from + alpha * (to - from);
            }
            cotangents.row_mut(k).assign(&paths.cotangent.row(row));
        }
        let gradients = model.vjp(&points, &cotangents)?;
        if gradients.dim() != points.dim() {
            let (got, expected) = (gradients.dim(), points.dim());
            return Err(format!("gradients have shape {got:?}, expected {expected:?}").into());
        }
        for (gradient, (row, point)) in gradients.rows().into_iter().zip(block.map(place)) {
            sums.row_mut(row).scaled_add(paths.weights[point], &gradient);
        }
    }
    Ok(sums)
}

/// Straight lines from one batch of rows to another, with points on them; see [`Differentiable::path_vjp`].
#[derive(Clone, Copy)]
pub struct Paths<'a> {
    /// Where each line starts, shape `(n_rows, n_features)`.
    pub from: &'a Rows,
    /// Where it ends, shape of `from`.
    pub to: &'a Rows,
    /// The points of every line, `(n_points,)`: 0 is the start, 1 the end.
    pub alphas: &'a [f64],
    /// The weights of the points, `(n_points,)`.
    pub weights: &'a [f64],
    /// For each line the cotangent of the outputs, shape `(n_rows, n_outputs)`.
    pub cotangent: &'a Rows,
}

/// A model in two parts; see [`Differentiable::cut`].
pub struct Cut<'m> {
    /// From the model's inputs to the layer.
    pub body: Box<dyn Predictor + 'm>,
    /// From the layer to the model's outputs.
    pub head: Box<dyn Differentiable + 'm>,
}

/// A black box differentiated by central differences.
///
/// Written out by the caller and never chosen silently: the numeric gradient of a tree ensemble is zero almost
/// everywhere.
///
/// # Cost
/// `2 * n_features` model queries per row.
///
/// # Source
/// `(f(x + h) - f(x - h)) / 2h` with `h = step * max(1, |x|)` per coordinate; the quotient is taken over the step that
/// the floating-point grid really allowed.
/// The references use one absolute step whatever the size of `x`, which loses all digits on large columns.
pub struct CentralDifference<'m> {
    model: &'m dyn Predictor,
    step: f64,
}

impl<'m> CentralDifference<'m> {
    /// The relative step that balances truncation and rounding, the cube root of the machine epsilon (6.1e-6).
    pub const STEP: f64 = 6.055_454_452_393_343e-6;

    /// Differentiates `model` with the default [`STEP`](Self::STEP).
    #[must_use]
    pub fn new(model: &'m dyn Predictor) -> Self {
        CentralDifference { model, step: Self::STEP }
    }

    /// Differentiates `model` with another relative step, finite and above 0.
    ///
    /// # Errors
    /// [`Error::Param`](crate::Error::Param) when `step` is not finite and above 0.
    pub fn with_step(model: &'m dyn Predictor, step: f64) -> crate::Result<Self> {
        crate::params::require(
            0.0 < step && step < f64::INFINITY,
            "step",
            "finite and above 0",
            step,
        )?;
        Ok(CentralDifference { model, step })
    }
}

impl Predictor for CentralDifference<'_> {
    #[allow(
        clippy::disallowed_methods,
        reason = "a wrapper hands the batch it was given to the model it wraps"
    )]
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        self.model.predict(batch)
    }

    fn max_batch(&self) -> usize {
        self.model.max_batch()
    }

    fn n_features(&self) -> Option<usize> {
        self.model.n_features()
    }
}

impl Differentiable for CentralDifference<'_> {
    #[allow(
        clippy::disallowed_methods,
        reason = "a wrapper calls the model it wraps; Run counts 2 * n_features for it"
    )]
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        let (n_rows, n_features) = batch.dim();
        let mut gradient = Array2::zeros((n_rows, n_features));
        let size = rows_per_call(self.model, n_features);
        // Pairs (x + h e_j, x - h e_j) stay in one block of probes, so that a block holds whole coordinates.
        let (n_coordinates, pairs) = (n_rows * n_features, (size / 2).max(1));
        for first in (0..n_coordinates).step_by(pairs) {
            let block = first..(first + pairs).min(n_coordinates);
            let place = |coordinate: usize| (coordinate / n_features, coordinate % n_features);
            let mut probes = Array2::zeros((2 * block.len(), n_features));
            for (k, (row, column)) in block.clone().map(place).enumerate() {
                let h = self.step * batch[[row, column]].abs().max(1.0);
                for (probe, h) in [(2 * k, h), (2 * k + 1, -h)] {
                    probes.row_mut(probe).assign(&batch.row(row));
                    probes[[probe, column]] += h;
                }
            }
            let mut outputs = Array2::zeros((probes.nrows(), cotangent.ncols()));
            // One call, or two for a model that takes a single row.
            for (probes, mut outputs) in probes
                .axis_chunks_iter(Axis(0), size)
                .zip(outputs.axis_chunks_iter_mut(Axis(0), size))
            {
                let answer = self.model.predict(&probes)?;
                if answer.dim() != outputs.dim() {
                    let (got, expected) = (answer.dim(), outputs.dim());
                    return Err(format!("outputs have shape {got:?}, expected {expected:?}").into());
                }
                outputs.assign(&answer);
            }
            for (k, (row, column)) in block.map(place).enumerate() {
                let taken = probes[[2 * k, column]] - probes[[2 * k + 1, column]];
                let change = &outputs.slice(s![2 * k, ..]) - &outputs.slice(s![2 * k + 1, ..]);
                gradient[[row, column]] = change.dot(&cotangent.index_axis(Axis(0), row)) / taken;
            }
        }
        Ok(gradient)
    }

    fn vjp_queries(&self, n_features: usize) -> u64 {
        2 * n_features as u64
    }
}
