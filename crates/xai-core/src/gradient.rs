//! Gradients of a black box from its outputs.

use ndarray::{Array2, Axis, s};

use crate::batching::rows_per_call;
use crate::decision::Output;
use crate::model::{BoxError, Differentiable, Predictor, Rows};

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

    fn output(&self) -> Option<Output> {
        self.model.output()
    }

    fn class_names(&self) -> Option<&[String]> {
        self.model.class_names()
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
