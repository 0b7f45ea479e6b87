//! A model seen through a probe: it counts what it is asked and fails where it is told to.

use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::{Array1, Array2};
use xai_core::{BoxError, Differentiable, Predictor, Rows, Side, Split};

/// What goes wrong in a [`Probe`].
#[derive(Clone, Debug, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Every call fails with [`Broken`].
    Always,
    /// A call fails with [`Broken`] when its batch holds this row.
    OnRow(Array1<f64>),
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
        f.write_str("the probe was told to fail")
    }
}

impl std::error::Error for Broken {}

/// A model that counts its rows and calls, and fails on request.
pub struct Probe<'m> {
    model: &'m dyn Differentiable,
    fault: Fault,
    rows: AtomicU64,
    calls: AtomicU64,
    queries: AtomicU64,
}

impl<'m> Probe<'m> {
    /// Watches `model`.
    #[must_use]
    pub fn new(model: &'m dyn Differentiable) -> Self {
        Probe::failing(model, Fault::None)
    }

    /// Watches `model` and fails as told.
    #[must_use]
    pub fn failing(model: &'m dyn Differentiable, fault: Fault) -> Self {
        let zero = || AtomicU64::new(0);
        Probe { model, fault, rows: zero(), calls: zero(), queries: zero() }
    }

    /// Rows asked for.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Calls made.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Queries by the rule of `meta.queries`: a row predicted is one, a row differentiated is the model's own price.
    pub fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }

    fn count(&self, batch: &Rows, price: u64) -> Result<(), BoxError> {
        self.rows.fetch_add(batch.nrows() as u64, Ordering::Relaxed);
        self.queries.fetch_add(batch.nrows() as u64 * price, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        match &self.fault {
            Fault::Always => Err(Broken.into()),
            Fault::OnRow(row) if batch.rows().into_iter().any(|asked| asked == row) => {
                Err(Broken.into())
            }
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
impl Predictor for Probe<'_> {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        self.count(batch, 1)?;
        Ok(self.spoil(self.model.predict(batch)?))
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
impl Differentiable for Probe<'_> {
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        self.count(batch, self.model.vjp_queries(batch.ncols()))?;
        Ok(self.spoil(self.model.vjp(batch, cotangent)?))
    }

    fn vjp_queries(&self, n_features: usize) -> u64 {
        self.model.vjp_queries(n_features)
    }

    /// Both parts are watched by this probe, too.
    fn split_at(&self, layer: &str, side: Side) -> Option<Split<'_>> {
        let Split { body, head } = self.model.split_at(layer, side)?;
        let body = Box::new(Part { probe: self, model: body });
        Some(Split { body, head: Box::new(Part { probe: self, model: head }) })
    }
}

/// A part of a model that was cut, whose rows its probe counts.
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
