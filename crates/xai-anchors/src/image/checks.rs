//! What all segmentations check first.

use xai_core::input::all_finite;
use xai_core::{ParamError, Result, require};

use super::pixels::Image;

/// Requires an image to have pixels, all of them finite.
pub(super) fn check_image(image: &Image) -> Result<()> {
    require(!image.is_empty(), "image", "of at least one pixel and one channel", image.shape())?;
    all_finite("the image", image)
}

/// The rule for the width of a smoothing Gaussian; a wider one would look beyond any image.
pub(super) fn check_sigma(sigma: f64) -> Result<(), ParamError> {
    require((0.0..=1000.0).contains(&sigma), "sigma", "between 0 and 1000", sigma)
}
