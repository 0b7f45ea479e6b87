//! Where a window that slides over an image reads, for convolution and pooling alike.

use std::ops::Range;

use candle_core::{Error, Result};

use super::direct::MOST_OUTPUTS;

/// A window's place in an image, along height (index 0) and width (index 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    /// Cells in front of the image, per axis.
    pub(super) before: [usize; 2],
    /// Cells behind the image, per axis.
    pub(super) after: [usize; 2],
    pub(super) dilation: [usize; 2],
    pub(super) ceil_mode: bool,
}

impl Window {
    /// `padding` is top, left, bottom, right.
    pub(super) fn new(
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 4],
        dilation: [usize; 2],
    ) -> Result<Self> {
        let [top, left, bottom, right] = padding;
        for (name, sizes) in [("kernel", kernel), ("stride", stride), ("dilation", dilation)] {
            if sizes.contains(&0) {
                return Err(Error::msg(format!("{name} must be at least 1, got {sizes:?}")));
            }
        }
        Ok(Window {
            kernel,
            stride,
            before: [top, left],
            after: [bottom, right],
            dilation,
            ceil_mode: false,
        })
    }

    /// Height and width of the output for an image of this height and width.
    pub(super) fn output(&self, image: [usize; 2]) -> Result<[usize; 2]> {
        let along = |axis: usize| {
            let span = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            let padded = image[axis] + self.before[axis] + self.after[axis];
            let Some(room) = padded.checked_sub(span).filter(|_| image[axis] > 0) else {
                let kernel = self.kernel;
                let message = format!("a window of {kernel:?} does not fit an image of {image:?}");
                return Err(Error::msg(message));
            };
            let stride = self.stride[axis];
            let steps = if self.ceil_mode { room.div_ceil(stride) } else { room / stride };
            // A window of the ceil mode that would start behind the image and its left padding is left out.
            let starts_outside = steps * stride >= image[axis] + self.before[axis];
            Ok(if self.ceil_mode && starts_outside { steps } else { steps + 1 })
        };
        Ok([along(0)?, along(1)?])
    }

    /// The cell of the image that a position of the kernel reads for an output, or `None` for padding.
    pub(super) fn cell(
        &self,
        axis: usize,
        image: [usize; 2],
        output: usize,
        kernel: usize,
    ) -> Option<usize> {
        let padded = output * self.stride[axis] + kernel * self.dilation[axis];
        padded.checked_sub(self.before[axis]).filter(|cell| *cell < image[axis])
    }

    /// The outputs along an axis for which a position of the kernel reads inside the image.
    pub(super) fn inside(
        &self,
        axis: usize,
        image: [usize; 2],
        outputs: usize,
        kernel: usize,
    ) -> Range<usize> {
        let (stride, offset) = (self.stride[axis], kernel * self.dilation[axis]);
        let first = self.before[axis].saturating_sub(offset).div_ceil(stride);
        let end = (image[axis] + self.before[axis]).saturating_sub(offset).div_ceil(stride);
        let end = end.min(outputs);
        first.min(end)..end
    }

    /// Whether a convolution with so many outputs is computed without unfolding.
    pub(super) fn is_direct(&self, n_outputs: usize) -> bool {
        self.stride == [1, 1] && n_outputs <= MOST_OUTPUTS
    }

    /// The window that goes from outputs back to cells, where that is a window of stride 1 without negative padding.
    pub(super) fn turned(&self) -> Option<Window> {
        let span = |axis: usize| self.dilation[axis] * (self.kernel[axis] - 1);
        let rest = |padding: [usize; 2]| {
            Some([span(0).checked_sub(padding[0])?, span(1).checked_sub(padding[1])?])
        };
        let (before, after) = (rest(self.before)?, rest(self.after)?);
        (self.stride == [1, 1]).then_some(Window { before, after, ..*self })
    }

    /// Whether the window is one cell that visits each cell of the image once, in order.
    pub(super) fn is_pointwise(&self) -> bool {
        let ones = [self.kernel, self.stride] == [[1, 1]; 2];
        ones && [self.before, self.after] == [[0, 0]; 2]
    }
}

/// Copies what each position of the kernel reads into one row of `columns`, shape
/// `(channels * kernel height * kernel width, outputs)`; padding reads as zero.
pub(super) fn image_to_columns<T: Copy>(
    window: &Window,
    [height, width]: [usize; 2],
    [out_height, out_width]: [usize; 2],
    zero: T,
    image: &[T],
    columns: &mut [T],
) {
    let size = [height, width];
    let mut rows = columns.chunks_exact_mut(out_height * out_width);
    for plane in image.chunks_exact(height * width) {
        for ky in 0..window.kernel[0] {
            for kx in 0..window.kernel[1] {
                let row = rows.next().expect("one row for each channel and position");
                let inside = window.inside(1, size, out_width, kx);
                for (y, line) in row.chunks_exact_mut(out_width).enumerate() {
                    let Some(cell) = window.cell(0, size, y, ky).filter(|_| !inside.is_empty())
                    else {
                        line.fill(zero);
                        continue;
                    };
                    line[..inside.start].fill(zero);
                    line[inside.end..].fill(zero);
                    let start = inside.start * window.stride[1] + kx * window.dilation[1]
                        - window.before[1];
                    let source = &plane[cell * width + start..(cell + 1) * width];
                    let target = &mut line[inside.clone()];
                    if window.stride[1] == 1 {
                        target.copy_from_slice(&source[..target.len()]);
                    } else {
                        let source = source.iter().step_by(window.stride[1]);
                        target.iter_mut().zip(source).for_each(|(to, from)| *to = *from);
                    }
                }
            }
        }
    }
}

/// Adds each row of `columns` to the cells it was read from: the transpose of [`image_to_columns`].
pub(super) fn add_columns_to_image<T: Copy + std::ops::AddAssign>(
    window: &Window,
    [height, width]: [usize; 2],
    [out_height, out_width]: [usize; 2],
    columns: &[T],
    image: &mut [T],
) {
    let size = [height, width];
    let mut rows = columns.chunks_exact(out_height * out_width);
    for plane in image.chunks_exact_mut(height * width) {
        for ky in 0..window.kernel[0] {
            for kx in 0..window.kernel[1] {
                let row = rows.next().expect("one row for each channel and position");
                let inside = window.inside(1, size, out_width, kx);
                if inside.is_empty() {
                    continue;
                }
                let start =
                    inside.start * window.stride[1] + kx * window.dilation[1] - window.before[1];
                for (y, line) in row.chunks_exact(out_width).enumerate() {
                    let Some(cell) = window.cell(0, size, y, ky) else { continue };
                    let target = &mut plane[cell * width + start..(cell + 1) * width];
                    let source = &line[inside.clone()];
                    if window.stride[1] == 1 {
                        target.iter_mut().zip(source).for_each(|(to, from)| *to += *from);
                    } else {
                        let target = target.iter_mut().step_by(window.stride[1]);
                        target.zip(source).for_each(|(to, from)| *to += *from);
                    }
                }
            }
        }
    }
}
