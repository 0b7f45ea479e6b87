//! Images as arrays of numbers.

use ndarray::ArrayRef3;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::{ParamError, require};

/// An image, shape `(height, width, channels)`.
pub type Image = ArrayRef3<f64>;

/// What the numbers of an image are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Dtype {
    /// Any finite numbers. Segmentation uses them without scaling, so colours should be in `[0, 1]`.
    #[default]
    Float,
    /// Whole numbers of `0..=255`, and so are the numbers of perturbed images: means are rounded to the nearest of them,
    /// halves up. Segmentation divides by 255.
    U8,
}

/// The shape of an image; made from `(height, width, channels)` too, such as `image.dim()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "(usize, usize, usize)", into = "(usize, usize, usize)")]
#[schemars(with = "(usize, usize, usize)")]
#[non_exhaustive]
pub struct ImageShape {
    /// Pixels from top to bottom, at least 1.
    pub height: usize,
    /// Pixels from left to right, at least 1.
    pub width: usize,
    /// Numbers of a pixel, at least 1.
    pub channels: usize,
}

impl ImageShape {
    /// Requires at least one pixel and one channel, and a count of numbers that `usize` can represent.
    pub(crate) fn validate(self) -> Result<(), ParamError> {
        let n_pixels = self.height.checked_mul(self.width);
        let n_numbers = n_pixels.and_then(|n_pixels| n_pixels.checked_mul(self.channels));
        let allowed = n_numbers.is_some_and(|n_numbers| 0 < n_numbers);
        let shape = <(usize, usize, usize)>::from(self);
        require(
            allowed,
            "shape",
            "a height, a width and channels of at least 1",
            [shape.0, shape.1, shape.2],
        )
    }

    /// How many numbers an image has.
    pub(crate) fn n_numbers(self) -> usize {
        self.height * self.width * self.channels
    }

    /// The shape as an array, for comparisons.
    pub(crate) fn to_array(self) -> [usize; 3] {
        [self.height, self.width, self.channels]
    }
}

impl From<(usize, usize, usize)> for ImageShape {
    fn from((height, width, channels): (usize, usize, usize)) -> Self {
        ImageShape { height, width, channels }
    }
}

impl From<ImageShape> for (usize, usize, usize) {
    fn from(shape: ImageShape) -> Self {
        (shape.height, shape.width, shape.channels)
    }
}
