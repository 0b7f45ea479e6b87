//! Pertinent negatives and positives as points to search for.

use ndarray::{Array1, Array2};
use xai_core::{Differentiable, ModelRef, Result, Row, Rows, Run, same_shape};
use xai_optim::loss::Hinge;
use xai_optim::{ConstrainedRows, Instance, Problem, evaluate_rows};

use crate::params::Mode;

/// The space of rows, with the autoencoder's term.
pub(crate) struct Contrast<'a> {
    pub(crate) rows: ConstrainedRows<'a>,
    /// The instances, each of shape `(n_columns,)`.
    pub(crate) origins: Vec<Array1<f64>>,
    /// The uninformative reference values, shape `(n_columns,)`.
    pub(crate) no_info: &'a Array1<f64>,
    pub(crate) mode: Mode,
    /// Whether features may pass the uninformative reference value.
    pub(crate) crossing: bool,
    /// The limits of each column.
    pub(crate) range: (Array1<f64>, Array1<f64>),
    /// Whether what is found stays between where it started and where the autoencoder's term drew it.
    pub(crate) keeps_attraction: bool,
    pub(crate) reconstruction: Reconstruction<'a>,
}

impl Contrast<'_> {
    /// Where an instance may go.
    pub(crate) fn instance(&self, index: usize, hinge: Hinge) -> Instance {
        let x = &self.origins[index];
        let mut instance = self.rows.instance(index, hinge, &self.range.0, &self.range.1);
        for (k, (&value, &reference)) in x.iter().zip(self.no_info).enumerate() {
            let (lower, upper) = (&mut instance.lower[k], &mut instance.upper[k]);
            match self.mode {
                _ if self.mirror(index, k).is_some() => {}
                // Only away from the uninformative reference value.
                Mode::PertinentNegative if reference < value => *lower = value,
                Mode::PertinentNegative if value < reference => *upper = value,
                Mode::PertinentNegative => {}
                Mode::PertinentPositive => {
                    *lower = lower.max(value.min(reference));
                    *upper = upper.min(value.max(reference));
                }
            }
        }
        if self.mode == Mode::PertinentPositive {
            instance.center.assign(self.no_info);
            let mut start = instance.center.clone();
            instance.confine(&mut start);
            self.snap(index, &mut start);
            instance.start = start;
        }
        instance
    }

    /// The value as far from the uninformative reference value as the instance's, on its other side. `None` where a
    /// feature may not be there.
    #[allow(clippy::float_cmp, reason = "a feature says nothing when it is the very number")]
    pub(crate) fn mirror(&self, index: usize, column: usize) -> Option<f64> {
        let (origin, reference) = (self.origins[index][column], self.no_info[column]);
        let mirror = 2.0 * reference - origin;
        let inside = (self.range.0[column]..=self.range.1[column]).contains(&mirror);
        let allowed =
            self.crossing && inside && origin != reference && !self.rows.is_discrete(column);
        allowed.then_some(mirror)
    }
}

impl Problem for Contrast<'_> {
    fn n_columns(&self) -> usize {
        self.rows.n_columns()
    }

    fn snap(&self, instance: usize, point: &mut Row) {
        self.rows.snap(instance, point);
        for k in 0..point.len() {
            // What lies between the instance and its mirror goes to the closer of the two.
            let (origin, value) = (self.origins[instance][k], point[k]);
            let Some(mirror) = self.mirror(instance, k) else { continue };
            let between = origin.min(mirror) < value && value < origin.max(mirror);
            if between {
                let is_closer = (value - origin).abs() <= (value - mirror).abs();
                point[k] = if is_closer { origin } else { mirror };
            }
        }
    }

    fn piece(&self, index: usize, instance: &Instance, point: &Row, k: usize) -> (f64, f64) {
        let (lower, upper) = (instance.lower[k], instance.upper[k]);
        let Some(mirror) = self.mirror(index, k) else { return (lower, upper) };
        let origin = self.origins[index][k];
        let is_across = (point[k] - mirror).abs() < (point[k] - origin).abs();
        let end = if is_across { mirror } else { origin };
        if (origin < mirror) == is_across { (end, upper) } else { (lower, end) }
    }

    fn admits(
        &self,
        runs: &mut [Run<'_>],
        instances: &[usize],
        points: &Rows,
        outputs: &Rows,
    ) -> Result<Vec<bool>> {
        self.rows.admits(runs, instances, points, outputs)
    }

    fn probe(&self, instance: usize, point: &Row, coordinate: usize) -> Option<(f64, f64)> {
        self.rows.probe(instance, point, coordinate)
    }

    fn is_discrete(&self, coordinate: usize) -> bool {
        self.rows.is_discrete(coordinate)
    }

    fn neighbors(&self, instance: usize, point: &Row) -> Vec<Array1<f64>> {
        self.rows.neighbors(instance, point)
    }

    fn group(&self, coordinate: usize) -> usize {
        self.rows.group(coordinate)
    }

    fn attractors(&self, _: usize) -> Option<Vec<Array1<f64>>> {
        self.keeps_attraction.then(Vec::new)
    }

    fn smooth(
        &self,
        runs: &mut [Run<'_>],
        instances: &[usize],
        points: &Rows,
    ) -> Result<Option<Array2<f64>>> {
        self.reconstruction.gradients(runs, instances, points)
    }
}

/// The autoencoder's term of the loss, `gamma ||A(q) - q||^2`.
#[derive(Clone, Copy)]
pub(crate) struct Reconstruction<'a> {
    pub(crate) gamma: f64,
    pub(crate) autoencoder: Option<&'a dyn Differentiable>,
}

impl Reconstruction<'_> {
    /// The gradients of the term at rows of the model, shape of `inputs`; `None` where there is no term.
    pub(crate) fn gradients(
        &self,
        runs: &mut [Run<'_>],
        instances: &[usize],
        inputs: &Rows,
    ) -> Result<Option<Array2<f64>>> {
        let Some(autoencoder) = self.autoencoder.filter(|_| 0.0 < self.gamma) else {
            return Ok(None);
        };
        let n_columns = inputs.ncols();
        // The derivative of gamma |A(q) - q|^2 is 2 gamma (J_A^T r - r) with r = A(q) - q.
        let residual =
            |row: usize, outputs: &Row| (&outputs.view() - &inputs.row(row)) * (2.0 * self.gamma);
        let model = ModelRef::WhiteBox(autoencoder);
        let evaluations = evaluate_rows(model, instances, inputs, runs, &|row, outputs| {
            (outputs.len() == n_columns).then(|| residual(row, outputs))
        })?;
        let mut gradients = Array2::zeros(inputs.dim());
        for (row, evaluation) in evaluations.iter().enumerate() {
            let outputs = &evaluation.outputs;
            same_shape("the autoencoder's output", &[n_columns], outputs.shape())?;
            let mut sum: Array1<f64> = -residual(row, outputs);
            if let Some(gradient) = &evaluation.gradient {
                sum += gradient;
            }
            gradients.row_mut(row).assign(&sum);
        }
        Ok(Some(gradients))
    }
}
