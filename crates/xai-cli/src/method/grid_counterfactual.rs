//! Grid-search counterfactuals, the crate `xai-gridcf`.

use xai_core::Explainer;
use xai_core::figure::Figure;
use xai_gridcf::{
    GridCounterfactual, GridCounterfactualData, GridCounterfactualParams, Prediction,
};
use xai_onnx::OnnxModel;

use super::Method;
use crate::data::Data;

/// Counterfactuals from a grid: the nearest rows that the model decides otherwise.
pub struct GridCounterfactualMethod;

impl Method for GridCounterfactualMethod {
    const NAME: &'static str = "grid-counterfactual";
    type Model = OnnxModel;
    type Params = GridCounterfactualParams;
    type Explainer = GridCounterfactual;
    type Data = GridCounterfactualData;

    fn fit(
        params: GridCounterfactualParams,
        data: &Data,
        _: &OnnxModel,
    ) -> xai_core::Result<GridCounterfactual> {
        params.fit(&data.background, data.features.clone())
    }

    fn with_view(
        model: &OnnxModel,
        ask: impl FnOnce(<GridCounterfactual as Explainer>::Model<'_>),
    ) {
        ask(model.into());
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
