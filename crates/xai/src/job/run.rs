//! From a job to results: load, fit, explain.

use std::ops::ControlFlow;

use xai_core::{Explainer, Figure, OutputNames};

use super::Job;
use super::error::JobError;
use super::explanation::JobExplanation;
use super::input::{InputId, JobInput, Loaded};
use super::method::{Method, Summarised};
use super::models::ModelRequirements;

/// What takes the results of a job, one by one; `Break` ends the work.
pub type OnResult<'r> =
    &'r mut dyn FnMut(InputId<'_>, xai_core::Result<JobExplanation>) -> ControlFlow<()>;

/// A job whose data and models have been read.
pub struct LoadedJob<'j>(Box<dyn LoadedMethod + 'j>);

/// A job whose method is fitted, so that only the model can fail.
pub struct FittedJob<'l>(Box<dyn FittedMethod + 'l>);

/// A [`LoadedJob`] with the types of its method.
struct LoadedOf<'j, M: Method> {
    job: &'j Job<'j>,
    params: M::Params,
    loaded: Loaded<'j, M::Input>,
}

/// A [`FittedJob`] with the types of its method.
struct FittedOf<'l, 'j, M: Method> {
    source: &'l LoadedOf<'j, M>,
    explainer: M::Explainer<'l>,
}

trait LoadedMethod {
    fn fit<'l>(&'l self) -> Result<Box<dyn FittedMethod + 'l>, JobError>;
}

trait FittedMethod {
    fn n_inputs(&self) -> usize;
    fn id(&self, index: usize) -> InputId<'_>;
    fn outputs(&self) -> &OutputNames;
    fn explain(&self, on_result: OnResult<'_>);
    fn summary(&self, explanations: &[JobExplanation]) -> xai_core::Result<Option<Figure>>;
}

impl<'j> LoadedJob<'j> {
    /// Reads what the job of a method names.
    pub(super) fn load<M: Method>(job: &'j Job<'j>) -> Result<Self, JobError> {
        let params: M::Params = job.params.read(M::NAME, &job.origin)?;
        let requirements =
            M::requirements(&params, job).map_err(|error| job.refuse(error.into()))?;
        let models = ModelRequirements { keys: M::MODEL_KEYS, gradients: M::NEEDS_GRADIENTS };
        let loaded = M::Input::load(job, &requirements, &models)?;
        Ok(LoadedJob(Box::new(LoadedOf::<M> { job, params, loaded })))
    }

    /// Fits the method.
    ///
    /// # Errors
    /// [`JobError::Param`] for a setting that does not fit the data, [`JobError::Method`] for data that the method
    /// refuses, and for a model that fails, of a method that asks it about training rows.
    pub fn fit(&self) -> Result<FittedJob<'_>, JobError> {
        Ok(FittedJob(self.0.fit()?))
    }
}

impl FittedJob<'_> {
    /// How many inputs there are to explain.
    #[must_use]
    pub fn n_inputs(&self) -> usize {
        self.0.n_inputs()
    }

    /// The inputs to explain, in order.
    pub fn ids(&self) -> impl Iterator<Item = InputId<'_>> {
        (0..self.n_inputs()).map(|index| self.0.id(index))
    }

    /// Names of the model's outputs, for figures; empty where nobody named them.
    #[must_use]
    pub fn outputs(&self) -> &OutputNames {
        self.0.outputs()
    }

    /// Explains the inputs and hands each result to `on_result`, in the order of the inputs, as soon as it is there;
    /// `Break` ends the work.
    pub fn explain(&self, on_result: OnResult<'_>) {
        self.0.explain(on_result);
    }

    /// What several explanations of this job say together; `None` of a method that has nothing to say.
    ///
    /// # Errors
    /// Those of the method.
    pub fn summary(&self, explanations: &[JobExplanation]) -> xai_core::Result<Option<Figure>> {
        self.0.summary(explanations)
    }
}

impl<M: Method> LoadedMethod for LoadedOf<'_, M> {
    fn fit<'l>(&'l self) -> Result<Box<dyn FittedMethod + 'l>, JobError> {
        let Loaded { training, models, .. } = &self.loaded;
        let explainer = M::fit(self.params.clone(), training, models)
            .map_err(|error| self.job.refuse(error))?;
        Ok(Box::new(FittedOf { source: self, explainer }))
    }
}

impl<M: Method> FittedMethod for FittedOf<'_, '_, M> {
    fn n_inputs(&self) -> usize {
        self.source.loaded.range.len()
    }

    fn id(&self, index: usize) -> InputId<'_> {
        self.source.loaded.id(index)
    }

    fn outputs(&self) -> &OutputNames {
        &self.source.loaded.outputs
    }

    fn explain(&self, on_result: OnResult<'_>) {
        let LoadedOf { job, loaded, .. } = self.source;
        let model = M::model(&loaded.models);
        self.explainer.explain_many_with(
            model,
            &loaded.inputs,
            &job.config(),
            &mut |index, result| on_result(loaded.id(index), result.map(JobExplanation::new::<M>)),
        );
    }

    fn summary(&self, explanations: &[JobExplanation]) -> xai_core::Result<Option<Figure>> {
        let Loaded { training, outputs, .. } = &self.source.loaded;
        let typed = explanations.iter().filter_map(|one| one.typed::<M::Data>());
        let data: Vec<&M::Data> = typed.map(|explanation| &explanation.data).collect();
        M::summary(&Summarised { data: &data, training, outputs })
    }
}
