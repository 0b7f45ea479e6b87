//! Operators that compute each cell by itself.

use std::f64::consts::{FRAC_2_PI, SQRT_2};

use tract_onnx::pb::tensor_proto::DataType;
use xai_candle::candle_core::{self as candle, DType, Device, Tensor};
use xai_candle::{Relu, candle_nn, relu};

use super::{Node, Operator, function, input, layer, unary, view};
use crate::error::OnnxError;

pub(super) fn operator(node: &Node<'_>) -> Result<Option<Operator>, OnnxError> {
    let number = |name: &str, default: f64| node.attributes.float(name).unwrap_or(default);
    Ok(Some(match &*node.proto.op_type {
        "Identity" | "Dropout" => view(|x| Ok(x.clone())),
        "Relu" => layer(Relu),
        "LeakyRelu" => {
            let slope = number("alpha", 0.01);
            unary(move |x| relu(x)? - (relu(&x.neg()?)? * slope)?)
        }
        "PRelu" => function(|inputs, _| {
            let (x, slope) = (input(inputs, 0)?, input(inputs, 1)?);
            Ok(vec![(relu(x)? - relu(&x.neg()?)?.broadcast_mul(slope)?)?])
        }),
        "Elu" => {
            let alpha = number("alpha", 1.0);
            unary(move |x| x.elu(alpha))
        }
        "Sigmoid" => unary(candle_nn::ops::sigmoid),
        "HardSigmoid" => {
            let (slope, offset) = (number("alpha", 0.2), number("beta", 0.5));
            unary(move |x| x.affine(slope, offset)?.clamp(0.0, 1.0))
        }
        "Tanh" => unary(|x| x.tanh()),
        "Softplus" => unary(softplus),
        "Gelu" => match &*node.attributes.word("approximate", "none") {
            "tanh" => unary(|x| {
                let cubic = (x.sqr()? * x)?;
                let inner = ((cubic * 0.044_715)? + x)? * FRAC_2_PI.sqrt();
                (x * 0.5)? * (inner?.tanh()? + 1.0)?
            }),
            _ => unary(|x| (x * 0.5)? * ((x / SQRT_2)?.erf()? + 1.0)?),
        },
        "Erf" => unary(|x| x.erf()),
        "Exp" => unary(|x| x.exp()),
        "Log" => unary(|x| x.log()),
        "Neg" => unary(|x| x.neg()),
        "Abs" => unary(|x| x.abs()),
        "Sqrt" => unary(|x| x.sqrt()),
        "Reciprocal" => unary(|x| x.recip()),
        "Sin" => unary(|x| x.sin()),
        "Cos" => unary(|x| x.cos()),
        "Add" | "Sum" => Operator::Sum,
        "Sub" => fold(|a, b| a.broadcast_sub(b)),
        "Mul" => fold(|a, b| a.broadcast_mul(b)),
        "Div" => fold(|a, b| a.broadcast_div(b)),
        "Max" => fold(|a, b| a.broadcast_maximum(b)),
        "Min" => fold(|a, b| a.broadcast_minimum(b)),
        "Pow" => power(node)?,
        "Clip" => {
            let (low, high) = (node.number(1, "min")?, node.number(2, "max")?);
            unary(move |x| {
                let x = low.map_or_else(|| Ok(x.clone()), |low| x.maximum(low))?;
                high.map_or_else(|| Ok(x.clone()), |high| x.minimum(high))
            })
        }
        "Cast" | "CastLike" => cast(node)?,
        "Greater" => fold(|a, b| a.broadcast_gt(b)),
        "GreaterOrEqual" => fold(|a, b| a.broadcast_ge(b)),
        "Less" => fold(|a, b| a.broadcast_lt(b)),
        "LessOrEqual" => fold(|a, b| a.broadcast_le(b)),
        "Equal" => fold(|a, b| a.broadcast_eq(b)),
        "Where" => function(|inputs, _| {
            let (condition, a, b) = (input(inputs, 0)?, input(inputs, 1)?, input(inputs, 2)?);
            let shape = condition.shape().broadcast_shape_binary_op(a.shape(), "where")?;
            let shape = shape.broadcast_shape_binary_op(b.shape(), "where")?;
            let [condition, a, b] = [condition, a, b].map(|x| x.broadcast_as(&shape));
            let condition =
                condition?.to_device(a.as_ref().map_or(&Device::Cpu, |a| a.device()))?;
            Ok(vec![condition.contiguous()?.where_cond(&a?.contiguous()?, &b?.contiguous()?)?])
        }),
        "Scaler" => scaler(node)?,
        _ => return Ok(None),
    }))
}

/// One operator after the other over all inputs.
fn fold(
    f: impl Fn(&Tensor, &Tensor) -> candle::Result<Tensor> + Send + Sync + 'static,
) -> Operator {
    function(move |inputs, _| {
        let mut result = input(inputs, 0)?.clone();
        for place in 1..inputs.len() {
            result = f(&result, input(inputs, place)?)?;
        }
        Ok(vec![result])
    })
}

/// `log(1 + e^x)` without overflow.
///
/// `|x|` is written as `2 max(x, 0) - x`, so that the gradient at 0, where both have none, comes out as one half.
fn softplus(x: &Tensor) -> candle::Result<Tensor> {
    let positive = relu(x)?;
    let magnitude = ((&positive * 2.0)? - x)?;
    &positive + (magnitude.neg()?.exp()? + 1.0)?.log()?
}

fn power(node: &Node<'_>) -> Result<Operator, OnnxError> {
    let Some(exponent) = node.fixed(1, "exponent")?.filter(|tensor| tensor.elem_count() == 1)
    else {
        return Err(node.refuse("must have one constant exponent to be differentiated"));
    };
    let exponent = exponent.flatten_all().and_then(|e| e.get(0)?.to_dtype(DType::F64)?.to_scalar());
    let exponent: f64 = exponent.map_err(|error| node.refuse(error.to_string()))?;
    Ok(unary(move |x| match exponent {
        // A power by logarithms would lose negative bases.
        2.0 => x.sqr(),
        3.0 => x.sqr()? * x,
        0.5 => x.sqrt(),
        1.0 => Ok(x.clone()),
        _ => x.powf(exponent),
    }))
}

/// Numbers stay in the precision of the model; what becomes an integer has no gradient from there on.
fn cast(node: &Node<'_>) -> Result<Operator, OnnxError> {
    let place = node.place.clone();
    let to = node.attributes.int("to").and_then(|to| i32::try_from(to).ok());
    let to = to.map_or(DataType::Float, |to| DataType::try_from(to).unwrap_or(DataType::Undefined));
    match to {
        DataType::Float | DataType::Double | DataType::Float16 => {
            Ok(unary(move |x| x.to_dtype(place.dtype)?.to_device(&place.device)))
        }
        DataType::Int64 | DataType::Int32 => {
            Ok(unary(|x| x.detach().to_dtype(DType::I64)?.to_device(&Device::Cpu)))
        }
        DataType::Bool => Ok(unary(|x| x.detach().ne(&x.zeros_like()?))),
        other => Err(node.refuse(format!(
            "casts to {}, which has no gradient here",
            other.as_str_name().to_lowercase()
        ))),
    }
}

/// `(x - offset) * scale` of ai.onnx.ml.
fn scaler(node: &Node<'_>) -> Result<Operator, OnnxError> {
    let constant = |name: &str, default: f64| {
        let numbers = node.attributes.reals(name)?;
        let numbers = if numbers.is_empty() { vec![default] } else { numbers };
        let n = numbers.len();
        let made = Tensor::from_vec(numbers, n, &Device::Cpu);
        let made = made.and_then(|made| made.to_dtype(node.place.dtype));
        let made = made.and_then(|made| made.to_device(&node.place.device));
        made.map_err(|error| node.refuse(error.to_string()))
    };
    let (offset, scale) = (constant("offset", 0.0)?, constant("scale", 1.0)?);
    let dtype = node.place.dtype;
    Ok(unary(move |x| x.to_dtype(dtype)?.broadcast_sub(&offset)?.broadcast_mul(&scale)))
}
