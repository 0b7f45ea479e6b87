//! Counterfactuals guided by prototypes, the crate `xai-cfproto`.

use xai_cfproto::{CfProto, CfProtoData, CfProtoModel, CfProtoParams};
use xai_core::{Figure, ParamError, Run};

use super::{Job, Method, Summarised, searches};
use crate::job::input::{DataRequirements, RowData, RowInput};
use crate::job::models::JobModels;

/// Counterfactuals that are attracted by prototypes of another class.
pub(super) struct CfProtoMethod;

impl Method for CfProtoMethod {
    const NAME: &'static str = "cfproto";
    const MODEL_KEYS: &'static [&'static str] = &["gradients", "autoencoder", "encoder"];
    type Input = RowInput;
    type Params = CfProtoParams;
    type Data = CfProtoData;
    type Model<'m> = CfProtoModel<'m>;
    type Explainer<'t> = CfProto;

    /// Prototypes are of training rows, and so are the numbers of categories.
    fn requirements(params: &CfProtoParams, job: &Job<'_>) -> Result<DataRequirements, ParamError> {
        let guided = 0.0 < params.theta || 0.0 < params.threshold || params.use_kdtree;
        let training = guided || job.has_encoder() || job.has_categories();
        Ok(DataRequirements { training, ..DataRequirements::default() })
    }

    fn fit(
        params: CfProtoParams,
        training: &RowData,
        models: &JobModels<'_>,
    ) -> xai_core::Result<CfProto> {
        models.require_autoencoder(params.gamma)?;
        models.require_classes("instance_class", params.instance_class)?;
        models.require_classes("target_class", params.target_class.iter().flatten().copied())?;
        let features = training.features.clone();
        match training.training() {
            // Nothing is drawn from the seed.
            Some(rows) => params.fit(Self::model(models), rows, features, &mut Run::seeded(0)),
            None => params.build(features),
        }
    }

    fn model<'m>(models: &'m JobModels<'_>) -> CfProtoModel<'m> {
        CfProtoModel {
            model: models.view(),
            encoder: models.encoder(),
            autoencoder: models.autoencoder(),
        }
    }

    fn summary(summarised: &Summarised<'_, Self>) -> xai_core::Result<Option<Figure>> {
        let ended = |data: &&CfProtoData| searches::Ended {
            status: data.status,
            distance: data.cf.as_ref().map(|cf| cf.distances.elastic_net),
            n_changes: data.cf.as_ref().map_or(0, |cf| cf.changes.len()),
        };
        Ok(Some(searches::summary(summarised.data.iter().map(ended))))
    }
}
