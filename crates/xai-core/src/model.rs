//! The model, seen from outside: a batch in, a matrix of outputs out.

use ndarray::{Array2, ArrayRef1, ArrayRef2, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decision::Output;

/// One instance, shape `(n_features,)`, in the units of the features.
pub type Row = ArrayRef1<f64>;

/// A batch of instances, shape `(n_rows, n_features)`; axis 0 is the instance.
pub type Rows = ArrayRef2<f64>;

/// The error of a user's model, which becomes the source of [`Error::Predictor`](crate::Error::Predictor).
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

    /// What the outputs mean, where the model says so: methods whose setting is [`Output::Auto`] read them like this.
    /// Default `None`.
    fn output(&self) -> Option<Output> {
        None
    }

    /// Names of the classes in the order of the outputs, where the model has them. Default `None`.
    fn class_names(&self) -> Option<&[String]> {
        None
    }

    /// The same model with its gradients, where it has them. Default `None`. Searches that work with either take them
    /// when they are there; [`ModelRef::black_box`] hides them.
    fn differentiable(&self) -> Option<&dyn Differentiable> {
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

    /// The model in two parts, split at a layer that it knows by this name: the body from its inputs to the layer, the
    /// head from there to its outputs. Default `None`: no layer has a name.
    fn split_at(&self, layer: &str, side: Side) -> Option<Split<'_>> {
        let _ = (layer, side);
        None
    }
}

/// A model with its gradients or without, for methods that work with either.
///
/// Any reference to a predictor becomes one: with gradients where [`Predictor::differentiable`] gives them, as a black
/// box otherwise.
/// A search that checks rows anyway gets numeric gradients of a black box in the calls that check, which
/// [`CentralDifference`](crate::CentralDifference) cannot.
#[derive(Clone, Copy)]
pub enum ModelRef<'m> {
    /// Gradients are vector-Jacobian products of the model.
    WhiteBox(&'m dyn Differentiable),
    /// Gradients are central differences of its outputs.
    BlackBox(&'m dyn Predictor),
}

impl<'m> ModelRef<'m> {
    /// The model as a black box, whether or not it has gradients.
    #[must_use]
    pub fn black_box(model: &'m dyn Predictor) -> Self {
        ModelRef::BlackBox(model)
    }

    /// The model with its gradients.
    #[must_use]
    pub fn white_box(model: &'m dyn Differentiable) -> Self {
        ModelRef::WhiteBox(model)
    }

    /// The model without its gradients.
    #[must_use]
    pub fn predictor(self) -> &'m dyn Predictor {
        match self {
            ModelRef::WhiteBox(model) => model,
            ModelRef::BlackBox(model) => model,
        }
    }

    /// Whether the model's own gradients are used.
    #[must_use]
    pub fn kind(self) -> ModelKind {
        match self {
            ModelRef::WhiteBox(_) => ModelKind::WhiteBox,
            ModelRef::BlackBox(_) => ModelKind::BlackBox,
        }
    }
}

impl<'m, P: Predictor> From<&'m P> for ModelRef<'m> {
    fn from(model: &'m P) -> Self {
        model.differentiable().map_or(ModelRef::BlackBox(model), ModelRef::WhiteBox)
    }
}

impl<'m> From<&ModelRef<'m>> for ModelRef<'m> {
    fn from(model: &ModelRef<'m>) -> Self {
        *model
    }
}

impl<'m> From<&'m (dyn Predictor + 'm)> for ModelRef<'m> {
    fn from(model: &'m (dyn Predictor + 'm)) -> Self {
        model.differentiable().map_or(ModelRef::BlackBox(model), ModelRef::WhiteBox)
    }
}

impl<'m> From<&'m (dyn Differentiable + 'm)> for ModelRef<'m> {
    fn from(model: &'m (dyn Differentiable + 'm)) -> Self {
        ModelRef::WhiteBox(model)
    }
}

/// A model as a black box: what methods take that ask for outputs alone.
///
/// Any reference to a predictor becomes one, so that calls read `explainer.explain(&model, &row, run)`.
pub struct BlackBox<'m, X: ?Sized = Rows>(&'m dyn Predictor<X>);

impl<'m, X: ?Sized> BlackBox<'m, X> {
    /// The model.
    #[must_use]
    pub fn predictor(self) -> &'m dyn Predictor<X> {
        self.0
    }
}

impl<X: ?Sized> Clone for BlackBox<'_, X> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<X: ?Sized> Copy for BlackBox<'_, X> {}

impl<'m, X: ?Sized, P: Predictor<X>> From<&'m P> for BlackBox<'m, X> {
    fn from(model: &'m P) -> Self {
        BlackBox(model)
    }
}

impl<'m, X: ?Sized> From<&'m (dyn Predictor<X> + 'm)> for BlackBox<'m, X> {
    fn from(model: &'m (dyn Predictor<X> + 'm)) -> Self {
        BlackBox(model)
    }
}

impl<'m> From<&'m (dyn Differentiable + 'm)> for BlackBox<'m> {
    fn from(model: &'m (dyn Differentiable + 'm)) -> Self {
        BlackBox(model)
    }
}

/// A model with gradients: what methods take that cannot do without.
///
/// Any reference to a differentiable model becomes one; a black box becomes one through
/// [`CentralDifference`](crate::CentralDifference).
#[derive(Clone, Copy)]
pub struct WhiteBox<'m>(&'m dyn Differentiable);

impl<'m> WhiteBox<'m> {
    /// The model.
    #[must_use]
    pub fn differentiable(self) -> &'m dyn Differentiable {
        self.0
    }
}

impl<'m, D: Differentiable> From<&'m D> for WhiteBox<'m> {
    fn from(model: &'m D) -> Self {
        WhiteBox(model)
    }
}

impl<'m> From<&'m (dyn Differentiable + 'm)> for WhiteBox<'m> {
    fn from(model: &'m (dyn Differentiable + 'm)) -> Self {
        WhiteBox(model)
    }
}

/// What a method uses of a model, as `meta.type` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// Outputs alone.
    BlackBox,
    /// Outputs and gradients.
    WhiteBox,
}

/// The provided [`Differentiable::path_vjp`], for models that override it and fall back to it.
///
/// # Errors
/// Those of the model, and gradients of another shape than the points.
#[allow(
    clippy::disallowed_methods,
    reason = "a model calls itself; Run counts n_points * vjp_queries for each row"
)]
pub fn sum_along_paths<M: Differentiable + ?Sized>(
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

/// A side of a layer; see [`Differentiable::split_at`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// In front of the layer: the head begins with it.
    Before,
    /// Behind the layer: the body ends with it.
    After,
}

/// A model in two parts; see [`Differentiable::split_at`].
pub struct Split<'m> {
    /// From the model's inputs to the layer.
    pub body: Box<dyn Predictor + 'm>,
    /// From the layer to the model's outputs.
    pub head: Box<dyn Differentiable + 'm>,
}
