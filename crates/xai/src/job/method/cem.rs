//! Contrastive explanations, the crate `xai-cem`.

use xai_cem::{Cem, CemData, CemModel, CemParams};
use xai_core::{Figure, Output, ParamError, require};

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
        if let (Output::Interval { target, .. }, Some(n_outputs)) =
            (&params.search.output, models.n_outputs())
        {
            let rule = format!("an interval of one of the model's {n_outputs} outputs");
            require(*target < n_outputs, "output", rule, target)?;
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

    fn summary(summarised: &Summarised<'_, Self>) -> xai_core::Result<Option<Figure>> {
        let ended = |data: &&CemData| searches::Ended {
            status: data.status,
            distance: data.result.as_ref().map(|result| result.distances.elastic_net),
            n_changes: data.result.as_ref().map_or(0, |result| result.changes.len()),
        };
        Ok(Some(searches::summary(summarised.data.iter().map(ended))))
    }
}
