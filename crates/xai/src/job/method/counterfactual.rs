//! Counterfactuals by gradient, the crate `xai-counterfactual`.

use xai_core::{Figure, ModelRef, ParamError};
use xai_counterfactual::{
    Counterfactual, CounterfactualData, CounterfactualParams, DistanceFn, TargetClass,
};

use super::{Job, Method, Summarised, searches};
use crate::job::input::{DataRequirements, RowData, RowInput};
use crate::job::models::JobModels;

/// Counterfactuals: the closest row that reaches a wanted probability of another class.
pub(super) struct CounterfactualMethod;

impl Method for CounterfactualMethod {
    const NAME: &'static str = "counterfactual";
    const MODEL_KEYS: &'static [&'static str] = &["gradients"];
    type Input = RowInput;
    type Params = CounterfactualParams;
    type Data = CounterfactualData;
    type Model<'m> = ModelRef<'m>;
    type Explainer<'t> = Counterfactual;

    fn requirements(
        params: &CounterfactualParams,
        _: &Job<'_>,
    ) -> Result<DataRequirements, ParamError> {
        let training = params.distance_fn == DistanceFn::L1Mad;
        Ok(DataRequirements { training, ..DataRequirements::default() })
    }

    fn fit(
        params: CounterfactualParams,
        training: &RowData,
        models: &JobModels<'_>,
    ) -> xai_core::Result<Counterfactual> {
        if let TargetClass::Class(class) = params.target_class {
            models.require_classes("target_class", [class])?;
        }
        match training.training() {
            Some(rows) => params.fit(rows, training.features.clone()),
            None => params.build(training.features.clone()),
        }
    }

    fn model<'m>(models: &'m JobModels<'_>) -> ModelRef<'m> {
        models.view()
    }

    fn summary(summarised: &Summarised<'_, Self>) -> xai_core::Result<Option<Figure>> {
        let ended = |data: &&CounterfactualData| searches::Ended {
            status: data.status,
            distance: data.cf.as_ref().map(|cf| cf.distances.elastic_net),
            n_changes: data.cf.as_ref().map_or(0, |cf| cf.changes.len()),
        };
        Ok(Some(searches::summary(summarised.data.iter().map(ended))))
    }
}
