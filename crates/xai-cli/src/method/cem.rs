//! Contrastive explanations, the crate `xai-cem`.

use xai_cem::{Cem, CemData, CemModel, CemParams, Prediction};
use xai_core::figure::{Figure, Panel};
use xai_core::require;

use super::{Method, contrast};
use crate::data::Data;
use crate::explain::Prepared;
use crate::guided::GuidedModel;
use crate::job::Job;
use crate::model::Model;

/// Contrastive explanations: what would have to be added for another decision, or what is enough for this one.
pub struct CemMethod;

impl Method for CemMethod {
    const NAME: &'static str = "cem";
    const KEYS: &'static [&'static str] = &["gradients", "autoencoder"];
    type Model = GuidedModel;
    type Params = CemParams;
    type Explainer = Cem;
    type Data = CemData;

    fn needs_training(params: &CemParams, _: &Job) -> bool {
        params.no_info_val.is_none()
    }

    /// Values without information that the params give stay what they are, whether there are training rows or not.
    fn fit(params: CemParams, data: &Data, model: &GuidedModel) -> xai_core::Result<Cem> {
        model.require_autoencoder(params.gamma)?;
        model.require_classes("target_class", params.target_class.iter().flatten().copied())?;
        if let (Some(interval), Some(n_outputs)) = (&params.target_interval, model.n_outputs()) {
            let rule = format!("an interval of one of the model's {n_outputs} outputs");
            require(interval.output < n_outputs, "target_interval", rule, interval.output)?;
        }
        let features = data.features.clone();
        match data.training().filter(|_| params.no_info_val.is_none()) {
            Some(rows) => params.fit(rows, features),
            None => params.build(features),
        }
    }

    fn with_view(model: &GuidedModel, ask: impl FnOnce(CemModel<'_>)) {
        ask(CemModel { model: model.access(), autoencoder: model.autoencoder() });
    }

    fn figure(data: &CemData, outputs: &[String]) -> Figure {
        let said = |prediction: Prediction| match prediction {
            Prediction::Class(class) => contrast::class(class, outputs),
            Prediction::Value(value) => value.to_string(),
        };
        let own = said(data.x_pred);
        let title = match data.result_pred() {
            Some(other) if data.pn.is_some() => format!("{own} would be {}", said(other)),
            Some(_) => format!("What is enough for {own}"),
            None => format!("{own}, nothing found"),
        };
        let mut figure = data.figure();
        for panel in &mut figure.panels {
            if let Panel::Table(table) = panel {
                table.title.clone_from(&data.reason);
            }
        }
        Figure { title, ..figure }
    }

    fn summary(data: &[CemData], _: &Prepared<Self>) -> xai_core::Result<Option<Figure>> {
        let end = |data: &CemData| contrast::End {
            status: data.status,
            distance: data.distances.map(|distances| distances.elastic_net),
            n_changes: data.changes.len(),
        };
        Ok(Some(contrast::summary(data.iter().map(end))))
    }
}
