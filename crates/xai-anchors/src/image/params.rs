//! The settings of AnchorImage.

use schemars::JsonSchema;
use serde::Serialize;
use xai_core::{ParamError, Params, Result, Rows, require};

use super::explainer::AnchorImage;
use super::pixels::{Dtype, ImageShape};
use super::segmentation::Segmentation;
use crate::params::{AnchorSearchParams, deserialize_params, set_defaults, with_search_fields};

/// Settings of [`AnchorImage`]; the keys of `search` stand beside the others in JSON and TOML.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(default, deny_unknown_fields, transform = set_defaults::<Self>)]
#[non_exhaustive]
pub struct AnchorImageParams {
    /// What the numbers of an image are. Default `"float"`.
    pub dtype: Dtype,
    /// How an image is cut into superpixels. Default `{"slic": {}}`, with about ten of them.
    pub segmentation_fn: Segmentation,
    /// The probability with which a superpixel outside the anchor is perturbed, in `(0, 1]`. Default 0.5.
    pub p_sample: f64,
    /// The settings of the search. Coverage is known, so that `coverage_samples` only sets the number of masks that
    /// counts are out of. A longer anchor covers less, so that `coverage_gain` has no effect. Examples are images of
    /// numbers, so that `n_covered_ex` is 0 by default.
    #[serde(flatten)]
    pub search: AnchorSearchParams,
}

impl Default for AnchorImageParams {
    fn default() -> Self {
        AnchorImageParams {
            dtype: Dtype::Float,
            segmentation_fn: Segmentation::default(),
            p_sample: 0.5,
            search: AnchorSearchParams::default().with_n_covered_ex(0),
        }
    }
}

deserialize_params! { AnchorImageParams { dtype, segmentation_fn, p_sample } }

with_search_fields! { search_setters AnchorImageParams }

xai_core::setters! {
    AnchorImageParams {
        with_dtype => dtype: Dtype,
        with_segmentation_fn => segmentation_fn: Segmentation,
        with_p_sample => p_sample: f64,
        with_search => search: AnchorSearchParams,
    }
}

impl Params for AnchorImageParams {
    fn validate(&self) -> Result<(), ParamError> {
        self.segmentation_fn.validate()?;
        let p = self.p_sample;
        require(0.0 < p && p <= 1.0, "p_sample", "above 0 and at most 1", p)?;
        self.search.validate()
    }
}

impl AnchorImageParams {
    /// The method for images of one shape, `(height, width, channels)`. There is nothing to fit.
    ///
    /// An input is a row of `height * width * channels` numbers: pixel after pixel, row by row, the channels of a pixel
    /// together.
    /// Without a `background` perturbed superpixels take their mean colour. With one, shape
    /// `(n_images, height * width * channels)`, they take the pixels of one of its images, drawn for each perturbation;
    /// alibi calls it `images_background`.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) for settings out of range, a shape with a 0 or without 1 or 3 channels
    /// for quickshift, or a background without images;
    /// [`Error::Shape`](xai_core::Error::Shape) for a background or custom labels of another shape than the image;
    /// [`Error::NotFinite`](xai_core::Error::NotFinite) for a pixel of the background.
    ///
    /// # Cost
    /// No model queries; memory for the background.
    pub fn build(
        self,
        shape: impl Into<ImageShape>,
        background: Option<&Rows>,
    ) -> Result<AnchorImage> {
        let background = background.map(|rows| rows.to_owned());
        AnchorImage::new(self.check()?, shape.into(), background)
    }
}
