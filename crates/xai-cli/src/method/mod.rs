//! The methods the command knows, and all that a method has to say about itself.

mod anchor_image;
mod anchor_tabular;
mod anchor_text;
mod anchors;
mod cem;
mod cfproto;
mod contrast;
mod counterfactual;
mod grid_counterfactual;
#[cfg(feature = "gradients")]
mod integrated_gradients;
mod kernel_shap;

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use xai_core::figure::Figure;
use xai_core::tabular::discretizer::Edges;
use xai_core::{Explainer, Explanation, Params, Row};

pub use self::anchor_image::AnchorImageMethod;
pub use self::anchor_tabular::AnchorTabularMethod;
pub use self::anchor_text::AnchorTextMethod;
pub use self::cem::CemMethod;
pub use self::cfproto::CfProtoMethod;
pub use self::counterfactual::CounterfactualMethod;
pub use self::grid_counterfactual::GridCounterfactualMethod;
#[cfg(feature = "gradients")]
pub use self::integrated_gradients::IntegratedGradientsMethod;
pub use self::kernel_shap::KernelShapMethod;

use crate::data::Data;
use crate::explain::{Outcome, Prepared, Request};
use crate::failure::Failure;
use crate::job::Job;
use crate::model::Model;
use crate::output::sink;

/// A method that explains rows. One implementation and one line in [`METHODS`] make it a part of the command.
pub trait Method: Sync + Sized + 'static {
    /// Its name in job files and on the command line.
    const NAME: &'static str;
    /// The keys of `[model]` for gradients that it knows. Default: none.
    const KEYS: &'static [&'static str] = &[];
    /// What it takes the model's file for.
    type Model: Model;
    /// The `[params]` table.
    type Params: Params + Default + DeserializeOwned + JsonSchema;
    /// The method, fitted.
    type Explainer: Explainer<Input = Row, Data = Self::Data> + Sync;
    /// What an explanation holds.
    type Data: Serialize + JsonSchema + Send;

    /// Whether a job must have training rows. Default: always.
    fn needs_training(params: &Self::Params, job: &Job) -> bool {
        let _ = (params, job);
        true
    }

    /// Fits the method to what a job has. The model is there to say what its file says, and for a method that asks it
    /// about training rows.
    ///
    /// # Errors
    /// Those of the method, for wrong params before any model call.
    fn fit(
        params: Self::Params,
        data: &Data,
        model: &Self::Model,
    ) -> xai_core::Result<Self::Explainer>;

    /// Hands the model to `ask` as the method sees it.
    fn with_view(model: &Self::Model, ask: impl FnOnce(<Self::Explainer as Explainer>::Model<'_>));

    /// Whether the method takes rows with missing values. Default: never.
    fn takes_missing(params: &Self::Params) -> bool {
        let _ = params;
        false
    }

    /// The cuts of numeric features by name, of a method that puts their values in bins. Default: it has no bins.
    fn edges(params: &mut Self::Params) -> Option<&mut BTreeMap<String, Edges>> {
        let _ = params;
        None
    }

    /// One explanation for people; `outputs` names the model's outputs, as many as there are, or is empty.
    fn figure(data: &Self::Data, outputs: &[String]) -> Figure;

    /// What several explanations of a job say together. Default: nothing.
    ///
    /// # Errors
    /// Those of the method.
    fn summary(data: &[Self::Data], job: &Prepared<Self>) -> xai_core::Result<Option<Figure>> {
        let _ = (data, job);
        Ok(None)
    }
}

/// A method without its types: what the command line chooses from.
pub trait Registered: Sync {
    /// Its name in job files and on the command line.
    fn name(&self) -> &'static str;

    /// The JSON Schema of its params and of its explanations.
    fn schema(&self) -> MethodSchema;

    /// Whether it draws pictures of its explanations. Default: no.
    fn draws_pictures(&self) -> bool {
        false
    }

    /// RunConfig a job.
    ///
    /// # Errors
    /// [`Failure::Input`] before any model call, [`Failure::Run`] when the output cannot be written.
    fn explain(&self, job: &Job, request: &Request) -> Result<Outcome, Failure>;
}

/// What a method reads and writes, as JSON Schema.
#[derive(Clone, Debug, Serialize)]
pub struct MethodSchema {
    /// Its name in job files and on the command line.
    pub method: &'static str,
    /// The schema of the `[params]` table.
    pub params: Schema,
    /// The schema of an explanation.
    pub explanation: Schema,
}

/// All methods, by name.
pub static METHODS: &[&dyn Registered] = &[
    &AnchorImageMethod,
    &AnchorTabularMethod,
    &AnchorTextMethod,
    &CemMethod,
    &CfProtoMethod,
    &CounterfactualMethod,
    &GridCounterfactualMethod,
    #[cfg(feature = "gradients")]
    &IntegratedGradientsMethod,
    &KernelShapMethod,
];

/// Methods that this build leaves out, and the feature that brings each.
const LEFT_OUT: &[(&str, &str)] = &[
    #[cfg(not(feature = "gradients"))]
    ("integrated-gradients", "gradients"),
];

/// The method of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Registered> {
    METHODS.iter().copied().find(|method| method.name() == name)
}

/// What to say about a name that no method has.
#[must_use]
pub fn unknown(name: &str) -> String {
    if let Some((_, feature)) = LEFT_OUT.iter().find(|(left_out, _)| *left_out == name) {
        return format!(
            "`{name}` is not in this build of the command: build it with `--features {feature}`"
        );
    }
    let names: Vec<String> = METHODS.iter().map(|method| format!("`{}`", method.name())).collect();
    format!("there is no method `{name}`, the methods are {}", names.join(", "))
}

impl<M: Method> Registered for M {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn schema(&self) -> MethodSchema {
        MethodSchema {
            method: M::NAME,
            params: schemars::schema_for!(M::Params),
            explanation: schemars::schema_for!(Explanation<M::Data>),
        }
    }

    fn explain(&self, job: &Job, request: &Request) -> Result<Outcome, Failure> {
        let prepared = Prepared::<M>::new(job, request)?;
        let mut sink = sink(&request.output, &prepared)?;
        prepared.run(request.progress, sink.as_mut())
    }
}

/// Puts the name of an output in the place of `output N`.
fn name_output(text: &mut String, outputs: &[String]) {
    let Some(rest) = text.strip_prefix("output ") else { return };
    let (index, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    if let Some(name) = index.parse().ok().and_then(|index: usize| outputs.get(index)) {
        *text = format!("{name} {rest}").trim_end().to_owned();
    }
}
