//! Pertinent negatives and positives as points to search for.

use ndarray::{Array1, Array2};
use xai_core::{
    BatchPlan, Differentiable, ModelRef, Result, Row, Rows, Run, Semantics, same_shape,
};
use xai_optim::{ConstrainedRows, Instance, Problem, keep_away, keep_toward, shrink_one_sided};

use crate::params::Mode;

/// The space of rows, with the autoencoder's term, and with the projections of the reference where they are asked for.
pub(crate) struct Contrast<'a> {
    pub(crate) rows: ConstrainedRows<'a>,
    pub(crate) mode: Mode,
    pub(crate) semantics: Semantics,
    /// The instances, each of shape `(n_columns,)`.
    pub(crate) origins: Vec<Array1<f64>>,
    /// The values without information, shape `(n_columns,)`.
    pub(crate) no_info: &'a Array1<f64>,
    /// Whether features may pass the value without information.
    pub(crate) crossing: bool,
    /// The limits of each column.
    pub(crate) range: (Array1<f64>, Array1<f64>),
    pub(crate) gamma: f64,
    /// Whether what is found stays between where it started and where the autoencoder's term drew it.
    pub(crate) is_drawn: bool,
    pub(crate) autoencoder: Option<&'a dyn Differentiable>,
}

impl Contrast<'_> {
    /// Whether points are what is taken from the instance, as in the reference's pertinent positives.
    fn is_taken(&self) -> bool {
        self.semantics == Semantics::Reference && self.mode == Mode::PertinentPositive
    }

    /// The reference's projection: a feature moves away from the value without information (PN) or not away from it
    /// (PP); what does otherwise is put back.
    fn put_back(&self, index: usize, point: &mut Row) {
        for (k, value) in point.iter_mut().enumerate() {
            let (own, nothing) = (self.origins[index][k], self.no_info[k]);
            *value = match self.mode {
                Mode::PertinentNegative => keep_away(*value, own, nothing),
                Mode::PertinentPositive => keep_toward(*value, own, nothing),
            };
        }
    }

    /// The value as far from that without information as the instance's, on its other side. `None` where a feature may
    /// not be there.
    #[allow(clippy::float_cmp, reason = "a feature says nothing when it is the very number")]
    pub(crate) fn mirror(&self, index: usize, column: usize) -> Option<f64> {
        let (own, nothing) = (self.origins[index][column], self.no_info[column]);
        let mirror = 2.0 * nothing - own;
        let inside = (self.range.0[column]..=self.range.1[column]).contains(&mirror);
        let allowed = self.crossing && inside && own != nothing && !self.rows.is_discrete(column);
        allowed.then_some(mirror)
    }
}

impl Problem for Contrast<'_> {
    fn n_columns(&self) -> usize {
        self.rows.n_columns()
    }

    fn decode(&self, instance: usize, point: &Row, input: &mut Row) {
        input.assign(point);
        if self.is_taken() {
            input.zip_mut_with(&self.origins[instance], |taken, own| *taken = own - *taken);
        }
    }

    fn snap(&self, instance: usize, point: &mut Row) {
        if self.semantics == Semantics::Reference {
            return;
        }
        self.rows.snap(instance, point);
        for k in 0..point.len() {
            // What lies between the instance and its mirror goes to the closer of the two.
            let (own, value) = (self.origins[instance][k], point[k]);
            let Some(mirror) = self.mirror(instance, k) else { continue };
            let between = own.min(mirror) < value && value < own.max(mirror);
            if between {
                point[k] = if (value - own).abs() <= (value - mirror).abs() { own } else { mirror };
            }
        }
    }

    fn piece(&self, index: usize, instance: &Instance, point: &Row, k: usize) -> (f64, f64) {
        let (lower, upper) = (instance.lower[k], instance.upper[k]);
        let Some(mirror) = self.mirror(index, k) else { return (lower, upper) };
        let own = self.origins[index][k];
        let is_across = (point[k] - mirror).abs() < (point[k] - own).abs();
        let end = if is_across { mirror } else { own };
        if (own < mirror) == is_across { (end, upper) } else { (lower, end) }
    }

    fn admits(
        &self,
        runs: &mut [Run<'_>],
        instances: &[usize],
        points: &Rows,
        outputs: &Rows,
    ) -> Result<Vec<bool>> {
        match self.semantics {
            Semantics::Native => self.rows.admits(runs, instances, points, outputs),
            Semantics::Reference => Ok(vec![true; instances.len()]),
        }
    }

    fn pull_back(&self, _: usize, _: &Row, gradient: &Row) -> Array1<f64> {
        if self.is_taken() { -gradient.to_owned() } else { gradient.to_owned() }
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

    fn drawn_to(&self, _: usize) -> Option<Vec<Array1<f64>>> {
        self.is_drawn.then(Vec::new)
    }

    fn smooth(
        &self,
        runs: &mut [Run<'_>],
        instances: &[usize],
        points: &Rows,
    ) -> Result<Option<Array2<f64>>> {
        let Some(autoencoder) = self.autoencoder.filter(|_| 0.0 < self.gamma) else {
            return Ok(None);
        };
        let mut rows: Vec<Vec<usize>> = vec![Vec::new(); runs.len()];
        for (row, &instance) in instances.iter().enumerate() {
            rows[instance].push(row);
        }
        let sizes: Vec<usize> = rows.iter().map(Vec::len).collect();
        let batch = BatchPlan { sizes: &sizes, gradients: &sizes, n_features: self.n_columns() };
        let input = |run: usize, row: usize| {
            let mut input = Array1::zeros(self.n_columns());
            self.decode(run, &points.row(rows[run][row]), &mut input);
            input
        };
        let mut gradients = Array2::zeros(points.dim());
        // The derivative of gamma |A(q) - q|^2 is 2 gamma (J_A^T r - r) with r = A(q) - q.
        let residual =
            |run, row, outputs: &Row| (input(run, row) - outputs.view()) * (-2.0 * self.gamma);
        Run::query_batched(
            runs,
            ModelRef::WhiteBox(autoencoder),
            batch,
            |run, row, cells| cells.assign(&input(run, row)),
            |run, row, outputs| {
                (outputs.len() == self.n_columns()).then(|| residual(run, row, outputs))
            },
            |run, row, outputs, gradient| {
                same_shape("the autoencoder's output", &[self.n_columns()], outputs.shape())?;
                let mut sum = -residual(run, row, outputs);
                if let Some(gradient) = gradient {
                    sum += &gradient.view();
                }
                let place = rows[run][row];
                gradients.row_mut(place).assign(&self.pull_back(run, &points.row(place), &sum));
                Ok(())
            },
        )?;
        Ok(Some(gradients))
    }

    fn proximal(&self, index: usize, instance: &Instance, threshold: f64, point: &mut Row) {
        if self.semantics == Semantics::Native {
            return self.rows.proximal(index, instance, threshold, point);
        }
        for (k, value) in point.iter_mut().enumerate() {
            let range = (self.range.0[k], self.range.1[k]);
            *value = shrink_one_sided(*value, instance.center[k], threshold, range);
        }
        self.put_back(index, point);
    }

    fn confine(&self, index: usize, instance: &Instance, point: &mut Row) {
        match self.semantics {
            Semantics::Native => instance.confine(point),
            Semantics::Reference => self.put_back(index, point),
        }
    }
}
