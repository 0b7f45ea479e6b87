//! Anchors of images: superpixels that are enough for a model's decision.
//!
//! [`AnchorImage`] explains, the functions [`slic`], [`felzenszwalb`] and [`quickshift`] cut images into superpixels and
//! can be used without it, [`decode`] reads an image from the bytes of a file.

mod checks;
mod color;
mod data;
mod explainer;
mod felzenszwalb;
mod params;
mod perturbation;
mod picture;
mod pixels;
mod quickshift;
mod segmentation;
mod slic;
mod smoothing;
mod superpixels;

pub use color::lab;
pub use data::{AnchorImageData, ImageCandidate, ImageExamples, SuperpixelPredicate};
pub use explainer::AnchorImage;
pub use felzenszwalb::{Felzenszwalb, felzenszwalb};
pub use params::AnchorImageParams;
pub use picture::{DecodeError, decode, overlay_mask};
pub use pixels::{Dtype, Image, ImageShape};
pub use quickshift::{Quickshift, quickshift};
pub use segmentation::{Segmentation, Segments};
pub use slic::{Slic, slic};
pub use superpixels::BoundingBox;
