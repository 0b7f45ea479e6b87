//! The methods the command knows, and all that a method has to say about itself.

use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use xai_core::figure::{Figure, Panel, Table};
use xai_core::tabular::Features;
use xai_core::{Explainer, Explanation, Params, Row, Rows};
use xai_gridcf::{
    GridCounterfactual, GridCounterfactualData, GridCounterfactualParams, Prediction,
};
use xai_onnx::OnnxModel;
use xai_shap::{Importance, KernelShap, KernelShapData, KernelShapParams, importances};

use crate::explain::{Outcome, Prepared, Request};
use crate::failure::Failure;
use crate::job::Job;
use crate::output::sink;
use crate::text;

/// A method that explains rows. One implementation and one line in [`METHODS`] make it a part of the command.
pub trait Method: Sync + 'static {
    /// Its name in job files and on the command line.
    const NAME: &'static str;
    /// The `[params]` table.
    type Params: Params + Default + DeserializeOwned + JsonSchema;
    /// The method, fitted.
    type Explainer: Explainer<Input = Row, Data = Self::Data> + Sync;
    /// What an explanation holds.
    type Data: Serialize + JsonSchema + Send;

    /// Fits the method to the background.
    ///
    /// # Errors
    /// Those of the method, before any model call.
    fn fit(
        params: Self::Params,
        background: &Rows,
        features: Features,
    ) -> xai_core::Result<Self::Explainer>;

    /// The model as the method sees it.
    fn view(model: &OnnxModel) -> &<Self::Explainer as Explainer>::Model<'_>;

    /// Whether the method takes rows with missing values. Default: never.
    fn takes_missing(params: &Self::Params) -> bool {
        let _ = params;
        false
    }

    /// One explanation for people; `outputs` names the model's outputs, as many as there are, or is empty.
    fn figure(data: &Self::Data, outputs: &[String]) -> Figure;

    /// What several explanations say together. Default: nothing.
    ///
    /// # Errors
    /// Those of the method.
    fn summary(data: &[Self::Data], outputs: &[String]) -> xai_core::Result<Option<Figure>> {
        let _ = (data, outputs);
        Ok(None)
    }
}

/// A method without its types: what the command line chooses from.
pub trait Registered: Sync {
    /// Its name in job files and on the command line.
    fn name(&self) -> &'static str;

    /// The JSON Schema of its params and of its explanations.
    fn schema(&self) -> MethodSchema;

    /// Runs a job.
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
pub static METHODS: &[&dyn Registered] = &[&GridCounterfactualMethod, &KernelShapMethod];

/// The method of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Registered> {
    METHODS.iter().copied().find(|method| method.name() == name)
}

/// What to say about a name that no method has.
#[must_use]
pub fn unknown(name: &str) -> String {
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
        let mut sink = sink::<M>(&request.output, prepared.outputs())?;
        prepared.run(request.progress, sink.as_mut())
    }
}

/// Grid-search counterfactuals, the crate `xai-gridcf`.
pub struct GridCounterfactualMethod;

impl Method for GridCounterfactualMethod {
    const NAME: &'static str = "grid-counterfactual";
    type Params = GridCounterfactualParams;
    type Explainer = GridCounterfactual;
    type Data = GridCounterfactualData;

    fn fit(
        params: GridCounterfactualParams,
        background: &Rows,
        features: Features,
    ) -> xai_core::Result<GridCounterfactual> {
        params.fit(background, features)
    }

    fn view(model: &OnnxModel) -> &<GridCounterfactual as Explainer>::Model<'_> {
        model
    }

    fn figure(data: &GridCounterfactualData, outputs: &[String]) -> Figure {
        let named = |prediction: &mut Prediction| {
            let Prediction::Class(class) = prediction else { return };
            let name = usize::try_from(*class).ok().and_then(|class| outputs.get(class));
            if let Some(name) = name {
                *prediction = Prediction::Name(name.clone());
            }
        };
        let mut data = data.clone();
        named(&mut data.instance_prediction);
        data.predictions.iter_mut().for_each(named);
        data.figure()
    }
}

/// KernelSHAP, the crate `xai-shap`.
pub struct KernelShapMethod;

impl Method for KernelShapMethod {
    const NAME: &'static str = "kernel-shap";
    type Params = KernelShapParams;
    type Explainer = KernelShap;
    type Data = KernelShapData;

    fn fit(
        params: KernelShapParams,
        background: &Rows,
        features: Features,
    ) -> xai_core::Result<KernelShap> {
        params.fit(background, features)
    }

    fn view(model: &OnnxModel) -> &<KernelShap as Explainer>::Model<'_> {
        model
    }

    fn takes_missing(params: &KernelShapParams) -> bool {
        params.allow_missing
    }

    fn figure(data: &KernelShapData, outputs: &[String]) -> Figure {
        let mut figure = data.figure();
        for panel in &mut figure.panels {
            match panel {
                Panel::Bars(bars) => name_output(&mut bars.title, outputs),
                Panel::Table(table) => {
                    table.rows.iter_mut().for_each(|row| name_output(&mut row[0], outputs));
                }
                _ => {}
            }
        }
        figure
    }

    fn summary(data: &[KernelShapData], outputs: &[String]) -> xai_core::Result<Option<Figure>> {
        let ranked = importances(data)?;
        let Some(all) = ranked.get("aggregated") else { return Ok(None) };
        let n_outputs = ranked.len() - 1;
        let name = |output: usize| {
            outputs.get(output).cloned().unwrap_or_else(|| format!("output {output}"))
        };
        // One column for each output, and the sum of several.
        let mut columns: Vec<(String, &Importance)> =
            (0..n_outputs).map(|output| (name(output), &ranked[&output.to_string()])).collect();
        if 1 < n_outputs {
            columns.push(("sum".to_owned(), all));
        }
        let decimals = text::decimals(all.ranked_effect[0]);
        let row = |feature: &String| {
            let cell = |importance: &Importance| {
                let place = importance.names.iter().position(|name| name == feature);
                let effect = place.map(|place| importance.ranked_effect[place]);
                effect.map_or(String::new(), |effect| format!("{effect:.decimals$}"))
            };
            let cells = columns.iter().map(|(_, importance)| cell(importance));
            std::iter::once(feature.clone()).chain(cells).collect()
        };
        let table = Table {
            title: format!("Mean |SHAP value| of {} rows", data.len()),
            columns: std::iter::once("feature".to_owned())
                .chain(columns.iter().map(|(name, _)| name.clone()))
                .collect(),
            rows: all.names.iter().map(row).collect(),
        };
        let title = "Mean importances".to_owned();
        Ok(Some(Figure { title, panels: vec![Panel::Table(table)] }))
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
