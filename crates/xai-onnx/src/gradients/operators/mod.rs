//! What each operator does to tensors of candle.
//!
//! An operator is resolved once: weights, axes and shapes that are constants are read then, and what is left is a
//! function of the tensors that change.

mod algebra;
mod elementwise;
mod images;
mod shape;

use tract_onnx::pb::NodeProto;
use xai_candle::candle_core::{self as candle, DType, Device, Error, Shape, Tensor};
use xai_candle::{Layer, Pullback, trace_joined};

use super::tensors::{Place, tensor};
use crate::error::OnnxError;
use crate::operators::{Attributes, node_name};

/// From what a node reads (`None` for an input that is left out) and the size of the batch to what it makes.
type Function = Box<dyn Fn(&[Option<&Tensor>], usize) -> candle::Result<Vec<Tensor>> + Send + Sync>;

/// What a node computes.
pub(super) enum Operator {
    /// Anything, differentiated by candle.
    Function(Function),
    /// The first input in another shape.
    View(Function),
    /// A layer of the first input, whose other inputs are constants.
    Layer(Box<dyn Layer>),
    /// The sum of the inputs.
    Sum,
}

impl Operator {
    pub(super) fn forward(
        &self,
        inputs: &[Option<&Tensor>],
        n_rows: usize,
    ) -> candle::Result<Vec<Tensor>> {
        match self {
            Operator::Function(function) | Operator::View(function) => function(inputs, n_rows),
            Operator::Layer(layer) => Ok(vec![layer.forward(input(inputs, 0)?)?]),
            Operator::Sum => {
                let mut rest = inputs.iter().flatten();
                let first = rest.next().map(|&first| first.clone());
                let first = first.ok_or_else(|| Error::msg("a sum needs an input"))?;
                Ok(vec![rest.try_fold(first, |sum, x| sum.broadcast_add(x))?])
            }
        }
    }

    /// What the node makes, and the pullback to the inputs that want a gradient.
    pub(super) fn trace(
        &self,
        inputs: &[Option<&Tensor>],
        wants: &[bool],
        n_rows: usize,
    ) -> candle::Result<(Vec<Tensor>, Pullback<'_>)> {
        let n_inputs = inputs.len();
        // The gradient of the first input, beside none of the others.
        let of_first = move |gradient: Option<Tensor>| {
            let mut gradients = vec![None; n_inputs];
            gradients[0] = gradient;
            gradients
        };
        match self {
            Operator::Layer(layer) => {
                let (out, back) = layer.trace(input(inputs, 0)?)?;
                let back = move |gradients: Vec<Option<Tensor>>| {
                    let gradient = gradients.into_iter().next().flatten();
                    Ok(of_first(gradient.map(back).transpose()?))
                };
                Ok((vec![out], Box::new(back)))
            }
            Operator::View(function) => {
                let shape = input(inputs, 0)?.shape().clone();
                let back = move |gradients: Vec<Option<Tensor>>| {
                    let gradient = gradients.into_iter().next().flatten();
                    Ok(of_first(gradient.map(|gradient| gradient.reshape(shape)).transpose()?))
                };
                Ok((function(inputs, n_rows)?, Box::new(back)))
            }
            Operator::Sum if is_even(inputs, wants) => {
                let wants = wants.to_vec();
                let back = move |gradients: Vec<Option<Tensor>>| {
                    let gradient = gradients.into_iter().next().flatten();
                    Ok(wants.iter().map(|&wants| gradient.clone().filter(|_| wants)).collect())
                };
                Ok((self.forward(inputs, n_rows)?, Box::new(back)))
            }
            Operator::Function(_) | Operator::Sum => {
                // Candle's differentiation knows no inputs that are left out.
                let places: Vec<usize> =
                    (0..n_inputs).filter(|&place| inputs[place].is_some()).collect();
                let given: Vec<Tensor> = inputs.iter().copied().flatten().cloned().collect();
                let wants: Vec<bool> = places.iter().map(|&place| wants[place]).collect();
                let (made, back) = trace_joined(&given, &wants, |given| {
                    let mut inputs = vec![None; n_inputs];
                    places.iter().zip(given).for_each(|(&place, x)| inputs[place] = Some(x));
                    self.forward(&inputs, n_rows)
                })?;
                let back = move |gradients| {
                    let mut all = vec![None; n_inputs];
                    let given: Vec<Option<Tensor>> = back(gradients)?;
                    places.iter().zip(given).for_each(|(&place, x)| all[place] = x);
                    Ok(all)
                };
                Ok((made, Box::new(back)))
            }
        }
    }
}

/// Whether each input that wants a gradient has the shape of the sum.
fn is_even(inputs: &[Option<&Tensor>], wants: &[bool]) -> bool {
    let mut shapes = inputs.iter().flatten().map(|x| x.shape());
    let Some(first) = shapes.next() else { return false };
    let join = |sum: Shape, shape: &Shape| sum.broadcast_shape_binary_op(shape, "sum");
    let Ok(sum) = shapes.try_fold(first.clone(), join) else { return false };
    let of_wanted =
        |(x, &wants): (&Option<&Tensor>, &bool)| !wants || x.is_none_or(|x| *x.shape() == sum);
    inputs.iter().zip(wants).all(of_wanted)
}

/// A node with the constants that it reads.
pub(super) struct Node<'a> {
    pub(super) attributes: Attributes<'a>,
    pub(super) proto: &'a NodeProto,
    pub(super) opset: i64,
    /// The size of batch that the graph was made for.
    pub(super) declared: Option<usize>,
    pub(super) constants: Vec<Option<Tensor>>,
    pub(super) place: &'a Place,
}

/// Resolves a node.
pub(super) fn operator(node: &Node<'_>) -> Result<Operator, OnnxError> {
    let families = [elementwise::operator, algebra::operator, images::operator, shape::operator];
    for family in families {
        if let Some(operator) = family(node)? {
            return Ok(operator);
        }
    }
    let proto = node.proto;
    Err(OnnxError::UnsupportedOperator {
        operator: proto.op_type.clone(),
        domain: if proto.domain.is_empty() { "ai.onnx".into() } else { proto.domain.clone() },
        node: node_name(proto),
        hint: "it has no gradient here; explain the model as a black box, or without this node"
            .into(),
    })
}

impl Node<'_> {
    fn is_given(&self, place: usize) -> bool {
        self.proto.input.get(place).is_some_and(|name| !name.is_empty())
    }

    fn constant(&self, place: usize) -> Option<&Tensor> {
        self.constants.get(place)?.as_ref()
    }

    fn refuse(&self, problem: impl Into<String>) -> OnnxError {
        let problem = format!("({}) {}", self.proto.op_type, problem.into());
        OnnxError::Graph { what: "node", name: node_name(self.proto), problem }
    }

    /// An input that must not depend on the row; `None` when it is left out.
    fn fixed(&self, place: usize, what: &str) -> Result<Option<&Tensor>, OnnxError> {
        if self.is_given(place) && self.constant(place).is_none() {
            return Err(self.refuse(format!("must have a constant {what} to be differentiated")));
        }
        Ok(self.constant(place))
    }

    /// Integers from an input of newer operator sets or from an attribute of older ones.
    fn integers(&self, place: usize, attribute: &str) -> Result<Option<Vec<i64>>, OnnxError> {
        if let Some(tensor) = self.fixed(place, attribute)? {
            let entries = integers(tensor).map_err(|error| self.refuse(error.to_string()))?;
            return Ok(Some(entries));
        }
        let listed = self.attributes.ints(attribute);
        Ok((!listed.is_empty()).then(|| listed.to_vec()))
    }

    /// A number from an input or from an attribute.
    fn number(&self, place: usize, attribute: &str) -> Result<Option<f64>, OnnxError> {
        if let Some(tensor) = self.fixed(place, attribute)? {
            let number = || tensor.flatten_all()?.get(0)?.to_dtype(DType::F64)?.to_scalar();
            return Ok(Some(number().map_err(|error| self.refuse(error.to_string()))?));
        }
        Ok(self.attributes.float(attribute))
    }

    /// A tensor in an attribute.
    fn value(&self) -> Result<Option<Tensor>, OnnxError> {
        let holds = |name: &str| self.proto.attribute.iter().find(|a| a.name == name);
        let listed = |numbers: Vec<f64>, shape: Vec<usize>| {
            let made = Tensor::from_vec(numbers, shape, &Device::Cpu);
            let made = made.and_then(|made| made.to_dtype(self.place.dtype));
            let made = made.and_then(|made| made.to_device(&self.place.device));
            made.map(Some).map_err(|error| self.refuse(error.to_string()))
        };
        let whole = |numbers: Vec<i64>, shape: Vec<usize>| {
            let made = Tensor::from_vec(numbers, shape, &Device::Cpu);
            made.map(Some).map_err(|error| self.refuse(error.to_string()))
        };
        if let Some(proto) = holds("value").and_then(|attribute| attribute.t.as_ref()) {
            return tensor(proto, self.place).map(Some);
        }
        if let Some(attribute) = holds("value_float") {
            return listed(vec![f64::from(attribute.f)], vec![]);
        }
        if let Some(attribute) = holds("value_floats") {
            let numbers: Vec<f64> = attribute.floats.iter().copied().map(f64::from).collect();
            let n = numbers.len();
            return listed(numbers, vec![n]);
        }
        if let Some(attribute) = holds("value_int") {
            return whole(vec![attribute.i], vec![]);
        }
        if let Some(attribute) = holds("value_ints") {
            return whole(attribute.ints.clone(), vec![attribute.ints.len()]);
        }
        Ok(None)
    }
}

/// An input that must be there.
fn input<'t>(inputs: &[Option<&'t Tensor>], place: usize) -> candle::Result<&'t Tensor> {
    let missing = || Error::msg(format!("input {place} is missing"));
    inputs.get(place).copied().flatten().ok_or_else(missing)
}

/// The entries of an integer tensor.
fn integers(tensor: &Tensor) -> candle::Result<Vec<i64>> {
    tensor.to_dtype(DType::I64)?.flatten_all()?.to_vec1()
}

/// An axis that may be counted from the end.
fn axis(axis: i64, rank: usize) -> candle::Result<usize> {
    let counted = if axis < 0 { axis + i64::try_from(rank).unwrap_or(i64::MAX) } else { axis };
    let counted = usize::try_from(counted).ok().filter(|axis| *axis < rank);
    counted.ok_or_else(|| Error::msg(format!("there is no axis {axis} in a tensor of rank {rank}")))
}

/// Wraps a function of all inputs.
fn function(
    f: impl Fn(&[Option<&Tensor>], usize) -> candle::Result<Vec<Tensor>> + Send + Sync + 'static,
) -> Operator {
    Operator::Function(Box::new(f))
}

/// Wraps a function of the first input.
fn unary(f: impl Fn(&Tensor) -> candle::Result<Tensor> + Send + Sync + 'static) -> Operator {
    function(move |inputs, _| Ok(vec![f(input(inputs, 0)?)?]))
}

/// Wraps a function that gives the first input another shape.
fn view(f: impl Fn(&Tensor) -> candle::Result<Tensor> + Send + Sync + 'static) -> Operator {
    Operator::View(Box::new(move |inputs, _| Ok(vec![f(input(inputs, 0)?)?])))
}

/// Wraps a layer of the first input.
fn layer(layer: impl Layer + 'static) -> Operator {
    Operator::Layer(Box::new(layer))
}
