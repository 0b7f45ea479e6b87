//! Convolutions whose weights are constants.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Error, Layout, Module, Result, Shape, Tensor};

use super::direct::Direct;
use super::graph::{Layer, LayerPullback, trace_by_candle};
use super::linear::{multiply, require_bias, view, with_weight};
use super::real::{Real, require_real, with_real};
use super::window::{Window, add_columns_to_image, image_to_columns};

/// Where a convolution reads; the default visits every cell without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dConfig {
    /// Cells from one output to the next, along height and width, `1..`. Default 1.
    pub stride: [usize; 2],
    /// Cells of zeros around the image: top, left, bottom, right. Default 0.
    pub padding: [usize; 4],
    /// Cells from one position of the kernel to the next, along height and width, `1..`. Default 1.
    pub dilation: [usize; 2],
    /// Parts that the channels fall into, each with its outputs, `1..`. Default 1.
    pub groups: usize,
}

impl Default for Conv2dConfig {
    fn default() -> Self {
        Conv2dConfig { stride: [1, 1], padding: [0; 4], dilation: [1, 1], groups: 1 }
    }
}

/// A convolution of images with a gradient to the images alone.
///
/// It computes what `candle_nn::Conv2d` does, and also takes a padding that differs from side to side and a stride
/// that differs between the axes.
/// On the CPU each image is unfolded and multiplied by itself, so its result has the same bits in every batch.
/// On other devices candle's convolution runs, which wants one stride and one dilation for both axes.
#[derive(Clone, Debug)]
pub struct Conv2d {
    kernel: Kernel,
}

impl Conv2d {
    /// A convolution with `weight` of shape `(n_outputs, n_channels / groups, height, width)` and `bias` of shape
    /// `(n_outputs,)`, `f32` or `f64`.
    ///
    /// Weights that are candle's variables are taken as they are now; what trains them later is not seen.
    ///
    /// # Errors
    /// When shapes, types or settings do not go together.
    pub fn new(weight: &Tensor, bias: Option<&Tensor>, config: Conv2dConfig) -> Result<Self> {
        let (n_outputs, _, height, width) = weight.dims4()?;
        require_real("the weight of a convolution", weight.dtype())?;
        require_bias(bias, weight, n_outputs)?;
        if weight.elem_count() == 0 {
            return Err(Error::msg(format!(
                "a convolution needs weights, got {:?}",
                weight.dims()
            )));
        }
        let Conv2dConfig { stride, padding, dilation, groups } = config;
        if groups == 0 || n_outputs % groups != 0 {
            let message = format!("groups must divide the {n_outputs} outputs, got {groups}");
            return Err(Error::msg(message));
        }
        let kernel = Kernel {
            weight: weight.detach().contiguous()?,
            bias: bias.map(Tensor::detach),
            window: Window::new([height, width], stride, padding, dilation)?,
            groups,
        };
        Ok(Conv2d { kernel })
    }
}

impl Module for Conv2d {
    /// `x` of shape `(n_rows, n_channels, height, width)`, the result of shape
    /// `(n_rows, n_outputs, out_height, out_width)`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if x.device().is_cpu() {
            return x.contiguous()?.apply_op1(self.kernel.clone());
        }
        self.kernel.by_candle(x)
    }
}

impl Layer for Conv2d {
    fn trace(&self, x: &Tensor) -> Result<(Tensor, LayerPullback<'_>)> {
        if !x.device().is_cpu() {
            return trace_by_candle(x, |x| Module::forward(self, x));
        }
        let x = x.contiguous()?;
        let out = x.apply_op1_no_bwd(&self.kernel)?;
        let backward =
            KernelGradient { kernel: self.kernel.clone(), sizes: self.kernel.sizes(x.dims())? };
        let back = move |gradient: Tensor| gradient.contiguous()?.apply_op1_no_bwd(&backward);
        Ok((out, Box::new(back)))
    }
}

#[derive(Clone, Debug)]
struct Kernel {
    weight: Tensor,
    bias: Option<Tensor>,
    window: Window,
    groups: usize,
}

/// The sizes of a convolution that is going to run.
struct Sizes {
    image: [usize; 2],
    out: [usize; 2],
    n_rows: usize,
    /// Per group.
    n_channels: usize,
    /// Per group.
    n_outputs: usize,
    groups: usize,
}

impl Sizes {
    /// Numbers that the kernel reads for one output.
    fn depth(&self, window: &Window) -> usize {
        self.n_channels * window.kernel[0] * window.kernel[1]
    }

    /// Cells of one output channel.
    fn area(&self) -> usize {
        self.out[0] * self.out[1]
    }

    /// Numbers in the channels of one group.
    fn input(&self) -> usize {
        self.n_channels * self.image[0] * self.image[1]
    }
}

impl Kernel {
    fn sizes(&self, x: &[usize]) -> Result<Sizes> {
        let (n_outputs, n_channels, ..) = self.weight.dims4()?;
        let groups = self.groups;
        match *x {
            [n_rows, channels, height, width] if channels == n_channels * groups => {
                let image = [height, width];
                let out = self.window.output(image)?;
                Ok(Sizes { image, out, n_rows, n_channels, n_outputs: n_outputs / groups, groups })
            }
            _ => {
                let channels = n_channels * groups;
                let message =
                    format!("a convolution takes (rows, {channels}, height, width), got {x:?}");
                Err(Error::msg(message))
            }
        }
    }

    fn forward<T: Real>(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let sizes = self.sizes(layout.dims())?;
        let (depth, area) = (sizes.depth(&self.window), sizes.area());
        let zero = T::from_f64(0.0);
        let bias = self.bias.as_ref().map(T::numbers).transpose()?;
        if self.window.is_direct(sizes.n_outputs) {
            let (images, bias) = (T::read(x, layout)?, bias.as_deref());
            return match T::DTYPE {
                DType::F32 => self.forward_directly::<T, 16>(&sizes, images, bias),
                _ => self.forward_directly::<T, 8>(&sizes, images, bias),
            };
        }
        let mut columns = vec![zero; if self.window.is_pointwise() { 0 } else { depth * area }];
        let mut out = Vec::with_capacity(sizes.n_rows * sizes.groups * sizes.n_outputs * area);
        let images = T::read(x, layout)?.chunks_exact(sizes.input()).enumerate();
        with_weight::<T, _>(&self.weight, |weight| {
            for (place, image) in images {
                let outputs = (place % sizes.groups) * sizes.n_outputs;
                let outputs = outputs..outputs + sizes.n_outputs;
                let start = out.len();
                match &bias {
                    Some(bias) => {
                        for &bias in &bias[outputs.clone()] {
                            out.resize(out.len() + area, bias);
                        }
                    }
                    None => out.resize(start + sizes.n_outputs * area, zero),
                }
                let unfolded = if self.window.is_pointwise() {
                    image
                } else {
                    let Sizes { image: size, out, .. } = sizes;
                    image_to_columns(&self.window, size, out, zero, image, &mut columns);
                    &columns
                };
                let weight = &weight[outputs.start * depth..outputs.end * depth];
                let weight = view(weight, [sizes.n_outputs, depth]);
                multiply(&weight, &view(unfolded, [depth, area]), &mut out[start..]);
            }
        })?;
        let [height, width] = sizes.out;
        let shape = (sizes.n_rows, sizes.groups * sizes.n_outputs, height, width);
        Ok((T::to_cpu_storage_owned(out), Shape::from(shape)))
    }

    fn forward_directly<T: Real, const CELLS: usize>(
        &self,
        sizes: &Sizes,
        images: &[T],
        bias: Option<&[T]>,
    ) -> Result<(CpuStorage, Shape)> {
        let [kernel_height, kernel_width] = self.window.kernel;
        let weight = T::numbers(&self.weight)?;
        let group = |group: usize| {
            let first = group * sizes.n_outputs;
            let weight = |o: usize, c: usize, y: usize, x: usize| {
                let plane = (first + o) * sizes.n_channels + c;
                weight[(plane * kernel_height + y) * kernel_width + x]
            };
            let bias = |o: usize| bias.map_or(T::from_f64(0.0), |bias| bias[first + o]);
            let depth = [sizes.n_outputs, sizes.n_channels];
            Direct::new(&self.window, sizes.image, sizes.out, depth, weight, bias)
        };
        let mut groups: Vec<Direct<T, CELLS>> = (0..sizes.groups).map(group).collect();
        let outputs = sizes.n_outputs * sizes.area();
        let mut out = vec![T::from_f64(0.0); sizes.n_rows * sizes.groups * outputs];
        let images = images.chunks_exact(sizes.input()).zip(out.chunks_exact_mut(outputs));
        for (place, (image, out)) in images.enumerate() {
            groups[place % sizes.groups].apply(image, out);
        }
        let shape = [sizes.n_rows, sizes.groups * sizes.n_outputs, sizes.out[0], sizes.out[1]];
        Ok((T::to_cpu_storage_owned(out), Shape::from(shape.to_vec())))
    }

    /// What the CPU computes, by candle's operators.
    fn by_candle(&self, x: &Tensor) -> Result<Tensor> {
        let Window { stride, dilation, before, after, .. } = self.window;
        if stride[0] != stride[1] || dilation[0] != dilation[1] {
            return Err(Error::msg(format!(
                "a convolution on this device needs one stride and one dilation for both axes, got {stride:?} and {dilation:?}"
            )));
        }
        let alike = before[0] == before[1] && before == after;
        let (x, padding) = if alike {
            (x.clone(), before[0])
        } else {
            let x = x.pad_with_zeros(2, before[0], after[0])?;
            (x.pad_with_zeros(3, before[1], after[1])?, 0)
        };
        let out = x.conv2d(&self.weight, padding, stride[0], dilation[0], self.groups)?;
        match &self.bias {
            Some(bias) => out.broadcast_add(&bias.reshape((1, (), 1, 1))?),
            None => Ok(out),
        }
    }
}

impl CustomOp1 for Kernel {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        with_real!(x, T => self.forward::<T>(x, layout))
    }

    fn bwd(&self, x: &Tensor, _out: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let backward = KernelGradient { kernel: self.clone(), sizes: self.sizes(x.dims())? };
        gradient.contiguous()?.apply_op1_no_bwd(&backward).map(Some)
    }
}

/// From the gradient of a convolution's output to that of its images.
struct KernelGradient {
    kernel: Kernel,
    sizes: Sizes,
}

impl KernelGradient {
    fn backward<T: Real>(
        &self,
        gradient: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (Kernel { weight, window, .. }, sizes) = (&self.kernel, &self.sizes);
        if let Some(turned) = window.turned().filter(|turned| turned.is_direct(sizes.n_channels)) {
            let gradients = T::read(gradient, layout)?;
            return match T::DTYPE {
                DType::F32 => self.backward_directly::<T, 16>(&turned, gradients),
                _ => self.backward_directly::<T, 8>(&turned, gradients),
            };
        }
        let (depth, area) = (sizes.depth(window), sizes.area());
        let zero = T::from_f64(0.0);
        let mut columns = vec![zero; if window.is_pointwise() { 0 } else { depth * area }];
        let mut images = vec![zero; sizes.n_rows * sizes.groups * sizes.input()];
        let gradients = T::read(gradient, layout)?.chunks_exact(sizes.n_outputs * area);
        with_weight::<T, _>(weight, |weight| {
            let pairs = images.chunks_exact_mut(sizes.input()).zip(gradients).enumerate();
            for (place, (image, gradient)) in pairs {
                let outputs = (place % sizes.groups) * sizes.n_outputs;
                let weight = &weight[outputs * depth..(outputs + sizes.n_outputs) * depth];
                let weight = view(weight, [sizes.n_outputs, depth]);
                let gradient = view(gradient, [sizes.n_outputs, area]);
                if window.is_pointwise() {
                    multiply(&weight.t(), &gradient, image);
                    continue;
                }
                columns.fill(zero);
                multiply(&weight.t(), &gradient, &mut columns);
                add_columns_to_image(window, sizes.image, sizes.out, &columns, image);
            }
        })?;
        let [height, width] = sizes.image;
        let shape = (sizes.n_rows, sizes.groups * sizes.n_channels, height, width);
        Ok((T::to_cpu_storage_owned(images), Shape::from(shape)))
    }
}

impl KernelGradient {
    /// The gradient of a convolution of stride 1 is one itself, with the kernel turned around and outputs and channels
    /// exchanged.
    fn backward_directly<T: Real, const CELLS: usize>(
        &self,
        turned: &Window,
        gradients: &[T],
    ) -> Result<(CpuStorage, Shape)> {
        let sizes = &self.sizes;
        let [kernel_height, kernel_width] = turned.kernel;
        let weight = T::numbers(&self.kernel.weight)?;
        let group = |group: usize| {
            let first = group * sizes.n_outputs;
            let weight = |c: usize, o: usize, y: usize, x: usize| {
                let plane = (first + o) * sizes.n_channels + c;
                let (y, x) = (kernel_height - 1 - y, kernel_width - 1 - x);
                weight[(plane * kernel_height + y) * kernel_width + x]
            };
            let depth = [sizes.n_channels, sizes.n_outputs];
            Direct::new(turned, sizes.out, sizes.image, depth, weight, |_| T::from_f64(0.0))
        };
        let mut groups: Vec<Direct<T, CELLS>> = (0..sizes.groups).map(group).collect();
        let mut images = vec![T::from_f64(0.0); sizes.n_rows * sizes.groups * sizes.input()];
        let gradients = gradients.chunks_exact(sizes.n_outputs * sizes.area());
        for (place, (gradient, image)) in
            gradients.zip(images.chunks_exact_mut(sizes.input())).enumerate()
        {
            groups[place % sizes.groups].apply(gradient, image);
        }
        let shape = [sizes.n_rows, sizes.groups * sizes.n_channels, sizes.image[0], sizes.image[1]];
        Ok((T::to_cpu_storage_owned(images), Shape::from(shape.to_vec())))
    }
}

impl CustomOp1 for KernelGradient {
    fn name(&self) -> &'static str {
        "conv2d-gradient"
    }

    fn cpu_fwd(&self, gradient: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        with_real!(gradient, T => self.backward::<T>(gradient, layout))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use candle_core::Device;

    use super::*;
    use xai_core::Seed;

    /// What runs on a device, run on the processor, gives the same values.
    #[test]
    fn convolutions_by_operators_of_candle_are_convolutions() {
        let mut stream = Seed::new(1).stream();
        let mut numbers = |shape: &[usize]| {
            let n = shape.iter().product();
            let numbers: Vec<f64> = (0..n).map(|_| stream.uniform()).collect();
            Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
        };
        let (x, bias) = (numbers(&[2, 4, 7, 8]), numbers(&[6]));
        for (padding, groups) in [([1; 4], 1), ([1, 0, 2, 3], 2), ([0, 2, 0, 2], 1)] {
            let weight = numbers(&[6, 4 / groups, 3, 2]);
            let config =
                Conv2dConfig { stride: [2, 2], padding, groups, ..Conv2dConfig::default() };
            let layer = Conv2d::new(&weight, Some(&bias), config).unwrap();
            let difference =
                (layer.forward(&x).unwrap() - layer.kernel.by_candle(&x).unwrap()).unwrap();
            let difference = difference.abs().unwrap().flatten_all().unwrap().max(0).unwrap();
            // At most 24 products of numbers below 1.
            assert!(difference.to_scalar::<f64>().unwrap() <= 48.0 * f64::EPSILON);
        }
        let config = Conv2dConfig { stride: [2, 1], ..Conv2dConfig::default() };
        let layer = Conv2d::new(&numbers(&[1, 4, 2, 2]), None, config).unwrap();
        assert!(layer.kernel.by_candle(&x).is_err());
    }
}
