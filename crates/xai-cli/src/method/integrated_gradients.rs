//! Integrated gradients, the crate `xai-intgrad`.

use xai_core::figure::{Figure, Panel};
use xai_core::{Explainer, require};
use xai_intgrad::{
    InputTensor, IntegratedGradients, IntegratedGradientsData, IntegratedGradientsParams,
};
use xai_onnx::OnnxNetwork;

use super::{Method, name_output};
use crate::data::Data;
use crate::job::Job;

/// Attributions by the gradients on the way from a baseline.
pub struct IntegratedGradientsMethod;

impl Method for IntegratedGradientsMethod {
    const NAME: &'static str = "integrated-gradients";
    type Model = OnnxNetwork;
    type Params = IntegratedGradientsParams;
    type Explainer = IntegratedGradients;
    type Data = IntegratedGradientsData;

    fn needs_training(_: &IntegratedGradientsParams, _: &Job) -> bool {
        false
    }

    /// Shapes that the params leave out are those of the network, so that a wrong target is refused before any row.
    fn fit(
        mut params: IntegratedGradientsParams,
        data: &Data,
        model: &OnnxNetwork,
    ) -> xai_core::Result<IntegratedGradients> {
        params.output_shape.get_or_insert_with(|| vec![model.n_outputs()]);
        if let Some(layer) = &params.layer {
            let side = if params.attribute_to_layer_inputs {
                xai_core::Side::Before
            } else {
                xai_core::Side::After
            };
            let shapes = model.layer_shapes(layer, side);
            let rule = "a value or node of the network that all ways to the output lead through";
            require(shapes.is_some(), "layer", rule, layer)?;
            if let Some([shape]) = shapes.as_deref()
                && params.layer_tensors.is_empty()
                && !shape.is_empty()
            {
                params.layer_tensors = vec![InputTensor::new(layer, shape)];
            }
        }
        params.build(data.features.clone())
    }

    fn with_view(
        model: &OnnxNetwork,
        ask: impl FnOnce(<IntegratedGradients as Explainer>::Model<'_>),
    ) {
        ask(model.into());
    }

    fn figure(data: &IntegratedGradientsData, outputs: &[String]) -> Figure {
        let mut figure = data.figure();
        for panel in &mut figure.panels {
            if let Panel::Table(table) = panel {
                table.rows.iter_mut().for_each(|row| name_output(&mut row[0], outputs));
            }
        }
        figure
    }
}
