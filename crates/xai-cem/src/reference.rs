//! The method of alibi 0.9.6, where it differs: `semantics = "reference"`.

use ndarray::{Array1, Array2};
use xai_core::constraints::Constraints;
use xai_core::{ParamError, Reading, Result, Row, Rows, Run, require};
use xai_optim::loss::Hinge;
use xai_optim::reference::{
    alibi_shrinkage, project_pertinent_negative, project_pertinent_positive, search_as_alibi,
};
use xai_optim::{Evaluator, Instance, Outcome, Problem, SearchParams};

use crate::params::Mode;
use crate::problem::Contrast;
use crate::rules::Rules;

/// Refuses settings that the reference does not have.
pub(crate) fn validate(constraints: &Constraints) -> Result<(), ParamError> {
    let rule = "left out with the reference semantics";
    require(*constraints == Constraints::default(), "constraints", rule, "constraints")
}

/// The step of every numeric derivative.
const STEP: f64 = 1e-3;

/// The method of alibi.
pub(crate) struct Reference;

impl Rules for Reference {
    /// A tie is a change of class.
    fn decision_margin(&self, _: &Reading, _: &Row) -> f64 {
        0.0
    }

    /// What lies outside the range stays there until the search moves it.
    fn requires_inside(&self) -> bool {
        false
    }

    /// The step does not depend on the values.
    fn step(&self, _: Option<f64>) -> f64 {
        STEP
    }

    /// A feature that comes closer to its uninformative reference value is put back, wherever it was going.
    fn crosses(&self) -> bool {
        false
    }

    /// The search starts at the row and is not confined: projections and the shrinkage keep points where they may be.
    fn instance(&self, contrast: &Contrast<'_>, index: usize, hinge: Hinge) -> Instance {
        Instance::free(contrast.origins[index].clone(), hinge)
    }

    fn problem<'a>(&self, contrast: Contrast<'a>, eps: &'a Array1<f64>) -> Box<dyn Problem + 'a> {
        Box::new(AlibiContrast { contrast, eps })
    }

    /// Weights one after the other, without polish.
    fn search(
        &self,
        evaluator: Evaluator<'_>,
        params: &SearchParams,
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Outcome>> {
        search_as_alibi(evaluator, params, runs)
    }
}

/// The space of alibi's search: points are rows, for positives what is taken from the instance; one-sided shrinkage, and
/// projections that put a feature back.
struct AlibiContrast<'a> {
    /// The instances, the range and the terms.
    contrast: Contrast<'a>,
    /// Steps of numeric derivatives, shape `(n_columns,)`.
    eps: &'a Array1<f64>,
}

impl AlibiContrast<'_> {
    /// Whether points are what is taken from the instance.
    fn is_taken(&self) -> bool {
        self.contrast.mode == Mode::PertinentPositive
    }

    /// A feature moves away from the uninformative value (negatives) or not away from it (positives); what does otherwise is
    /// put back.
    fn put_back(&self, index: usize, point: &mut Row) {
        for (k, value) in point.iter_mut().enumerate() {
            let origin = self.contrast.origins[index][k];
            let reference = self.contrast.no_info[k];
            *value = match self.contrast.mode {
                Mode::PertinentNegative => project_pertinent_negative(*value, origin, reference),
                Mode::PertinentPositive => project_pertinent_positive(*value, origin, reference),
            };
        }
    }
}

impl Problem for AlibiContrast<'_> {
    fn n_columns(&self) -> usize {
        self.contrast.no_info.len()
    }

    fn decode(&self, instance: usize, point: &Row, input: &mut Row) {
        input.assign(point);
        if self.is_taken() {
            let origin = &self.contrast.origins[instance];
            input.zip_mut_with(origin, |taken, origin| *taken = origin - *taken);
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
        let gradients = self.contrast.reconstruction.gradients(runs, instances, &inputs)?;
        Ok(gradients.map(|gradients| if self.is_taken() { -gradients } else { gradients }))
    }

    fn proximal(&self, index: usize, instance: &Instance, threshold: f64, point: &mut Row) {
        let (lower, upper) = &self.contrast.range;
        for (k, value) in point.iter_mut().enumerate() {
            let range = [lower[k], upper[k]];
            *value = alibi_shrinkage(*value, instance.center[k], threshold, range);
        }
        self.put_back(index, point);
    }

    fn confine(&self, index: usize, _: &Instance, point: &mut Row) {
        self.put_back(index, point);
    }
}
