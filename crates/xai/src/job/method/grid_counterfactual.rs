//! Grid-search counterfactuals, the crate `xai-gridcf`.

use xai_core::{BlackBox, ParamError};
use xai_gridcf::{GridCounterfactual, GridCounterfactualData, GridCounterfactualParams};

use super::{Job, Method};
use crate::job::input::{DataRequirements, RowData, RowInput};
use crate::job::models::JobModels;

/// Counterfactuals from a grid: the nearest rows that the model decides otherwise.
pub(super) struct GridCounterfactualMethod;

impl Method for GridCounterfactualMethod {
    const NAME: &'static str = "grid-counterfactual";
    type Input = RowInput;
    type Params = GridCounterfactualParams;
    type Data = GridCounterfactualData;
    type Model<'m> = BlackBox<'m>;
    type Explainer<'t> = GridCounterfactual;

    fn requirements(
        _: &GridCounterfactualParams,
        _: &Job<'_>,
    ) -> Result<DataRequirements, ParamError> {
        Ok(DataRequirements { training: true, ..DataRequirements::default() })
    }

    fn fit(
        params: GridCounterfactualParams,
        training: &RowData,
        _: &JobModels<'_>,
    ) -> xai_core::Result<GridCounterfactual> {
        params.fit(&training.background, training.features.clone())
    }

    fn model<'m>(models: &'m JobModels<'_>) -> BlackBox<'m> {
        models.black_box()
    }
}
