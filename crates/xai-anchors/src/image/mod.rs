//! Anchors of images: superpixels that hold a model's decision in place.
//!
//! [`AnchorImage`] explains, the functions [`slic`], [`felzenszwalb`] and [`quickshift`] cut images into superpixels and
//! are of use by themselves, [`decode`] reads an image from the bytes of a file.

mod color;
mod data;
mod explainer;
mod felzenszwalb;
mod params;
mod perturbation;
mod picture;
mod quickshift;
mod segmentation;
mod slic;
mod smoothing;
mod superpixels;

use ndarray::ArrayRef3;

pub use color::lab;
pub use data::{AnchorImageData, HeldSuperpixel, ImageCandidate, ImageExamples, ImageRaw};
pub use explainer::AnchorImage;
pub use felzenszwalb::{Felzenszwalb, felzenszwalb};
pub use params::{AnchorImageParams, Dtype};
pub use picture::{DecodeError, decode, overlay_mask};
pub use quickshift::{Quickshift, quickshift};
pub use segmentation::{Segmentation, Segments};
pub use slic::{Slic, slic};
pub use superpixels::BoundingBox;

/// An image, shape `(height, width, channels)`.
pub type Image = ArrayRef3<f64>;
