//! Contrastive explanations, the crate `xai-cem`.

use xai_cem::{Cem, CemData, CemModel, CemParams, Prediction};
use xai_core::figure::{Figure, Panel};
use xai_core::{Explanation, OutputNames, ParamError, require};

use super::{Job, Method, Summarised, searches};
use crate::job::input::{DataRequirements, RowData, RowInput};
use crate::job::models::JobModels;

/// Contrastive explanations: what would have to be added for another decision, or what is enough for this one.
pub(super) struct CemMethod;

impl Method for CemMethod {
    const NAME: &'static str = "cem";
    const MODEL_KEYS: &'static [&'static str] = &["gradients", "autoencoder"];
    type Input = RowInput;
    type Params = CemParams;
    type Data = CemData;
    type Model<'m> = CemModel<'m>;
    type Explainer<'t> = Cem;

    fn requirements(params: &CemParams, _: &Job<'_>) -> Result<DataRequirements, ParamError> {
        let training = params.no_info_val.is_none();
        Ok(DataRequirements { training, ..DataRequirements::default() })
    }

    /// Uninformative reference values of the params are used as they are, with training rows or without.
    fn fit(params: CemParams, training: &RowData, models: &JobModels<'_>) -> xai_core::Result<Cem> {
        models.require_autoencoder(params.gamma)?;
        models.require_classes("target_class", params.target_class.iter().flatten().copied())?;
        if let (Some(interval), Some(n_outputs)) = (&params.target_interval, models.n_outputs()) {
            let rule = format!("an interval of one of the model's {n_outputs} outputs");
            require(interval.output < n_outputs, "target_interval", rule, interval.output)?;
        }
        let features = training.features.clone();
        match training.training().filter(|_| params.no_info_val.is_none()) {
            Some(rows) => params.fit(rows, features),
            None => params.build(features),
        }
    }

    fn model<'m>(models: &'m JobModels<'_>) -> CemModel<'m> {
        CemModel { model: models.view(), autoencoder: models.autoencoder() }
    }

    fn figure(explanation: &Explanation<CemData>, outputs: &OutputNames) -> Figure {
        let data = &explanation.data;
        let shown = |prediction: Prediction| match prediction {
            Prediction::Class(class) => searches::class(class, outputs),
            Prediction::Value(value) => value.to_string(),
        };
        let instance = shown(data.x_pred);
        let title = match data.result_pred() {
            Some(result) if data.pn.is_some() => format!("{instance} would be {}", shown(result)),
            Some(_) => format!("What is enough for {instance}"),
            None => format!("{instance}, nothing found"),
        };
        let mut figure = data.figure();
        for panel in &mut figure.panels {
            if let Panel::Table(table) = panel {
                table.title.clone_from(&data.reason);
            }
        }
        Figure { title, ..figure }
    }

    fn summary(summarised: &Summarised<'_, Self>) -> xai_core::Result<Option<Figure>> {
        let ended = |data: &&CemData| searches::Ended {
            status: data.status,
            distance: data.distances.map(|distances| distances.elastic_net),
            n_changes: data.changes.len(),
        };
        Ok(Some(searches::summary(summarised.data.iter().map(ended))))
    }
}
