//! Grid-search counterfactuals, the crate `xai-gridcf`.

use xai_core::figure::Figure;
use xai_core::tabular::Features;
use xai_core::{Explainer, Rows};
use xai_gridcf::{
    GridCounterfactual, GridCounterfactualData, GridCounterfactualParams, Prediction,
};
use xai_onnx::OnnxModel;

use super::Method;

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
        background: &Rows,
        features: Features,
        _: &OnnxModel,
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
