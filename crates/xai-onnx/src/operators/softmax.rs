//! Softmax and LogSoftmax, one lane at a time.
//!
//! The vector kernels of tract sum a lane in an order that depends on its address, so that the last bits of a row
//! would depend on its place in the batch.

use std::sync::Arc;

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::Attributes;
use super::post_transform::softmax;

pub(crate) fn load(
    context: &ParsingContext<'_>,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    // Up to operator set 12 the axes from `axis` on were one lane; since then `axis` alone is.
    let flattens = context.onnx_operator_set_version < 13;
    let axis = Attributes(node).int("axis").unwrap_or(if flattens { 1 } else { -1 });
    let is_log = node.op_type == "LogSoftmax";
    Ok((expand(Softmax(Arc::new(Axes { axis, flattens, is_log }))), Vec::new()))
}

#[derive(Debug, PartialEq, Eq)]
struct Axes {
    axis: i64,
    flattens: bool,
    is_log: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Softmax(Arc<Axes>);

impl Softmax {
    fn axis_sizes(&self, shape: &[usize]) -> TractResult<(usize, usize)> {
        let rank = i64::try_from(shape.len())?;
        let axis = if self.0.axis < 0 { self.0.axis + rank } else { self.0.axis };
        ensure!(
            (0..rank).contains(&axis),
            "axis {} of {} is not among the {rank} axes of its input",
            self.0.axis,
            Op::name(self)
        );
        let axis = usize::try_from(axis)?;
        if self.0.flattens {
            return Ok((shape[axis..].iter().product(), 1));
        }
        Ok((shape[axis], shape[axis + 1..].iter().product()))
    }
}

impl Expansion for Softmax {
    fn name(&self) -> StaticName {
        Op::name(self)
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        s.equals(&outputs[0].datum_type, &inputs[0].datum_type)?;
        s.equals(&outputs[0].shape, &inputs[0].shape)
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }
}

impl Op for Softmax {
    fn name(&self) -> StaticName {
        if self.0.is_log { "LogSoftmax".into() } else { "Softmax".into() }
    }

    op_as_typed_op!();
}

impl TypedOp for Softmax {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        ensure!(inputs[0].datum_type.is_float(), "{} takes floating-point numbers", Op::name(self));
        Ok(tvec!(inputs[0].datum_type.fact(inputs[0].shape.clone())))
    }

    as_op!();
}

impl EvalOp for Softmax {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let (len, inner) = self.axis_sizes(input.shape())?;
        let mut values = input.cast_to::<f64>()?.into_owned();
        let mut plain = values.try_as_plain_ram_mut()?;
        let cells = plain.as_slice_mut::<f64>()?;
        let mut lane = vec![0.0; len];
        for block in cells.chunks_exact_mut((len * inner).max(1)) {
            for offset in 0..inner {
                let places = (offset..).step_by(inner).take(len);
                lane.iter_mut().zip(places.clone()).for_each(|(x, place)| *x = block[place]);
                if self.0.is_log {
                    log_softmax(&mut lane);
                } else {
                    softmax(&mut lane);
                }
                lane.iter().zip(places).for_each(|(x, place)| block[place] = *x);
            }
        }
        Ok(tvec!(values.cast_to_dt(input.datum_type())?.into_owned().into_tvalue()))
    }
}

fn log_softmax(lane: &mut [f64]) {
    let largest = lane.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = lane.iter().map(|x| (x - largest).exp()).sum();
    lane.iter_mut().for_each(|x| *x -= largest + sum.ln());
}
