//! Scores and quantities as a question of yes or no.

use std::ops::RangeInclusive;

use ndarray::{Array2, Axis};

use super::Output;
use crate::model::{BoxError, Differentiable, Predictor, Rows};
use crate::params::{ParamError, require};

/// How probable it is that a number lies in an interval, as [`InInterval`] says it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IntervalProbability {
    /// The probability, in `[0, 1]`: above 0.5 inside, 0.5 at the ends.
    pub probability: f64,
    /// Its derivative by the number.
    pub slope: f64,
}

impl IntervalProbability {
    /// The probability at a number; `scale` is the distance from an end at which it is 0.75 or 0.25, above 0. Both fields
    /// are NaN where the number is not finite, so that a run refuses the output as it would without the interval.
    #[must_use]
    pub fn new(value: f64, interval: &RangeInclusive<f64>, scale: f64) -> Self {
        if !value.is_finite() {
            return IntervalProbability { probability: f64::NAN, slope: f64::NAN };
        }
        let (above, below) = (value - interval.start(), interval.end() - value);
        let (margin, sign) = if above <= below { (above, 1.0) } else { (below, -1.0) };
        // Infinite margins are those of both ends at infinity.
        let far = scale + margin.abs();
        let ratio = if far.is_finite() { margin / far } else { margin.signum() };
        IntervalProbability {
            probability: 0.5 + 0.5 * ratio,
            slope: 0.5 * sign * (scale / far) / far,
        }
    }
}

/// A model that says how probable it is that an output of another model lies in an interval, so that methods for classes
/// explain scores and quantities: class 1 is inside, class 0 outside.
///
/// With the distance `m` from the closer end, above 0 inside, the probability is `(1 + m / (scale + |m|)) / 2`: 0.5 at the
/// ends, above it inside, and never flat where the output is not. In an interval of width `w` it is at most that of `m = w / 2`, so ask
/// for no more than being inside: class 1, and where a method wants a probability, anything above 0.5.
///
/// # Example
///
/// ```
/// use ndarray::{array, Array2};
/// use xai_core::{BoxError, InInterval, Rows, Run};
///
/// let price = |batch: &Rows| -> Result<Array2<f64>, BoxError> { Ok(batch * 1000.0) };
/// let affordable = InInterval::new(&price, 0, 0.0..=2000.0, 500.0)?;
/// let p = Run::seeded(0).predict(&affordable, &array![[1.5], [2.0], [2.5]])?;
/// assert_eq!(p, array![[0.75], [0.5], [0.25]]);
/// # Ok::<(), xai_core::Error>(())
/// ```
///
/// # Cost
/// One query of the model for a row. A gradient counts one more than the model's own, for the outputs that it needs.
pub struct InInterval<'m, M: ?Sized> {
    model: &'m M,
    output: usize,
    interval: RangeInclusive<f64>,
    scale: f64,
    class_names: [String; 2],
}

impl<'m, M: Predictor + ?Sized> InInterval<'m, M> {
    /// Whether the output at this index lies in the interval, of which either end may be infinite; `scale` is the distance
    /// from an end at which the probability is 0.75 or 0.25, finite and above 0.
    ///
    /// # Errors
    /// [`ParamError`] named `interval` when its ends are not ascending, and `scale`. An output that the model does
    /// not have is an error of the first call.
    pub fn new(
        model: &'m M,
        output: usize,
        interval: RangeInclusive<f64>,
        scale: f64,
    ) -> Result<Self, ParamError> {
        let (min, max) = (*interval.start(), *interval.end());
        require(min < max, "interval", "from a least to a larger value", [min, max])?;
        require(0.0 < scale && scale < f64::INFINITY, "scale", "finite and above 0", scale)?;
        let class_names = ["outside", "inside"].map(str::to_owned);
        Ok(InInterval { model, output, interval, scale, class_names })
    }

    fn inside(&self, value: f64) -> IntervalProbability {
        IntervalProbability::new(value, &self.interval, self.scale)
    }

    fn probabilities(&self, outputs: &Rows) -> Result<Array2<f64>, BoxError> {
        if outputs.ncols() <= self.output {
            let (n, output) = (outputs.ncols(), self.output);
            return Err(
                format!("the model has {n} outputs, and output {output} is asked for").into()
            );
        }
        let values = outputs.column(self.output);
        Ok(values.mapv(|value| self.inside(value).probability).insert_axis(Axis(1)))
    }
}

impl<M: Predictor + ?Sized> Predictor for InInterval<'_, M> {
    #[allow(clippy::disallowed_methods, reason = "a wrapper calls the model it wraps")]
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        self.probabilities(&self.model.predict(batch)?)
    }

    fn max_batch(&self) -> usize {
        self.model.max_batch()
    }

    fn n_features(&self) -> Option<usize> {
        self.model.n_features()
    }

    fn output(&self) -> Option<Output> {
        Some(Output::Probability)
    }

    fn class_names(&self) -> Option<&[String]> {
        Some(&self.class_names)
    }
}

impl<M: Differentiable + ?Sized> Differentiable for InInterval<'_, M> {
    #[allow(clippy::disallowed_methods, reason = "a wrapper calls the model it wraps")]
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        let (_, gradients) = self.value_and_vjp(batch, &mut |_| cotangent.to_owned())?;
        Ok(gradients)
    }

    fn vjp_queries(&self, n_features: usize) -> u64 {
        1 + self.model.vjp_queries(n_features)
    }

    #[allow(clippy::disallowed_methods, reason = "a wrapper calls the model it wraps")]
    fn value_and_vjp(
        &self,
        batch: &Rows,
        cotangent: &mut dyn FnMut(&Rows) -> Array2<f64>,
    ) -> Result<(Array2<f64>, Array2<f64>), BoxError> {
        let mut inside = None;
        let (_, gradients) = self.model.value_and_vjp(batch, &mut |outputs| {
            let mut along = Array2::zeros(outputs.dim());
            if let Ok(probabilities) = &*inside.insert(self.probabilities(outputs)) {
                let by_probability = cotangent(probabilities);
                for (row, mut along) in along.rows_mut().into_iter().enumerate() {
                    let slope = self.inside(outputs[[row, self.output]]).slope;
                    along[self.output] = slope * by_probability[[row, 0]];
                }
            }
            along
        })?;
        let probabilities = inside.ok_or("the model gave gradients before outputs")??;
        Ok((probabilities, gradients))
    }
}
