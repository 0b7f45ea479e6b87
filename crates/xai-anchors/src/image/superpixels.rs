//! The superpixels of one image: where they are, and what they look like when perturbed.

use std::ops::Range;

use ndarray::{Array2, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::Row;

use super::pixels::Dtype;
use super::segmentation::Segments;

/// The smallest rectangle around a superpixel, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct BoundingBox {
    /// Its first row.
    pub top: usize,
    /// Its first column.
    pub left: usize,
    /// The row after its last.
    pub bottom: usize,
    /// The column after its last.
    pub right: usize,
}

/// Where one superpixel is.
#[derive(Clone, Debug)]
pub(crate) struct Superpixel {
    /// The ranges of its numbers in an input row.
    pub spans: Vec<Range<usize>>,
    pub n_pixels: usize,
    pub bounds: BoundingBox,
}

/// Where each superpixel of an image of some channels is.
pub(crate) fn superpixels(segments: &Segments, channels: usize) -> Vec<Superpixel> {
    let (_, width) = segments.labels.dim();
    let empty = Superpixel {
        spans: Vec::new(),
        n_pixels: 0,
        bounds: BoundingBox { top: usize::MAX, left: usize::MAX, bottom: 0, right: 0 },
    };
    let mut superpixels = vec![empty; segments.len()];
    for ((y, x), &label) in segments.labels.indexed_iter() {
        let superpixel = &mut superpixels[label];
        superpixel.n_pixels += 1;
        let bounds = &mut superpixel.bounds;
        bounds.top = bounds.top.min(y);
        bounds.left = bounds.left.min(x);
        bounds.bottom = bounds.bottom.max(y + 1);
        bounds.right = bounds.right.max(x + 1);
        let start = (y * width + x) * channels;
        match superpixel.spans.last_mut() {
            Some(last) if last.end == start => last.end += channels,
            _ => superpixel.spans.push(start..start + channels),
        }
    }
    superpixels
}

/// The image with the mean colour of every superpixel, shape `(1, height * width * channels)`.
pub(crate) fn mean_colors(
    x: &Row,
    superpixels: &[Superpixel],
    channels: usize,
    dtype: Dtype,
) -> Array2<f64> {
    let mut image = x.to_owned();
    for superpixel in superpixels {
        for channel in 0..channels {
            let mean = mean(x, superpixel, channel, channels);
            let value = match dtype {
                Dtype::Float => mean,
                Dtype::U8 => (mean + 0.5).floor(),
            };
            for span in &superpixel.spans {
                for place in (span.start + channel..span.end).step_by(channels) {
                    image[place] = value;
                }
            }
        }
    }
    image.insert_axis(Axis(0))
}

/// The mean of one channel of a superpixel; of equal numbers it is that number.
fn mean(x: &Row, superpixel: &Superpixel, channel: usize, channels: usize) -> f64 {
    let first = x[superpixel.spans[0].start + channel];
    // As a distance from one of the numbers, so that a flat superpixel has no rounding and no sum can overflow.
    let of_span = |span: &Range<usize>| {
        let places = (span.start + channel..span.end).step_by(channels);
        places.map(|place| (x[place] - first) / superpixel.n_pixels as f64).sum::<f64>()
    };
    first + superpixel.spans.iter().map(of_span).sum::<f64>()
}

/// Whether replacing a superpixel never changes the image.
pub(crate) fn is_identity(x: &Row, superpixel: &Superpixel, replacements: &Array2<f64>) -> bool {
    let mut numbers = superpixel.spans.iter().flat_map(Clone::clone);
    numbers.all(|place| replacements.column(place).iter().all(|&value| same(value, x[place])))
}

/// Equality up to the rounding of a mean.
fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
}
