//! Integrated gradients, the crate `xai-intgrad`.

use xai_core::{ParamError, Side, WhiteBox};
use xai_intgrad::{
    InputTensor, IntegratedGradients, IntegratedGradientsData, IntegratedGradientsParams,
};

use super::{Job, Method};
use crate::job::input::{DataRequirements, RowData, RowInput};
use crate::job::models::JobModels;

/// Attributions by the gradients on the way from a baseline.
pub(super) struct IntegratedGradientsMethod;

impl Method for IntegratedGradientsMethod {
    const NAME: &'static str = "integrated-gradients";
    const NEEDS_GRADIENTS: bool = true;
    type Input = RowInput;
    type Params = IntegratedGradientsParams;
    type Data = IntegratedGradientsData;
    type Model<'m> = WhiteBox<'m>;
    type Explainer<'t> = IntegratedGradients;

    fn requirements(
        _: &IntegratedGradientsParams,
        _: &Job<'_>,
    ) -> Result<DataRequirements, ParamError> {
        Ok(DataRequirements::default())
    }

    /// Shapes that the params leave out are those of the network, so that a wrong target is refused before any row.
    fn fit(
        mut params: IntegratedGradientsParams,
        training: &RowData,
        models: &JobModels<'_>,
    ) -> xai_core::Result<IntegratedGradients> {
        if let Some(n_outputs) = models.n_outputs() {
            params.output_shape.get_or_insert_with(|| vec![n_outputs]);
        }
        if let Some(layer) = &params.layer {
            let side = if params.attribute_to_layer_inputs { Side::Before } else { Side::After };
            let shapes = models.model.layer_shapes(layer, side)?;
            if let [shape] = shapes.as_slice()
                && params.layer_tensors.is_empty()
                && !shape.is_empty()
            {
                params.layer_tensors = vec![InputTensor::new(layer, shape)];
            }
        }
        params.build(training.features.clone())
    }

    fn model<'m>(models: &'m JobModels<'_>) -> WhiteBox<'m> {
        models.white_box()
    }
}
