//! How an image is cut into superpixels.

use std::collections::BTreeMap;

use ndarray::Array2;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::{ParamError, Params, Result, require, same_shape};

use super::checks::check_image;
use super::color::in_three_channels;
use super::felzenszwalb::{Felzenszwalb, felzenszwalb};
use super::pixels::Image;
use super::quickshift::{Quickshift, quickshift};
use super::slic::{Slic, slic};

/// How an image is cut into superpixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Segmentation {
    /// Clusters in space and colour, of about equal size.
    Slic(Slic),
    /// Regions that differ more from each other than within, of any size.
    Felzenszwalb(Felzenszwalb),
    /// Trees of a walk to higher density in space and colour.
    Quickshift(Quickshift),
    /// The label of each pixel, `height` lists of `width` whole numbers of at least 0. Gaps between the labels do not
    /// matter: superpixels are numbered from 0 in the order of their labels.
    Custom(Vec<Vec<i64>>),
}

impl Default for Segmentation {
    fn default() -> Self {
        Segmentation::Slic(Slic::default())
    }
}

/// An image in superpixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segments {
    /// The superpixel of each pixel, shape `(height, width)`, from 0 without gaps.
    pub labels: Array2<usize>,
    /// The label of each superpixel in [`Segmentation::Custom`]; its index otherwise.
    pub own_labels: Vec<i64>,
}

impl Segments {
    /// How many superpixels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.own_labels.len()
    }

    /// Whether there are none, which no image has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.own_labels.is_empty()
    }

    fn of_labels(labels: Array2<usize>) -> Self {
        let n = labels.iter().max().map_or(0, |&most| most + 1);
        let own_labels = (0_i64..).take(n).collect();
        Segments { labels, own_labels }
    }

    /// Numbers superpixels from 0 in the order of their labels.
    fn of_custom(rows: &[Vec<i64>]) -> Self {
        let all: BTreeMap<i64, usize> = rows.iter().flatten().map(|&label| (label, 0)).collect();
        let own_labels: Vec<i64> = all.into_keys().collect();
        let width = rows.first().map_or(0, Vec::len);
        let labels = Array2::from_shape_fn((rows.len(), width), |(y, x)| {
            own_labels.binary_search(&rows[y][x]).expect("each label is one of them")
        });
        Segments { labels, own_labels }
    }
}

impl Segmentation {
    pub(crate) fn validate(&self) -> Result<(), ParamError> {
        match self {
            Segmentation::Slic(params) => params.validate(),
            Segmentation::Felzenszwalb(params) => params.validate(),
            Segmentation::Quickshift(params) => params.validate(),
            Segmentation::Custom(rows) => {
                let width = rows.first().map_or(0, Vec::len);
                let rule = "at least one row of labels, all of the same length";
                let even = rows.iter().all(|row| row.len() == width);
                let lengths = (rows.len(), width);
                require(even && 0 < width, "segmentation_fn", rule, lengths)?;
                let negative = rows.iter().flatten().find(|&&label| label < 0);
                let rule = "custom labels of at least 0";
                require(negative.is_none(), "segmentation_fn", rule, negative)
            }
        }
    }

    /// Cuts an image of shape `(height, width, channels)`, with values in `[0, 1]`, into superpixels.
    ///
    /// One channel of grey is repeated to three of colour for the three built-in ways.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) for settings out of range, an empty image or negative labels,
    /// [`Error::Shape`](xai_core::Error::Shape) for labels of another shape than the image,
    /// [`Error::NotFinite`](xai_core::Error::NotFinite) for a pixel.
    pub fn segment(&self, image: &Image) -> Result<Segments> {
        self.validate()?;
        check_image(image)?;
        let built_in = in_three_channels(image);
        Ok(match self {
            Segmentation::Slic(params) => Segments::of_labels(slic(&built_in, params)?),
            Segmentation::Felzenszwalb(params) => {
                Segments::of_labels(felzenszwalb(&built_in, params)?)
            }
            Segmentation::Quickshift(params) => Segments::of_labels(quickshift(&built_in, params)?),
            Segmentation::Custom(rows) => {
                let shape = [rows.len(), rows[0].len()];
                same_shape("the custom segmentation", &image.shape()[..2], &shape)?;
                Segments::of_custom(rows)
            }
        })
    }
}
