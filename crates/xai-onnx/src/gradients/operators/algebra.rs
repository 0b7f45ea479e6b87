//! Products, reductions and normalisations.

use xai_candle::candle_core::{self as candle, Error, Module, Tensor};
use xai_candle::{Layer, LayerPullback, Linear};

use super::{Node, Operator, axis, function, input, layer, unary};
use crate::error::OnnxError;

pub(super) fn operator(node: &Node<'_>) -> Result<Option<Operator>, OnnxError> {
    Ok(Some(match &*node.proto.op_type {
        "Gemm" => gemm(node)?,
        "MatMul" => matmul(node)?,
        "Softmax" => softmax(node, |x, axis| {
            let exponentials = shifted(x, axis)?.exp()?;
            exponentials.broadcast_div(&exponentials.sum_keepdim(axis)?)
        }),
        "LogSoftmax" => softmax(node, |x, axis| {
            let shifted = shifted(x, axis)?;
            shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(axis)?.log()?)
        }),
        "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" => reduction(node)?,
        "BatchNormalization" => batch_normalization(node)?,
        "LayerNormalization" => layer_normalization(node),
        _ => return Ok(None),
    }))
}

/// Subtracts the largest cell, as a constant: the result does not depend on it.
fn shifted(x: &Tensor, axis: usize) -> candle::Result<Tensor> {
    x.broadcast_sub(&x.max_keepdim(axis)?.detach())
}

/// Before operator set 13 all axes from `axis` on are one.
fn softmax(
    node: &Node<'_>,
    f: impl Fn(&Tensor, usize) -> candle::Result<Tensor> + Send + Sync + 'static,
) -> Operator {
    let joins = node.opset < 13;
    let along = node.attributes.int("axis").unwrap_or(if joins { 1 } else { -1 });
    unary(move |x| {
        let axis = axis(along, x.rank())?;
        if !joins || axis + 1 == x.rank() {
            return f(x, axis);
        }
        let joined: usize = x.dims()[axis..].iter().product();
        f(&x.reshape(((), joined))?, 1)?.reshape(x.shape())
    })
}

/// A dense layer where the weight is constant, which costs half the backward pass.
fn dense(node: &Node<'_>, weight: &Tensor, bias: Option<&Tensor>) -> Result<Linear, OnnxError> {
    let layer = weight.contiguous().and_then(|weight| Linear::new(&weight, bias));
    layer.map_err(|error| node.refuse(error.to_string()))
}

fn gemm(node: &Node<'_>) -> Result<Operator, OnnxError> {
    let flag = |name: &str| node.attributes.int(name).unwrap_or(0) != 0;
    let (left_is_transposed, right_is_transposed) = (flag("transA"), flag("transB"));
    let factor = |name: &str| node.attributes.float(name).unwrap_or(1.0);
    let (alpha, beta) = (factor("alpha"), factor("beta"));
    let failed = |error: Error| node.refuse(error.to_string());
    let weight = node.constant(1).filter(|weight| weight.rank() == 2);
    if let Some(weight) = weight.filter(|_| !node.is_given(2) || node.constant(2).is_some()) {
        let weight = if right_is_transposed { Ok(weight.clone()) } else { weight.t() };
        let weight = weight.and_then(|weight| weight.affine(alpha, 0.0)).map_err(failed)?;
        let n_outputs = weight.dims()[0];
        let bias = node.constant(2).map(|bias| {
            bias.flatten_all()?.broadcast_as(n_outputs)?.contiguous()?.affine(beta, 0.0)
        });
        // A bias that differs from row to row is none.
        if let Ok(bias) = bias.transpose() {
            let dense = dense(node, &weight, bias.as_ref())?;
            return Ok(if left_is_transposed {
                unary(move |x| Module::forward(&dense, &x.t()?))
            } else {
                layer(dense)
            });
        }
    }
    Ok(function(move |inputs, _| {
        let turned = |place, is_transposed: bool| -> candle::Result<Tensor> {
            let x = input(inputs, place)?;
            if is_transposed { x.t()?.contiguous() } else { x.contiguous() }
        };
        let product = turned(0, left_is_transposed)?.matmul(&turned(1, right_is_transposed)?)?;
        let product = product.affine(alpha, 0.0)?;
        match inputs.get(2).copied().flatten() {
            Some(bias) => Ok(vec![product.broadcast_add(&bias.affine(beta, 0.0)?)?]),
            None => Ok(vec![product]),
        }
    }))
}

fn matmul(node: &Node<'_>) -> Result<Operator, OnnxError> {
    if let Some(weight) = node.constant(1).filter(|weight| weight.rank() == 2) {
        let weight = weight.t().map_err(|error| node.refuse(error.to_string()))?;
        return Ok(layer(dense(node, &weight, None)?));
    }
    Ok(function(|inputs, _| {
        let (left, right) = (input(inputs, 0)?, input(inputs, 1)?);
        if left.rank() < 2 || right.rank() < 2 {
            return Err(Error::msg("a product of vectors is not supported"));
        }
        Ok(vec![left.contiguous()?.broadcast_matmul(&right.contiguous()?)?])
    }))
}

fn reduction(node: &Node<'_>) -> Result<Operator, OnnxError> {
    let axes = node.integers(1, "axes")?;
    let keeps = node.attributes.int("keepdims").unwrap_or(1) != 0;
    let does_nothing = node.attributes.int("noop_with_empty_axes").unwrap_or(0) != 0;
    let kind = node.proto.op_type.clone();
    Ok(unary(move |x| {
        let mut over = match &axes {
            Some(axes) => {
                axes.iter().map(|&a| axis(a, x.rank())).collect::<candle::Result<Vec<_>>>()?
            }
            None if does_nothing => return Ok(x.clone()),
            None => (0..x.rank()).collect(),
        };
        over.sort_unstable();
        let mut result = x.clone();
        for &axis in over.iter().rev() {
            let of_axis = match &*kind {
                "ReduceMean" => result.mean_keepdim(axis),
                "ReduceSum" => result.sum_keepdim(axis),
                "ReduceMax" => result.max_keepdim(axis),
                _ => result.min_keepdim(axis),
            };
            result = if keeps { of_axis? } else { of_axis?.squeeze(axis)? };
        }
        Ok(result)
    }))
}

/// With the statistics of training, which makes it a product and a sum.
fn batch_normalization(node: &Node<'_>) -> Result<Operator, OnnxError> {
    if node.attributes.int("training_mode").unwrap_or(0) != 0 {
        return Err(node.refuse("is in training mode; export the model for inference"));
    }
    let epsilon = node.attributes.float("epsilon").unwrap_or(1e-5);
    let part = |place, what: &str| {
        let missing = || node.refuse(format!("has no {what}"));
        node.fixed(place, what)?.cloned().ok_or_else(missing)
    };
    let (scale, bias) = (part(1, "scale")?, part(2, "bias")?);
    let (mean, variance) = (part(3, "mean")?, part(4, "variance")?);
    let resolve = || {
        let scale = (scale / (variance + epsilon)?.sqrt()?)?;
        let shift = (bias - (mean * &scale)?)?;
        candle::Result::Ok((scale, shift))
    };
    let (scale, shift) = resolve().map_err(|error| node.refuse(error.to_string()))?;
    Ok(layer(Affine { scale, shift }))
}

/// A product and a sum with constants for each channel, which is axis 1.
struct Affine {
    scale: Tensor,
    shift: Tensor,
}

impl Affine {
    fn along_channels(constants: &Tensor, rank: usize) -> candle::Result<Tensor> {
        let mut shape = vec![1; rank];
        if let Some(channels) = shape.get_mut(1) {
            *channels = constants.elem_count();
        }
        constants.reshape(shape)
    }
}

impl Module for Affine {
    fn forward(&self, x: &Tensor) -> candle::Result<Tensor> {
        let [scale, shift] =
            [&self.scale, &self.shift].map(|constants| Self::along_channels(constants, x.rank()));
        x.broadcast_mul(&scale?)?.broadcast_add(&shift?)
    }
}

impl Layer for Affine {
    fn trace(&self, x: &Tensor) -> candle::Result<(Tensor, LayerPullback<'_>)> {
        let scale = Self::along_channels(&self.scale, x.rank())?;
        let back = move |gradient: Tensor| gradient.broadcast_mul(&scale);
        Ok((self.forward(x)?, Box::new(back)))
    }
}

fn layer_normalization(node: &Node<'_>) -> Operator {
    let first = node.attributes.int("axis").unwrap_or(-1);
    let epsilon = node.attributes.float("epsilon").unwrap_or(1e-5);
    function(move |inputs, _| {
        let x = input(inputs, 0)?;
        let axes = axis(first, x.rank())?..x.rank();
        let mean = |x: &Tensor| axes.clone().try_fold(x.clone(), |x, axis| x.mean_keepdim(axis));
        let centred = x.broadcast_sub(&mean(x)?)?;
        let deviation = (mean(&centred.sqr()?)? + epsilon)?.sqrt()?;
        let scaled = centred.broadcast_div(&deviation)?.broadcast_mul(input(inputs, 1)?)?;
        Ok(vec![match inputs.get(2).copied().flatten() {
            Some(bias) => scaled.broadcast_add(bias)?,
            None => scaled,
        }])
    })
}
