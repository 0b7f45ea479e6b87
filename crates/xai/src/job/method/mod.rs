//! The methods that jobs know, and all that a method has to say about itself.

#[cfg(feature = "image")]
mod anchor_image;
#[cfg(feature = "anchors")]
mod anchor_tabular;
#[cfg(feature = "text")]
mod anchor_text;
#[cfg(feature = "cem")]
mod cem;
#[cfg(feature = "cfproto")]
mod cfproto;
#[cfg(feature = "counterfactual")]
mod counterfactual;
#[cfg(feature = "gridcf")]
mod grid_counterfactual;
#[cfg(feature = "intgrad")]
mod integrated_gradients;
#[cfg(feature = "shap")]
mod kernel_shap;
#[cfg(any(feature = "anchors", feature = "cem", feature = "cfproto", feature = "counterfactual"))]
mod searches;

use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use xai_core::{Explainer, Figure, OutputNames, ParamError, Params, ToFigure};

use super::Job;
use super::error::{JobError, Place};
use super::explanation::{Line, PictureFile};
use super::input::{InputKind, JobInput};
use super::run::LoadedJob;

/// A method of jobs. One implementation, and one line in [`METHODS`], make it known.
pub(crate) trait Method: Sync + Sized + 'static {
    /// Its name in jobs.
    const NAME: &'static str;
    /// The keys of `[model]` for gradients that it knows. Default: none.
    const MODEL_KEYS: &'static [&'static str] = &[];
    /// Whether it cannot do without the gradients of the model. Default: no.
    const NEEDS_GRADIENTS: bool = false;
    /// Whether it draws [`pictures`](Self::pictures). Default: no.
    const DRAWS_PICTURES: bool = false;
    /// What it explains.
    type Input: JobInput;
    /// The settings.
    type Params: Params + Clone + Default + DeserializeOwned + JsonSchema;
    /// What an explanation holds.
    type Data: Serialize + JsonSchema + ToFigure + Send + 'static;
    /// The model as it asks it.
    type Model<'m>: Copy + Sync;
    /// The method, fitted to training data that it may borrow.
    type Explainer<'t>: for<'m> Explainer<
            Input = <Self::Input as JobInput>::One,
            Model<'m> = Self::Model<'m>,
            Data = Self::Data,
        > + Sync;

    /// What it needs of the data.
    fn requirements(
        params: &Self::Params,
        job: &Job<'_>,
    ) -> Result<<Self::Input as JobInput>::Requirements, ParamError>;

    /// Fits the method. The models are there to say what their files say, and for a method that asks them about
    /// training rows.
    fn fit<'t>(
        params: Self::Params,
        training: &'t <Self::Input as JobInput>::Training,
        models: &<Self::Input as JobInput>::Models<'_>,
    ) -> xai_core::Result<Self::Explainer<'t>>;

    /// The model as the method asks it.
    fn model<'m>(models: &'m <Self::Input as JobInput>::Models<'_>) -> Self::Model<'m>;

    /// Pictures of an explanation. Default: none.
    fn pictures(data: &Self::Data) -> Vec<PictureFile> {
        let _ = data;
        Vec::new()
    }

    /// What several explanations of a job say together. Default: nothing.
    fn summary(summarised: &Summarised<'_, Self>) -> xai_core::Result<Option<Figure>> {
        let _ = summarised;
        Ok(None)
    }
}

/// What a summary is made of.
pub(crate) struct Summarised<'s, M: Method> {
    /// The explanations.
    pub(crate) data: &'s [&'s M::Data],
    /// What the method was fitted to.
    pub(crate) training: &'s <M::Input as JobInput>::Training,
    /// Names of the model's outputs; may be none.
    pub(crate) outputs: &'s OutputNames,
}

/// What a method reads and writes, as JSON Schema.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct MethodSchema {
    /// Its name in jobs.
    pub method: &'static str,
    /// The schema of its settings.
    pub params: Schema,
    /// The schema of an explanation, as a line of the output.
    pub explanation: Schema,
}

/// A method without its types: what jobs choose from by name.
///
/// Only the methods of this crate implement it.
pub trait DynMethod: Sync + sealed::Sealed {
    /// Its name in jobs.
    fn name(&self) -> &'static str;

    /// What it explains.
    fn input(&self) -> InputKind;

    /// Whether its explanations have [`pictures`](super::JobExplanation::pictures).
    fn draws_pictures(&self) -> bool;

    /// The JSON Schema of its settings and of its explanations.
    fn schema(&self) -> MethodSchema;

    /// Reads what a job of this method names.
    ///
    /// # Errors
    /// As [`Job::load`].
    #[doc(hidden)]
    fn load<'j>(&self, job: &'j Job<'j>) -> Result<LoadedJob<'j>, JobError>;
}

mod sealed {
    /// Keeps [`DynMethod`](super::DynMethod) to this crate, so that it may grow.
    pub trait Sealed {}
}

impl<M: Method> sealed::Sealed for M {}

impl<M: Method> DynMethod for M {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn input(&self) -> InputKind {
        M::Input::KIND
    }

    fn draws_pictures(&self) -> bool {
        M::DRAWS_PICTURES
    }

    fn schema(&self) -> MethodSchema {
        MethodSchema {
            method: M::NAME,
            params: schemars::schema_for!(M::Params),
            explanation: schemars::schema_for!(Line<'static, M::Data>),
        }
    }

    fn load<'j>(&self, job: &'j Job<'j>) -> Result<LoadedJob<'j>, JobError> {
        LoadedJob::load::<M>(job)
    }
}

/// The methods of this build, by name.
static METHODS: &[&dyn DynMethod] = &[
    #[cfg(feature = "image")]
    &anchor_image::AnchorImageMethod,
    #[cfg(feature = "anchors")]
    &anchor_tabular::AnchorTabularMethod,
    #[cfg(feature = "text")]
    &anchor_text::AnchorTextMethod,
    #[cfg(feature = "cem")]
    &cem::CemMethod,
    #[cfg(feature = "cfproto")]
    &cfproto::CfProtoMethod,
    #[cfg(feature = "counterfactual")]
    &counterfactual::CounterfactualMethod,
    #[cfg(feature = "gridcf")]
    &grid_counterfactual::GridCounterfactualMethod,
    #[cfg(feature = "intgrad")]
    &integrated_gradients::IntegratedGradientsMethod,
    #[cfg(feature = "shap")]
    &kernel_shap::KernelShapMethod,
];

/// All methods, and the feature of this crate that brings each.
const FEATURES: [(&str, &str); 9] = [
    ("anchor-image", "image"),
    ("anchor-tabular", "anchors"),
    ("anchor-text", "text"),
    ("cem", "cem"),
    ("cfproto", "cfproto"),
    ("counterfactual", "counterfactual"),
    ("grid-counterfactual", "gridcf"),
    ("integrated-gradients", "intgrad"),
    ("kernel-shap", "shap"),
];

/// The methods of this build, by name.
#[must_use]
pub fn methods() -> &'static [&'static dyn DynMethod] {
    METHODS
}

/// The method of a name.
///
/// # Errors
/// [`JobError::NotInBuild`] for a method whose feature is off, [`JobError::UnknownMethod`] for any other name.
pub fn find(name: &str) -> Result<&'static dyn DynMethod, JobError> {
    find_or_refuse(name, Place::default)
}

/// The method of a name, or an error at a place.
pub(super) fn find_or_refuse(
    name: &str,
    place: impl FnOnce() -> Place,
) -> Result<&'static dyn DynMethod, JobError> {
    if let Some(method) = METHODS.iter().find(|method| method.name() == name) {
        return Ok(*method);
    }
    Err(match FEATURES.iter().find(|(method, _)| *method == name) {
        Some((_, feature)) => {
            JobError::NotInBuild { place: place(), subject: format!("`{name}` is"), feature }
        }
        None => JobError::UnknownMethod { place: place(), name: name.to_owned() },
    })
}

/// What to say about a name that no method has.
pub(super) fn unknown_method(name: &str) -> String {
    let names: Vec<String> = METHODS.iter().map(|method| format!("`{}`", method.name())).collect();
    format!("there is no method `{name}`, the methods are {}", names.join(", "))
}
