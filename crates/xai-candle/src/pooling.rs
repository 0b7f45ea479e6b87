//! Pooling with any window, and with gradients.

use std::cmp::Ordering;
use std::hint::select_unpredictable;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Error, Layout, Module, Result, Shape, Tensor};

use super::graph::{Layer, LayerPullback, trace_by_candle};
use super::real::{Real, with_real};
use super::window::Window;

/// What a pooling window covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool2dConfig {
    /// Height and width of the window, `1..`.
    pub kernel: [usize; 2],
    /// Cells from one output to the next, along height and width, `1..`.
    pub stride: [usize; 2],
    /// Cells around the image: top, left, bottom, right; less than the window covers.
    pub padding: [usize; 4],
    /// Cells from one position of the window to the next, along height and width, `1..`.
    pub dilation: [usize; 2],
    /// Whether a window that reaches over the end of the padded image counts as an output.
    pub ceil_mode: bool,
    /// Whether an average is over padding too.
    pub count_include_pad: bool,
}

impl Pool2dConfig {
    /// Windows side by side, without padding.
    #[must_use]
    pub fn new(kernel: [usize; 2]) -> Self {
        Pool2dConfig {
            kernel,
            stride: kernel,
            padding: [0; 4],
            dilation: [1, 1],
            ceil_mode: false,
            count_include_pad: false,
        }
    }

    fn window(&self) -> Result<Window> {
        let Pool2dConfig { kernel, stride, padding, dilation, ceil_mode, .. } = *self;
        let window = Window { ceil_mode, ..Window::new(kernel, stride, padding, dilation)? };
        for axis in [0, 1] {
            let span = dilation[axis] * (kernel[axis] - 1) + 1;
            if window.before[axis].max(window.after[axis]) >= span {
                let message =
                    format!("padding must be less than a window covers ({span}), got {padding:?}");
                return Err(Error::msg(message));
            }
        }
        Ok(window)
    }
}

/// The largest cell of each window; `x` has shape `(n_rows, n_channels, height, width)`, `f32` or `f64`.
///
/// Padding is never the largest.
/// The gradient goes to the first of several largest cells; candle's pooling, which takes only windows side by
/// side, shares it among them.
///
/// # Errors
/// When the window does not fit or `x` has another shape or type.
pub fn max_pool2d(x: &Tensor, config: &Pool2dConfig) -> Result<Tensor> {
    pool(x, Pooling { window: config.window()?, rule: Rule::Largest })
}

/// The mean of each window; `x` has shape `(n_rows, n_channels, height, width)`, `f32` or `f64`.
///
/// # Errors
/// When the window does not fit or `x` has another shape or type.
pub fn avg_pool2d(x: &Tensor, config: &Pool2dConfig) -> Result<Tensor> {
    let rule = Rule::Mean { with_padding: config.count_include_pad };
    pool(x, Pooling { window: config.window()?, rule })
}

/// [`max_pool2d`] as a [`Layer`].
#[derive(Clone, Copy, Debug)]
pub struct MaxPool2d {
    pooling: Pooling,
}

impl MaxPool2d {
    /// A layer with these windows.
    ///
    /// # Errors
    /// When the settings do not go together.
    pub fn new(config: &Pool2dConfig) -> Result<Self> {
        Ok(MaxPool2d { pooling: Pooling { window: config.window()?, rule: Rule::Largest } })
    }
}

/// [`avg_pool2d`] as a [`Layer`].
#[derive(Clone, Copy, Debug)]
pub struct AvgPool2d {
    pooling: Pooling,
}

impl AvgPool2d {
    /// A layer with these windows.
    ///
    /// # Errors
    /// When the settings do not go together.
    pub fn new(config: &Pool2dConfig) -> Result<Self> {
        let rule = Rule::Mean { with_padding: config.count_include_pad };
        Ok(AvgPool2d { pooling: Pooling { window: config.window()?, rule } })
    }
}

impl Module for MaxPool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        pool(x, self.pooling)
    }
}

impl Layer for MaxPool2d {
    fn trace(&self, x: &Tensor) -> Result<(Tensor, LayerPullback<'_>)> {
        self.pooling.trace(x)
    }
}

impl Module for AvgPool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        pool(x, self.pooling)
    }
}

impl Layer for AvgPool2d {
    fn trace(&self, x: &Tensor) -> Result<(Tensor, LayerPullback<'_>)> {
        self.pooling.trace(x)
    }
}

fn pool(x: &Tensor, pooling: Pooling) -> Result<Tensor> {
    if x.device().is_cpu() {
        return x.contiguous()?.apply_op1(pooling);
    }
    pooling.by_candle(x)
}

#[derive(Clone, Copy, Debug)]
enum Rule {
    Largest,
    Mean { with_padding: bool },
}

#[derive(Clone, Copy, Debug)]
struct Pooling {
    window: Window,
    rule: Rule,
}

impl Pooling {
    fn trace<'l>(self, x: &Tensor) -> Result<(Tensor, LayerPullback<'l>)> {
        if !x.device().is_cpu() {
            return trace_by_candle(x, |x| self.by_candle(x));
        }
        let x = x.contiguous()?.detach();
        let out = x.apply_op1_no_bwd(&self)?;
        let back = move |gradient: Tensor| {
            x.apply_op2_no_bwd(&gradient.contiguous()?, &PoolingGradient { pooling: self })
        };
        Ok((out, Box::new(back)))
    }

    /// Height and width of image and output, once the input is known to hold images.
    fn sizes(&self, x: &[usize]) -> Result<([usize; 2], [usize; 2])> {
        let [_, _, height, width] = *x else {
            let message = format!("pooling takes (rows, channels, height, width), got {x:?}");
            return Err(Error::msg(message));
        };
        Ok(([height, width], self.window.output([height, width])?))
    }

    /// The cells that each window covers, by their place in a channel.
    fn windows(&self, image: [usize; 2], out: [usize; 2]) -> Windows {
        let mut windows = Windows { cells: Vec::new(), ends: Vec::new() };
        for (y, x) in (0..out[0]).flat_map(|y| (0..out[1]).map(move |x| (y, x))) {
            for ky in 0..self.window.kernel[0] {
                let Some(line) = self.window.cell(0, image, y, ky) else { continue };
                let columns = 0..self.window.kernel[1];
                let columns = columns.filter_map(|kx| self.window.cell(1, image, x, kx));
                windows.cells.extend(columns.map(|column| line * image[1] + column));
            }
            windows.ends.push(windows.cells.len());
        }
        windows
    }

    /// By how much the mean of each window divides the sum of its cells.
    fn divisors<T: Real>(&self, image: [usize; 2], out: [usize; 2], windows: &Windows) -> Vec<T> {
        let covered = windows.iter().map(<[usize]>::len).enumerate();
        let divisor = |(output, covered): (usize, usize)| {
            if !matches!(self.rule, Rule::Mean { with_padding: true }) {
                return covered;
            }
            let along = |axis: usize, output: usize| {
                let Window { kernel, stride, before, after, dilation, .. } = self.window;
                // What lies behind the padding, where only the ceil mode gets, is not counted.
                let room = image[axis] + before[axis] + after[axis] - output * stride[axis];
                kernel[axis].min(room.div_ceil(dilation[axis]))
            };
            along(0, output / out[1]) * along(1, output % out[1])
        };
        covered.map(|window| T::from_f64(divisor(window) as f64)).collect()
    }

    fn forward<T: Real>(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (image, out) = self.sizes(layout.dims())?;
        let windows = self.windows(image, out);
        let planes = T::read(x, layout)?.chunks_exact(image[0] * image[1]);
        let mut values = Vec::with_capacity(planes.len() * out[0] * out[1]);
        match self.rule {
            Rule::Largest => {
                for plane in planes {
                    values.extend(windows.iter().map(|cells| plane[largest(plane, cells)]));
                }
            }
            Rule::Mean { .. } => {
                let divisors = self.divisors::<T>(image, out, &windows);
                let zero = T::from_f64(0.0);
                let sum = |plane: &[T], cells: &[usize]| {
                    cells.iter().fold(zero, |sum, &cell| sum + plane[cell])
                };
                for plane in planes {
                    let means = windows.iter().zip(&divisors);
                    values.extend(means.map(|(cells, &divisor)| sum(plane, cells) / divisor));
                }
            }
        }
        let shape = (layout.dims()[0], layout.dims()[1], out[0], out[1]);
        Ok((T::to_cpu_storage_owned(values), Shape::from(shape)))
    }

    /// What the CPU computes, by candle's operators: the cells of all windows, one position after the other.
    fn by_candle(&self, x: &Tensor) -> Result<Tensor> {
        let (image, out) = self.sizes(x.dims())?;
        let device = x.device();
        let lowest = if matches!(self.rule, Rule::Largest) { f64::NEG_INFINITY } else { 0.0 };
        // The cells of one position along an axis, and which of them are in the image.
        let read = |axis: usize, position: usize| {
            let cell = |output| self.window.cell(axis, image, output, position);
            let cells: Vec<Option<usize>> = (0..out[axis]).map(cell).collect();
            let index = |cell: &Option<usize>| cell.map_or(0, |cell| cell as i64);
            let indices = Tensor::from_vec(cells.iter().map(index).collect(), cells.len(), device)?;
            let is_inside = |cell: &Option<usize>| u8::from(cell.is_some());
            let inside = cells.iter().map(is_inside).collect::<Vec<u8>>();
            Result::Ok((indices, Tensor::from_vec(inside, cells.len(), device)?))
        };
        let mut total: Option<Tensor> = None;
        for ky in 0..self.window.kernel[0] {
            let (lines, line_inside) = read(0, ky)?;
            let of_line = x.index_select(&lines, 2)?;
            for kx in 0..self.window.kernel[1] {
                let (columns, column_inside) = read(1, kx)?;
                let cells = of_line.index_select(&columns, 3)?;
                let inside = line_inside.reshape(((), 1))?.broadcast_mul(&column_inside)?;
                let outside = cells.ones_like()?.affine(0.0, lowest)?;
                let cells = inside.broadcast_as(cells.shape())?.where_cond(&cells, &outside)?;
                total = Some(match (total, self.rule) {
                    (None, _) => cells,
                    (Some(total), Rule::Largest) => {
                        // Not `maximum`, whose gradient is shared among equal cells.
                        total.ge(&cells)?.where_cond(&total, &cells)?
                    }
                    (Some(total), Rule::Mean { .. }) => (total + cells)?,
                });
            }
        }
        let total = total.expect("a window has a position");
        if matches!(self.rule, Rule::Largest) {
            return Ok(total);
        }
        let divisors = self.divisors::<f64>(image, out, &self.windows(image, out));
        let divisors = Tensor::from_vec(divisors, (out[0], out[1]), device)?;
        total.broadcast_div(&divisors.to_dtype(x.dtype())?)
    }
}

/// The cells of all windows, one window after the other.
struct Windows {
    cells: Vec<usize>,
    ends: Vec<usize>,
}

impl Windows {
    fn iter(&self) -> impl Iterator<Item = &[usize]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.cells[start..end])
    }
}

/// The first of the largest cells; NaN is larger than any number.
///
/// Which cell is the largest cannot be foreseen, so that a branch would cost more than both of its sides.
fn largest<T: Real>(plane: &[T], cells: &[usize]) -> usize {
    let (mut best, mut largest) = (cells[0], plane[cells[0]]);
    for &cell in &cells[1..] {
        let value = plane[cell];
        let is_number = largest.partial_cmp(&largest).is_some();
        let is_less = matches!(value.partial_cmp(&largest), Some(Ordering::Less | Ordering::Equal));
        let is_best = is_number & !is_less;
        best = select_unpredictable(is_best, cell, best);
        largest = select_unpredictable(is_best, value, largest);
    }
    best
}

impl CustomOp1 for Pooling {
    fn name(&self) -> &'static str {
        "pool2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        with_real!(x, T => self.forward::<T>(x, layout))
    }

    fn bwd(&self, x: &Tensor, _out: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        x.apply_op2_no_bwd(&gradient.contiguous()?, &PoolingGradient { pooling: *self }).map(Some)
    }
}

/// From the images and the gradient of what was pooled to the gradient of the images.
struct PoolingGradient {
    pooling: Pooling,
}

impl PoolingGradient {
    fn backward<T: Real>(
        &self,
        x: (&CpuStorage, &Layout),
        gradient: (&CpuStorage, &Layout),
    ) -> Result<(CpuStorage, Shape)> {
        let pooling = &self.pooling;
        let (image, out) = pooling.sizes(x.1.dims())?;
        let windows = pooling.windows(image, out);
        let area = image[0] * image[1];
        let planes = T::read(x.0, x.1)?;
        let gradients = T::read(gradient.0, gradient.1)?.chunks_exact(out[0] * out[1]);
        let mut sums = vec![T::from_f64(0.0); planes.len()];
        let divisors = pooling.divisors::<T>(image, out, &windows);
        let planes = planes.chunks_exact(area).zip(sums.chunks_exact_mut(area));
        for ((plane, sums), gradients) in planes.zip(gradients) {
            for (output, (cells, &gradient)) in windows.iter().zip(gradients).enumerate() {
                match pooling.rule {
                    Rule::Largest => sums[largest(plane, cells)] += gradient,
                    Rule::Mean { .. } => {
                        let share = gradient / divisors[output];
                        cells.iter().for_each(|&cell| sums[cell] += share);
                    }
                }
            }
        }
        Ok((T::to_cpu_storage_owned(sums), x.1.shape().clone()))
    }
}

impl CustomOp2 for PoolingGradient {
    fn name(&self) -> &'static str {
        "pool2d-gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gradient: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        with_real!(x, T => self.backward::<T>((x, x_layout), (gradient, layout)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use candle_core::{Device, Var};

    use super::*;
    use xai_core::Seed;

    /// What runs on a device, run on the processor, gives the same values and gradients.
    #[test]
    fn pooling_by_operators_of_candle_is_pooling() {
        let mut stream = Seed::new(1).stream();
        let mut numbers = |n: usize| (0..n).map(|_| stream.uniform()).collect::<Vec<f64>>();
        let plain = Pool2dConfig::new([2, 3]);
        let configs = [
            plain,
            Pool2dConfig { stride: [1, 2], padding: [1, 2, 0, 1], ..plain },
            Pool2dConfig { stride: [2, 2], ceil_mode: true, count_include_pad: true, ..plain },
            Pool2dConfig { padding: [1; 4], dilation: [2, 1], count_include_pad: true, ..plain },
        ];
        let means = [Rule::Mean { with_padding: false }, Rule::Mean { with_padding: true }];
        for config in configs {
            for rule in means.into_iter().chain([Rule::Largest]) {
                let pooling = Pooling { window: config.window().unwrap(), rule };
                let x = Tensor::from_vec(numbers(2 * 3 * 7 * 8), (2, 3, 7, 8), &Device::Cpu);
                let x = Var::from_tensor(&x.unwrap()).unwrap();
                let out = pool(&x, pooling).unwrap();
                let n = out.elem_count();
                let cotangent = Tensor::from_vec(numbers(n), out.shape(), &Device::Cpu).unwrap();
                let gradient = |out: &Tensor| {
                    let sum = (out * &cotangent).unwrap().sum_all().unwrap();
                    sum.backward().unwrap().get(&x).unwrap().clone()
                };
                let other = pooling.by_candle(&x).unwrap();
                for (a, b) in [(&out, &other), (&gradient(&out), &gradient(&other))] {
                    let difference = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
                    // Sums of at most six numbers below 1.
                    assert!(difference.max(0).unwrap().to_scalar::<f64>().unwrap() <= 1e-14);
                }
            }
        }
    }
}
