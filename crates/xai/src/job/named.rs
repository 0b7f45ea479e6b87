//! The names that a job gives the outputs or classes of its model.

use ndarray::Array2;
use xai_core::{
    BoxError, Differentiable, ModelRef, Output, OutputNames, Paths, Predictor, Rows, Side, Split,
};

use super::Job;
use super::error::JobError;
use super::models::RowModel;

/// A model of rows with the names that the job gives its classes, so that every method and every document has them.
pub(crate) struct NamedModel<'j> {
    pub(crate) model: RowModel<'j>,
    pub(crate) class_names: Vec<String>,
}

impl NamedModel<'_> {
    /// This model with gradients where the model inside has them.
    pub(crate) fn view(&self) -> ModelRef<'_> {
        match self.model.view() {
            ModelRef::WhiteBox(_) => ModelRef::WhiteBox(self),
            ModelRef::BlackBox(_) => ModelRef::BlackBox(self),
        }
    }

    fn predictor(&self) -> &dyn Predictor {
        self.model.view().predictor()
    }

    fn gradients(&self) -> &dyn Differentiable {
        match self.model.view() {
            ModelRef::WhiteBox(model) => model,
            ModelRef::BlackBox(_) => unreachable!("it is a black box itself"),
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a wrapper calls the model it wraps")]
impl Predictor for NamedModel<'_> {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        self.predictor().predict(batch)
    }

    fn max_batch(&self) -> usize {
        self.predictor().max_batch()
    }

    fn n_features(&self) -> Option<usize> {
        self.predictor().n_features()
    }

    fn output(&self) -> Option<Output> {
        self.predictor().output()
    }

    fn class_names(&self) -> Option<&[String]> {
        Some(&self.class_names)
    }

    fn differentiable(&self) -> Option<&dyn Differentiable> {
        match self.view() {
            ModelRef::WhiteBox(model) => Some(model),
            ModelRef::BlackBox(_) => None,
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a wrapper calls the model it wraps")]
impl Differentiable for NamedModel<'_> {
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        self.gradients().vjp(batch, cotangent)
    }

    fn vjp_queries(&self, n_features: usize) -> u64 {
        self.gradients().vjp_queries(n_features)
    }

    fn value_and_vjp(
        &self,
        batch: &Rows,
        cotangent: &mut dyn FnMut(&Rows) -> Array2<f64>,
    ) -> Result<(Array2<f64>, Array2<f64>), BoxError> {
        self.gradients().value_and_vjp(batch, cotangent)
    }

    fn path_vjp(&self, paths: &Paths<'_>, max_points: usize) -> Result<Array2<f64>, BoxError> {
        self.gradients().path_vjp(paths, max_points)
    }

    fn split_at(&self, layer: &str, side: Side) -> Option<Split<'_>> {
        self.gradients().split_at(layer, side)
    }
}

/// The names of outputs or classes that the job gives.
pub(crate) fn given_names<'j>(job: &'j Job<'_>) -> Option<&'j [String]> {
    let of_document = job.model().and_then(|section| section.outputs.as_ref());
    job.model.outputs.as_deref().or_else(|| of_document.map(|names| names.get_ref().as_slice()))
}

/// The names of the outputs: those of the job, whose number is checked, or else those that the model has.
pub(crate) fn output_names(
    job: &Job<'_>,
    declared: impl FnOnce() -> Vec<String>,
    n_outputs: impl FnOnce() -> xai_core::Result<usize>,
) -> Result<OutputNames, JobError> {
    let Some(names) = given_names(job) else { return Ok(OutputNames::new(declared())) };
    let n_outputs = n_outputs()?;
    // A single output may be a probability of two classes, or the label of any number of them.
    let fits = names.len() == n_outputs || (n_outputs == 1 && !names.is_empty());
    if !fits {
        let message = format!(
            "`outputs` must name the model's {n_outputs} outputs, got {} names",
            names.len()
        );
        let of_document = job.model().and_then(|section| section.outputs.as_ref());
        let place = of_document.map_or_else(|| job.place(), |names| job.place_of(names));
        return Err(JobError::invalid(place, message));
    }
    Ok(OutputNames::new(names))
}
