//! What an operator of this crate is, and its bridge into tract.

use std::fmt::Debug;
use std::sync::Arc;

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::Attributes;
use crate::error::OnnxError;

/// The shape of an output, given the shape of the input.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// One number for each row, shape `(n,)`.
    Labels,
    /// So many numbers for each row, shape `(n, width)`.
    Width(usize),
    /// The input's shape.
    Same,
    /// The input's shape and one more axis of this size.
    Expanded(usize),
}

/// The type of an output.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Float,
    Long,
    /// The input's type.
    Input,
}

/// How many columns an operator reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Columns {
    Any,
    Exactly(usize),
    AtLeast(usize),
}

/// An operator with one input whose output rows depend on their own input row alone.
pub(crate) trait RowOperator: Debug + Send + Sync + 'static {
    fn name(&self) -> &'static str;

    /// Type and shape of each output.
    fn outputs(&self) -> Vec<(Kind, Shape)>;

    fn columns(&self) -> Columns {
        Columns::Any
    }

    /// The outputs, flat, for `cells` of rows of `width`; a one-dimensional input has width 1.
    fn eval(&self, cells: &[f64], width: usize) -> Result<Vec<Vec<f64>>, String>;
}

/// An operator that can be read from its node.
pub(crate) trait FromNode: RowOperator + Sized {
    fn from_node(node: Attributes<'_>) -> Result<Self, OnnxError>;
}

/// The builder that tract's register wants.
pub(crate) fn load<T: FromNode>(
    _: &ParsingContext<'_>,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let operator = T::from_node(Attributes(node))?;
    // A node may leave out its last outputs; tract then wants no more facts than there are names.
    let wanted = node.output.iter().filter(|name| !name.is_empty()).count();
    let first = node.output.iter().position(|name| !name.is_empty()).unwrap_or(0);
    Ok((expand(Node { operator: Arc::new(operator), first, wanted }), Vec::new()))
}

/// A [`RowOperator`] as a node of tract's graph.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    operator: Arc<dyn RowOperator>,
    first: usize,
    wanted: usize,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.operator, &other.operator)
            && (self.first, self.wanted) == (other.first, other.wanted)
    }
}

impl Eq for Node {}

impl Node {
    fn outputs(&self) -> TractResult<Vec<(Kind, Shape)>> {
        let outputs = self.operator.outputs();
        ensure!(
            self.first + self.wanted <= outputs.len(),
            "{} has {} outputs",
            self.operator.name(),
            outputs.len()
        );
        Ok(outputs[self.first..self.first + self.wanted].to_vec())
    }

    fn check_columns(&self, width: usize) -> TractResult<()> {
        let (fits, rule) = match self.operator.columns() {
            Columns::Any => return Ok(()),
            Columns::Exactly(expected) => (width == expected, expected.to_string()),
            Columns::AtLeast(least) => (width >= least, format!("at least {least}")),
        };
        ensure!(fits, "{} reads {rule} columns, its input has {width}", self.operator.name());
        Ok(())
    }
}

impl Expansion for Node {
    fn name(&self) -> StaticName {
        self.operator.name().into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(self.wanted)
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        let described = self.outputs()?;
        check_output_arity(outputs, described.len())?;
        if let Columns::Exactly(width) = self.operator.columns() {
            s.equals(&inputs[0].rank, 2)?;
            s.equals(&inputs[0].shape[1], width.to_dim())?;
        }
        for (output, (kind, shape)) in outputs.iter().zip(described) {
            match kind {
                Kind::Float => s.equals(&output.datum_type, f32::datum_type())?,
                Kind::Long => s.equals(&output.datum_type, i64::datum_type())?,
                Kind::Input => s.equals(&output.datum_type, &inputs[0].datum_type)?,
            }
            match shape {
                Shape::Labels => {
                    s.equals(&output.rank, 1)?;
                    s.equals(&output.shape[0], &inputs[0].shape[0])?;
                }
                Shape::Width(width) => {
                    s.equals(&output.rank, 2)?;
                    s.equals(&output.shape[0], &inputs[0].shape[0])?;
                    s.equals(&output.shape[1], width.to_dim())?;
                }
                Shape::Same => s.equals(&output.shape, &inputs[0].shape)?,
                Shape::Expanded(size) => {
                    s.given(&inputs[0].shape, move |s, shape| {
                        let mut shape = shape;
                        shape.push(size.to_dim());
                        s.equals(&output.shape, shape)
                    })?;
                }
            }
        }
        Ok(())
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

impl Op for Node {
    fn name(&self) -> StaticName {
        self.operator.name().into()
    }

    op_as_typed_op!();
}

impl TypedOp for Node {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let input = inputs[0];
        if let Some(Ok(width)) = input.shape.get(1).map(TDim::to_usize) {
            self.check_columns(width)?;
        }
        let facts = self.outputs()?.into_iter().map(|(kind, shape)| {
            let datum = match kind {
                Kind::Float => f32::datum_type(),
                Kind::Long => i64::datum_type(),
                Kind::Input => input.datum_type,
            };
            let mut dims: TVec<TDim> = input.shape.to_tvec();
            match shape {
                Shape::Same => {}
                Shape::Expanded(size) => dims.push(size.to_dim()),
                Shape::Labels => dims.truncate(1),
                Shape::Width(width) => {
                    dims.truncate(1);
                    dims.push(width.to_dim());
                }
            }
            datum.fact(dims)
        });
        Ok(facts.collect())
    }

    as_op!();
}

impl EvalOp for Node {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        ensure!(
            input.datum_type() != String::datum_type(),
            "{} takes numbers, its input holds strings",
            self.operator.name()
        );
        let width = input.shape().get(1..).map_or(1, |inner| inner.iter().product());
        self.check_columns(width)?;
        let cells = reals(&input)?;
        let cells = cells.try_as_plain_ram()?;
        let flat = self
            .operator
            .eval(cells.as_slice::<f64>()?, width)
            .map_err(|problem| format_err!("{}: {problem}", self.operator.name()))?;
        self.outputs()?
            .into_iter()
            .zip(flat.into_iter().skip(self.first))
            .map(|((kind, shape), values)| {
                let mut dims: TVec<usize> = input.shape().into();
                match shape {
                    Shape::Same => {}
                    Shape::Expanded(size) => dims.push(size),
                    Shape::Labels => dims.truncate(1),
                    Shape::Width(width) => {
                        dims.truncate(1);
                        dims.push(width);
                    }
                }
                let datum = match kind {
                    Kind::Float => f32::datum_type(),
                    Kind::Long => i64::datum_type(),
                    Kind::Input => input.datum_type(),
                };
                let values = Tensor::from_shape(&dims, &values)?;
                Ok(values.cast_to_dt(datum)?.into_owned().into_tvalue())
            })
            .collect()
    }
}

/// The tensor's cells as `f64`.
pub(crate) fn reals(tensor: &Tensor) -> TractResult<Tensor> {
    // The engine keeps the int64 tensors that may describe shapes as symbolic dimensions.
    if tensor.datum_type() == TDim::datum_type() {
        return Ok(tensor.cast_to::<i64>()?.cast_to::<f64>()?.into_owned());
    }
    Ok(tensor.cast_to::<f64>()?.into_owned())
}
