//! ArrayFeatureExtractor: columns picked by index.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::array::Gather;
use tract_onnx::tract_hir::tract_core::ops::cast::cast;

pub(crate) fn load(
    _: &ParsingContext<'_>,
    _: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    Ok((expand(ArrayFeatureExtractor), Vec::new()))
}

/// `x[.., indices]`; a vector `x` gives one row.
#[derive(Clone, Debug)]
struct ArrayFeatureExtractor;

impl Expansion for ArrayFeatureExtractor {
    fn name(&self) -> StaticName {
        "ArrayFeatureExtractor".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 2)?;
        check_output_arity(outputs, 1)?;
        s.equals(&outputs[0].datum_type, &inputs[0].datum_type)?;
        s.given_2(&inputs[0].shape, &inputs[1].shape, move |s, shape, indices| {
            let mut picked: TVec<TDim> = shape;
            if picked.len() == 1 {
                picked.insert(0, 1.to_dim());
            }
            let Some(last) = picked.last_mut() else {
                bail!("ArrayFeatureExtractor takes an array, its input is a single number");
            };
            *last = indices.iter().product();
            s.equals(&outputs[0].shape, picked)
        })
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let (array, mut indices) = (inputs[0], inputs[1]);
        let shape = model.outlet_fact(array)?.shape.to_tvec();
        ensure!(!shape.is_empty(), "ArrayFeatureExtractor takes an array, its input is a number");
        let axis = shape.len() - 1;
        // Indices known now are checked now: at run time a wrong one would read another cell.
        if let (Some(known), Ok(width)) = (&model.outlet_fact(indices)?.konst, shape[axis].to_i64())
        {
            let known = known.cast_to::<i64>()?;
            let known = known.try_as_plain_ram()?;
            for index in known.as_slice::<i64>()? {
                ensure!(
                    (0..width).contains(index),
                    "ArrayFeatureExtractor picks column {index} of {width}"
                );
            }
        }
        indices =
            model.wire_node(format!("{prefix}.indices"), cast(i64::datum_type()), &[indices])?[0];
        while model.outlet_fact(indices)?.rank() > 1 {
            let dims = &model.outlet_fact(indices)?.shape;
            let Some(unit) = dims.iter().position(|dim| dim.is_one()) else {
                bail!("ArrayFeatureExtractor takes a vector of indices, got the shape {dims:?}");
            };
            let name = format!("{prefix}.flat{}", dims.len());
            indices = model.wire_node(name, AxisOp::Rm(unit), &[indices])?[0];
        }
        if axis > 0 {
            return model.wire_node(prefix, Gather::new(axis), &[array, indices]);
        }
        let picked =
            model.wire_node(format!("{prefix}.picked"), Gather::new(0), &[array, indices])?;
        model.wire_node(prefix, AxisOp::Add(0), &picked)
    }
}
