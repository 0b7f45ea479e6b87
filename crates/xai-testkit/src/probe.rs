//! A model seen through a probe: it counts what it is asked, and fails where a test wants it to.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::{Array1, Array2};
use xai_core::{BoxError, Differentiable, Output, Predictor, Rows, Side, Split};

/// What goes wrong in a [`Probe`]. `I` is one input: [`Array1`] for rows, [`String`] for texts.
#[derive(Clone, Debug, Default)]
pub enum Fault<I = Array1<f64>> {
    /// Nothing.
    #[default]
    None,
    /// Every call fails with [`Broken`].
    Always,
    /// A call fails with [`Broken`] when its batch holds this row or text.
    OnRow(I),
    /// Every output is NaN.
    NotFinite,
    /// Every call loses its last output row.
    ShortBatch,
}

/// The error of a broken probe.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the probe fails here, as the test wants it to")
    }
}

impl std::error::Error for Broken {}

/// A batch that a model can be watched on: [`Rows`] or `[String]`.
pub trait ProbeBatch: Sync {
    /// One input of the batch.
    type Item: Clone + Debug + PartialEq + Send + Sync;
    /// The model that a probe watches.
    type Model<'m>: Copy + Sync;

    /// How many inputs there are.
    fn n_items(&self) -> usize;

    /// Whether this input is one of them.
    fn contains_item(&self, item: &Self::Item) -> bool;

    /// A probe that watches a model and fails as a test wants it to.
    fn probe<'p, 'm: 'p>(model: Self::Model<'m>, fault: Fault<Self::Item>) -> Probe<'p, Self>;
}

impl ProbeBatch for Rows {
    type Item = Array1<f64>;
    type Model<'m> = &'m dyn Differentiable;

    fn n_items(&self) -> usize {
        self.nrows()
    }

    fn contains_item(&self, item: &Array1<f64>) -> bool {
        self.rows().into_iter().any(|row| row == item)
    }

    fn probe<'p, 'm: 'p>(model: &'m dyn Differentiable, fault: Fault) -> Probe<'p> {
        Probe::failing(model, fault)
    }
}

impl ProbeBatch for [String] {
    type Item = String;
    type Model<'m> = &'m dyn Predictor<[String]>;

    fn n_items(&self) -> usize {
        self.len()
    }

    fn contains_item(&self, item: &String) -> bool {
        self.contains(item)
    }

    fn probe<'p, 'm: 'p>(
        model: &'m dyn Predictor<[String]>,
        fault: Fault<String>,
    ) -> TextProbe<'p> {
        TextProbe::failing_texts(model, fault)
    }
}

/// A model of rows, or with `X = [String]` of texts, that counts its inputs and calls and fails on request.
pub struct Probe<'m, X: ProbeBatch + ?Sized = Rows> {
    model: &'m dyn Predictor<X>,
    gradients: Option<&'m dyn Differentiable>,
    fault: Fault<X::Item>,
    rows: AtomicU64,
    calls: AtomicU64,
    queries: AtomicU64,
}

/// A watched model of texts.
pub type TextProbe<'m> = Probe<'m, [String]>;

impl<'m> Probe<'m> {
    /// Watches a model of rows.
    #[must_use]
    pub fn new(model: &'m dyn Differentiable) -> Self {
        Probe::failing(model, Fault::None)
    }

    /// Watches a model of rows, and fails.
    #[must_use]
    pub fn failing(model: &'m dyn Differentiable, fault: Fault) -> Self {
        Probe::watching(model, Some(model), fault)
    }
}

impl<'m> TextProbe<'m> {
    /// Watches a model of texts.
    #[must_use]
    pub fn of_texts(model: &'m dyn Predictor<[String]>) -> Self {
        TextProbe::failing_texts(model, Fault::None)
    }

    /// Watches a model of texts, and fails.
    #[must_use]
    pub fn failing_texts(model: &'m dyn Predictor<[String]>, fault: Fault<String>) -> Self {
        Probe::watching(model, None, fault)
    }
}

impl<'m, X: ProbeBatch + ?Sized> Probe<'m, X> {
    fn watching(
        model: &'m dyn Predictor<X>,
        gradients: Option<&'m dyn Differentiable>,
        fault: Fault<X::Item>,
    ) -> Self {
        let zero = || AtomicU64::new(0);
        Probe { model, gradients, fault, rows: zero(), calls: zero(), queries: zero() }
    }

    /// Rows or texts asked for.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Calls made.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Queries by the rule of `meta.queries`: an input predicted is one, a row differentiated is the model's own price.
    pub fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }

    fn count(&self, batch: &X, price: u64) -> Result<(), BoxError> {
        let n_items = batch.n_items() as u64;
        self.rows.fetch_add(n_items, Ordering::Relaxed);
        self.queries.fetch_add(n_items * price, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        match &self.fault {
            Fault::Always => Err(Broken.into()),
            Fault::OnRow(item) if batch.contains_item(item) => Err(Broken.into()),
            _ => Ok(()),
        }
    }

    fn spoil(&self, mut outputs: Array2<f64>) -> Array2<f64> {
        match self.fault {
            Fault::NotFinite => outputs.fill(f64::NAN),
            Fault::ShortBatch => outputs.remove_index(ndarray::Axis(0), 0),
            _ => {}
        }
        outputs
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a wrapper hands the batch it was given to the model it wraps"
)]
impl<X: ProbeBatch + ?Sized> Predictor<X> for Probe<'_, X> {
    fn predict(&self, batch: &X) -> Result<Array2<f64>, BoxError> {
        self.count(batch, 1)?;
        Ok(self.spoil(self.model.predict(batch)?))
    }

    fn max_batch(&self) -> usize {
        self.model.max_batch()
    }

    fn n_features(&self) -> Option<usize> {
        self.model.n_features()
    }

    fn output(&self) -> Option<Output> {
        self.model.output()
    }

    fn class_names(&self) -> Option<&[String]> {
        self.model.class_names()
    }
}

impl Probe<'_> {
    fn gradients(&self) -> &dyn Differentiable {
        self.gradients.expect("a probe of rows is made of a differentiable model")
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a wrapper hands the batch it was given to the model it wraps"
)]
impl Differentiable for Probe<'_> {
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        self.count(batch, self.vjp_queries(batch.ncols()))?;
        Ok(self.spoil(self.gradients().vjp(batch, cotangent)?))
    }

    fn vjp_queries(&self, n_features: usize) -> u64 {
        self.gradients().vjp_queries(n_features)
    }

    /// Both parts are watched by this probe, too.
    fn split_at(&self, layer: &str, side: Side) -> Option<Split<'_>> {
        let Split { body, head } = self.gradients().split_at(layer, side)?;
        let body = Box::new(Part { probe: self, model: body });
        Some(Split { body, head: Box::new(Part { probe: self, model: head }) })
    }
}

/// A part of a model that was split, whose rows its probe counts.
struct Part<'p, 'm, M: ?Sized> {
    probe: &'p Probe<'m>,
    model: Box<M>,
}

#[allow(
    clippy::disallowed_methods,
    reason = "a wrapper hands the batch it was given to the model it wraps"
)]
impl<M: Predictor + ?Sized> Predictor for Part<'_, '_, M> {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        self.probe.count(batch, 1)?;
        Ok(self.probe.spoil(self.model.predict(batch)?))
    }

    fn max_batch(&self) -> usize {
        self.model.max_batch()
    }

    fn n_features(&self) -> Option<usize> {
        self.model.n_features()
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a wrapper hands the batch it was given to the model it wraps"
)]
impl<M: Differentiable + ?Sized> Differentiable for Part<'_, '_, M> {
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        self.probe.count(batch, self.model.vjp_queries(batch.ncols()))?;
        Ok(self.probe.spoil(self.model.vjp(batch, cotangent)?))
    }

    fn vjp_queries(&self, n_features: usize) -> u64 {
        self.model.vjp_queries(n_features)
    }
}
