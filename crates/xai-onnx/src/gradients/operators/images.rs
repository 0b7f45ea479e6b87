//! Convolutions and pooling, of images and of sequences.

use xai_candle::candle_core::{self as candle, Error, Module, Tensor};
use xai_candle::{AvgPool2d, Conv2d, Conv2dConfig, Layer, LayerPullback, MaxPool2d, Pool2dConfig};

use super::{Node, Operator, layer, unary};
use crate::error::OnnxError;

pub(super) fn operator(node: &Node<'_>) -> Result<Option<Operator>, OnnxError> {
    Ok(Some(match &*node.proto.op_type {
        "Conv" => convolution(node)?,
        "MaxPool" => pool(node, MaxPool2d::new)?,
        "AveragePool" => pool(node, AvgPool2d::new)?,
        "GlobalAveragePool" => {
            unary(|x| (2..x.rank()).try_fold(x.clone(), |x, axis| x.mean_keepdim(axis)))
        }
        "GlobalMaxPool" => {
            unary(|x| (2..x.rank()).try_fold(x.clone(), |x, axis| x.max_keepdim(axis)))
        }
        _ => return Ok(None),
    }))
}

/// Where a window reads, as the attributes say it.
#[derive(Clone, Copy)]
struct Window {
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: Padding,
}

#[derive(Clone, Copy)]
enum Padding {
    /// Top, left, bottom, right.
    Given([usize; 4]),
    /// As much as gives one output for each stride; an odd cell comes behind the image, or in front of it.
    Same { odd_in_front: bool },
}

impl Window {
    /// Sequences are images of one line.
    fn new(node: &Node<'_>, kernel: &[i64]) -> Result<Self, OnnxError> {
        let attributes = node.attributes;
        let pair = |name: &str, entries: &[i64]| {
            let size = |entry: i64| usize::try_from(entry).ok().filter(|size| *size > 0);
            match entries.iter().map(|&entry| size(entry)).collect::<Option<Vec<_>>>().as_deref() {
                Some([]) => Ok([1, 1]),
                Some([width]) => Ok([1, *width]),
                Some([height, width]) => Ok([*height, *width]),
                _ => {
                    let rule = "hold one or two sizes above 0";
                    Err(attributes.refuse(name, rule, format!("{entries:?}")))
                }
            }
        };
        let pads = attributes.ints("pads");
        let cells =
            pads.iter().map(|&cells| usize::try_from(cells).ok()).collect::<Option<Vec<_>>>();
        let padding = match &*attributes.word("auto_pad", "NOTSET") {
            "SAME_UPPER" => Padding::Same { odd_in_front: false },
            "SAME_LOWER" => Padding::Same { odd_in_front: true },
            "VALID" => Padding::Given([0; 4]),
            _ => match cells.as_deref() {
                Some([]) => Padding::Given([0; 4]),
                Some([before, after]) => Padding::Given([0, *before, 0, *after]),
                Some([top, left, bottom, right]) => Padding::Given([*top, *left, *bottom, *right]),
                _ => {
                    let rule = "hold two or four sizes of at least 0";
                    return Err(attributes.refuse("pads", rule, format!("{pads:?}")));
                }
            },
        };
        Ok(Window {
            kernel: pair("kernel_shape", kernel)?,
            stride: pair("strides", attributes.ints("strides"))?,
            dilation: pair("dilations", attributes.ints("dilations"))?,
            padding,
        })
    }

    fn padding(&self, image: [usize; 2]) -> [usize; 4] {
        let odd_in_front = match self.padding {
            Padding::Given(padding) => return padding,
            Padding::Same { odd_in_front } => odd_in_front,
        };
        let [mut before, mut after] = [[0; 2]; 2];
        for axis in [0, 1] {
            let outputs = image[axis].div_ceil(self.stride[axis]);
            let span = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            let reach = (outputs.max(1) - 1) * self.stride[axis] + span;
            let missing = reach.saturating_sub(image[axis]);
            let (less, more) = (missing / 2, missing.div_ceil(2));
            (before[axis], after[axis]) = if odd_in_front { (more, less) } else { (less, more) };
        }
        [before[0], before[1], after[0], after[1]]
    }
}

/// Runs a function of images on images or on sequences.
fn on_images(
    x: &Tensor,
    f: impl Fn(&Tensor, [usize; 2]) -> candle::Result<Tensor>,
) -> candle::Result<Tensor> {
    match *x.dims() {
        [_, _, height, width] => f(x, [height, width]),
        [_, _, width] => f(&x.unsqueeze(2)?, [1, width])?.squeeze(2),
        _ => Err(Error::msg(format!("takes images or sequences, got {:?}", x.dims()))),
    }
}

/// A layer of images, on images or on sequences.
struct OnImages<L>(L);

impl<L: Layer> Module for OnImages<L> {
    fn forward(&self, x: &Tensor) -> candle::Result<Tensor> {
        on_images(x, |x, _| self.0.forward(x))
    }
}

impl<L: Layer> Layer for OnImages<L> {
    fn trace(&self, x: &Tensor) -> candle::Result<(Tensor, LayerPullback<'_>)> {
        if x.rank() != 3 {
            return self.0.trace(x);
        }
        let (out, back) = self.0.trace(&x.unsqueeze(2)?)?;
        let back = move |gradient: Tensor| back(gradient.unsqueeze(2)?)?.squeeze(2);
        Ok((out.squeeze(2)?, Box::new(back)))
    }
}

fn convolution(node: &Node<'_>) -> Result<Operator, OnnxError> {
    let failed = |error: Error| node.refuse(error.to_string());
    let Some(weight) = node.fixed(1, "weight")? else {
        return Err(node.refuse("has no weight"));
    };
    let bias = node.fixed(2, "bias")?.cloned();
    let weight = match weight.rank() {
        3 => weight.unsqueeze(2).map_err(failed)?,
        4 => weight.clone(),
        rank => {
            return Err(node.refuse(format!("has a weight of {rank} axes, 3 or 4 are supported")));
        }
    };
    let kernel: Vec<i64> =
        weight.dims()[2..].iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect();
    let window = Window::new(node, &kernel)?;
    let groups = node.attributes.int("group").unwrap_or(1);
    let groups = usize::try_from(groups)
        .map_err(|_| node.attributes.refuse("group", "be at least 1", groups))?;
    let Window { stride, dilation, .. } = window;
    let convolution = move |padding| {
        let config = Conv2dConfig { stride, padding, dilation, groups };
        Conv2d::new(&weight, bias.as_ref(), config)
    };
    if let Padding::Given(padding) = window.padding {
        return Ok(layer(OnImages(convolution(padding).map_err(failed)?)));
    }
    Ok(unary(move |x| {
        on_images(x, |x, image| Module::forward(&convolution(window.padding(image))?, x))
    }))
}

fn pool<L: Layer + 'static>(
    node: &Node<'_>,
    pooling: impl Fn(&Pool2dConfig) -> candle::Result<L> + Send + Sync + 'static,
) -> Result<Operator, OnnxError> {
    if node.proto.output.iter().skip(1).any(|name| !name.is_empty()) {
        return Err(node.refuse("gives the places of its cells, which have no gradient here"));
    }
    let flag = |name: &str| node.attributes.int(name).unwrap_or(0) != 0;
    let (ceil_mode, count_include_pad) = (flag("ceil_mode"), flag("count_include_pad"));
    let window = Window::new(node, node.attributes.ints("kernel_shape"))?;
    let pooling = move |padding| {
        let Window { kernel, stride, dilation, .. } = window;
        pooling(&Pool2dConfig { kernel, stride, padding, dilation, ceil_mode, count_include_pad })
    };
    if let Padding::Given(padding) = window.padding {
        let failed = |error: Error| node.refuse(error.to_string());
        return Ok(layer(OnImages(pooling(padding).map_err(failed)?)));
    }
    Ok(unary(move |x| on_images(x, |x, image| pooling(window.padding(image))?.forward(x))))
}
