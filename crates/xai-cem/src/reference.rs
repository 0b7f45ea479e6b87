//! Pertinent negatives and positives as alibi searches for them: points are rows, for positives what is taken from the
//! instance; one-sided shrinkage, and projections that put a feature back.

use ndarray::{Array1, Array2};
use xai_core::{Result, Row, Rows, Run};
use xai_optim::reference::{
    alibi_shrinkage, project_pertinent_negative, project_pertinent_positive,
};
use xai_optim::{Instance, Problem};

use crate::params::Mode;
use crate::problem::{Contrast, Reconstruction};

/// The space of alibi's search.
pub(crate) struct AlibiContrast<'a> {
    pub(crate) mode: Mode,
    /// The instances, each of shape `(n_columns,)`.
    pub(crate) origins: &'a [Array1<f64>],
    /// The uninformative reference values, shape `(n_columns,)`.
    pub(crate) no_info: &'a Array1<f64>,
    /// The least and the largest value of each column.
    pub(crate) range: [&'a Array1<f64>; 2],
    /// Steps of numeric derivatives, shape `(n_columns,)`.
    pub(crate) eps: &'a Array1<f64>,
    pub(crate) reconstruction: Reconstruction<'a>,
}

impl<'a> AlibiContrast<'a> {
    /// The same instances and terms in alibi's space.
    pub(crate) fn new(contrast: &'a Contrast<'a>, mode: Mode, eps: &'a Array1<f64>) -> Self {
        AlibiContrast {
            mode,
            origins: &contrast.origins,
            no_info: contrast.no_info,
            range: [&contrast.range.0, &contrast.range.1],
            eps,
            reconstruction: contrast.reconstruction,
        }
    }

    /// Whether points are what is taken from the instance.
    fn is_taken(&self) -> bool {
        self.mode == Mode::PertinentPositive
    }

    /// A feature moves away from the uninformative value (negatives) or not away from it (positives); what does otherwise is
    /// put back.
    fn put_back(&self, index: usize, point: &mut Row) {
        for (k, value) in point.iter_mut().enumerate() {
            let (origin, reference) = (self.origins[index][k], self.no_info[k]);
            *value = match self.mode {
                Mode::PertinentNegative => project_pertinent_negative(*value, origin, reference),
                Mode::PertinentPositive => project_pertinent_positive(*value, origin, reference),
            };
        }
    }
}

impl Problem for AlibiContrast<'_> {
    fn n_columns(&self) -> usize {
        self.no_info.len()
    }

    fn decode(&self, instance: usize, point: &Row, input: &mut Row) {
        input.assign(point);
        if self.is_taken() {
            input.zip_mut_with(&self.origins[instance], |taken, origin| *taken = origin - *taken);
        }
    }

    fn pull_back(&self, _: usize, _: &Row, gradient: &Row) -> Array1<f64> {
        if self.is_taken() { -gradient.to_owned() } else { gradient.to_owned() }
    }

    fn probe(&self, _: usize, point: &Row, coordinate: usize) -> Option<(f64, f64)> {
        let (value, eps) = (point[coordinate], self.eps[coordinate]);
        Some((value - eps, value + eps))
    }

    fn smooth(
        &self,
        runs: &mut [Run<'_>],
        instances: &[usize],
        points: &Rows,
    ) -> Result<Option<Array2<f64>>> {
        let mut inputs = Array2::zeros(points.dim());
        for ((&instance, point), mut input) in
            instances.iter().zip(points.rows()).zip(inputs.rows_mut())
        {
            self.decode(instance, &point, &mut input);
        }
        let gradients = self.reconstruction.gradients(runs, instances, &inputs)?;
        Ok(gradients.map(|gradients| if self.is_taken() { -gradients } else { gradients }))
    }

    fn proximal(&self, index: usize, instance: &Instance, threshold: f64, point: &mut Row) {
        for (k, value) in point.iter_mut().enumerate() {
            let range = self.range.map(|limits| limits[k]);
            *value = alibi_shrinkage(*value, instance.center[k], threshold, range);
        }
        self.put_back(index, point);
    }

    fn confine(&self, index: usize, _: &Instance, point: &mut Row) {
        self.put_back(index, point);
    }
}
