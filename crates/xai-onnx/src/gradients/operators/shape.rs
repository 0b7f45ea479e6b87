//! Operators that move cells, and those that compute where to.

use xai_candle::candle_core::{self as candle, DType, Device, Error, Tensor};

use super::{Node, Operator, axis, function, input, integers, unary, view};
use crate::error::OnnxError;

pub(super) fn operator(node: &Node<'_>) -> Result<Option<Operator>, OnnxError> {
    let attributes = node.attributes;
    let along = |default: i64| attributes.int("axis").unwrap_or(default);
    Ok(Some(match &*node.proto.op_type {
        "Constant" => {
            let Some(value) = node.value()? else {
                return Err(node.refuse("holds no numbers"));
            };
            function(move |_, _| Ok(vec![value.clone()]))
        }
        "Shape" => unary(|x| {
            let sizes: Vec<i64> = x.dims().iter().map(|&size| size as i64).collect();
            Tensor::from_vec(sizes, x.rank(), &Device::Cpu)
        }),
        "Reshape" => reshape(node),
        "Flatten" => {
            let first = along(1);
            view(move |x| match first {
                0 => x.reshape((1, ())),
                _ => {
                    let first = axis(first, x.rank() + 1)?;
                    let rest: usize = x.dims()[first..].iter().product();
                    x.reshape(((), rest))
                }
            })
        }
        "Transpose" => {
            let order = attributes.ints("perm").to_vec();
            unary(move |x| {
                let order = if order.is_empty() {
                    (0..x.rank()).rev().collect()
                } else {
                    order.iter().map(|&a| axis(a, x.rank())).collect::<candle::Result<Vec<_>>>()?
                };
                x.permute(order)?.contiguous()
            })
        }
        "Squeeze" => {
            let axes = node.integers(1, "axes")?;
            view(move |x| {
                let mut axes = match &axes {
                    Some(axes) => axes
                        .iter()
                        .map(|&a| axis(a, x.rank()))
                        .collect::<candle::Result<Vec<_>>>()?,
                    None => (0..x.rank()).filter(|&axis| x.dims()[axis] == 1).collect(),
                };
                axes.sort_unstable();
                axes.iter().rev().try_fold(x.clone(), |x, &axis| x.squeeze(axis))
            })
        }
        "Unsqueeze" => {
            let axes = node.integers(1, "axes")?.unwrap_or_default();
            view(move |x| {
                let rank = x.rank() + axes.len();
                let mut axes =
                    axes.iter().map(|&a| axis(a, rank)).collect::<candle::Result<Vec<_>>>()?;
                axes.sort_unstable();
                axes.iter().try_fold(x.clone(), |x, &axis| x.unsqueeze(axis))
            })
        }
        "Concat" => {
            let along = along(0);
            function(move |inputs, _| {
                let parts: Vec<&Tensor> = inputs.iter().copied().flatten().collect();
                let rank = parts.first().map_or(0, |part| part.rank());
                Ok(vec![Tensor::cat(&parts, axis(along, rank)?)?])
            })
        }
        "Slice" => slice(node)?,
        "Gather" => gather(along(0)),
        "ArrayFeatureExtractor" => gather(-1),
        "Split" => split(node)?,
        "Expand" => function(|inputs, _| {
            let x = input(inputs, 0)?;
            let sizes = integers(input(inputs, 1)?)?;
            let sizes: Vec<usize> =
                sizes.into_iter().map(|size| usize::try_from(size).unwrap_or(0)).collect();
            let shape = x.shape().broadcast_shape_binary_op(&sizes.into(), "expand")?;
            Ok(vec![x.broadcast_as(shape)?.contiguous()?])
        }),
        "Pad" => pad(node)?,
        "OneHotEncoder" => one_hot(node)?,
        _ => return Ok(None),
    }))
}

/// A graph that was made for one size of batch has it in its shapes: there it stands for the rows there are.
fn reshape(node: &Node<'_>) -> Operator {
    let keeps_zeros = node.attributes.int("allowzero").unwrap_or(0) != 0;
    let declared = node.declared.and_then(|rows| i64::try_from(rows).ok());
    Operator::View(Box::new(move |inputs, n_rows| {
        let (x, shape) = (input(inputs, 0)?, integers(input(inputs, 1)?)?);
        let is_batch = x.dims().first() == Some(&n_rows);
        let mut sizes = Vec::with_capacity(shape.len());
        let mut open = None;
        for (place, &size) in shape.iter().enumerate() {
            sizes.push(match size {
                _ if place == 0 && is_batch && declared == Some(size) => n_rows,
                0 if !keeps_zeros => x.dim(place)?,
                -1 => {
                    open = Some(place);
                    1
                }
                size => usize::try_from(size).map_err(Error::wrap)?,
            });
        }
        if let Some(place) = open {
            let known: usize = sizes.iter().product();
            sizes[place] = x.elem_count() / known.max(1);
        }
        Ok(vec![x.reshape(sizes)?])
    }))
}

/// A part of an axis, forwards or backwards.
fn slice(node: &Node<'_>) -> Result<Operator, OnnxError> {
    let (starts, ends) = (node.integers(1, "starts")?, node.integers(2, "ends")?);
    let (Some(starts), Some(ends)) = (starts, ends) else {
        return Err(node.refuse("has no starts or no ends"));
    };
    let every: Vec<i64> = (0..starts.len() as i64).collect();
    let axes = node.integers(3, "axes")?.unwrap_or(every);
    let steps = node.integers(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    let same_len = [ends.len(), axes.len(), steps.len()].iter().all(|len| *len == starts.len());
    if !same_len || steps.contains(&0) {
        return Err(node.refuse("has starts, ends, axes and steps that do not go together"));
    }
    Ok(unary(move |x| {
        let mut x = x.clone();
        for (place, (&start, &end)) in starts.iter().zip(&ends).enumerate() {
            let (axis, step) = (axis(axes[place], x.rank())?, steps[place]);
            let size = x.dims()[axis] as i64;
            let counted = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
            if step == 1 {
                let inside = |at| usize::try_from(counted(at).clamp(0, size)).map_err(Error::wrap);
                let (start, end) = (inside(start)?, inside(end)?);
                x = x.narrow(axis, start, end.saturating_sub(start))?;
                continue;
            }
            let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
            let mut at = counted(start).clamp(low.max(0), high);
            let end = counted(end).clamp(low, high);
            let mut picked = Vec::new();
            while (step > 0 && at < end) || (step < 0 && at > end) {
                picked.push(at);
                at = at.saturating_add(step);
            }
            let picked = Tensor::new(picked, x.device())?;
            x = x.contiguous()?.index_select(&picked, axis)?;
        }
        x.contiguous()
    }))
}

/// Picks entries of an axis; where the indices depend on the row, they have no gradient.
fn gather(along: i64) -> Operator {
    function(move |inputs, _| {
        let (x, indices) = (input(inputs, 0)?, input(inputs, 1)?);
        let axis = axis(along, x.rank())?;
        let size = x.dims()[axis] as i64;
        let counted = |at: i64| if at < 0 { at + size } else { at };
        let picked: Vec<i64> = integers(indices)?.into_iter().map(counted).collect();
        if let Some(at) = picked.iter().find(|at| !(0..size).contains(*at)) {
            return Err(Error::msg(format!("there is no entry {at} in an axis of {size}")));
        }
        let picked = Tensor::new(picked, x.device())?;
        // The extractor of ai.onnx.ml has indices of shape (1, n) and keeps the axis.
        let inner = if indices.rank() == 2 && indices.dims()[0] == 1 && along == -1 {
            &indices.dims()[1..]
        } else {
            indices.dims()
        };
        let shape = [&x.dims()[..axis], inner, &x.dims()[axis + 1..]].concat();
        Ok(vec![x.contiguous()?.index_select(&picked, axis)?.reshape(shape)?])
    })
}

fn split(node: &Node<'_>) -> Result<Operator, OnnxError> {
    let sizes = node.integers(1, "split")?;
    let along = node.attributes.int("axis").unwrap_or(0);
    let n_parts = node.proto.output.len();
    Ok(function(move |inputs, _| {
        let x = input(inputs, 0)?;
        let axis = axis(along, x.rank())?;
        let all = x.dims()[axis];
        let part = all.div_ceil(n_parts.max(1));
        let mut first = 0;
        let mut parts = Vec::with_capacity(n_parts);
        for place in 0..n_parts {
            let size = match &sizes {
                Some(sizes) => sizes.get(place).and_then(|size| usize::try_from(*size).ok()),
                None => Some(part.min(all - first)),
            };
            let size = size.ok_or_else(|| Error::msg("a part has no size"))?;
            parts.push(x.narrow(axis, first, size)?.contiguous()?);
            first += size;
        }
        Ok(parts)
    }))
}

fn pad(node: &Node<'_>) -> Result<Operator, OnnxError> {
    let mode = node.attributes.word("mode", "constant");
    let pads = node.integers(1, "pads")?.unwrap_or_default();
    let value = node.number(2, "value")?.unwrap_or(0.0);
    let cells: Option<Vec<usize>> = pads.iter().map(|&cells| usize::try_from(cells).ok()).collect();
    let (Some(cells), true) = (cells, mode == "constant") else {
        return Err(node.refuse("must pad with a constant and take nothing away"));
    };
    if node.is_given(3) {
        return Err(node.refuse("must pad all axes, without a list of them"));
    }
    Ok(unary(move |x| {
        let (before, after) = cells.split_at(cells.len() / 2);
        if before.len() != x.rank() {
            return Err(Error::msg(format!("pads {} axes of {}", before.len(), x.rank())));
        }
        let mut padded = (x - value)?;
        for (axis, (&before, &after)) in before.iter().zip(after).enumerate() {
            padded = padded.pad_with_zeros(axis, before, after)?;
        }
        padded + value
    }))
}

/// One cell for each category, 1 where the value is that category; nothing to differentiate.
fn one_hot(node: &Node<'_>) -> Result<Operator, OnnxError> {
    let categories = node.attributes.ints("cats_int64s").to_vec();
    if categories.is_empty() {
        return Err(node.refuse("must have integers as categories"));
    }
    let place = node.place.clone();
    let forgives = node.attributes.int("zeros").unwrap_or(1) != 0;
    Ok(unary(move |x| {
        let mut cells = Vec::with_capacity(x.elem_count() * categories.len());
        for value in integers(&x.detach())? {
            if !forgives && !categories.contains(&value) {
                return Err(Error::msg(format!("{value} is no category")));
            }
            cells.extend(categories.iter().map(|category| f64::from(u8::from(*category == value))));
        }
        let shape = [x.dims(), &[categories.len()]].concat();
        let cells = Tensor::from_vec(cells, shape, &Device::Cpu)?;
        let dtype: DType = place.dtype;
        cells.to_dtype(dtype)?.to_device(&place.device)
    }))
}
