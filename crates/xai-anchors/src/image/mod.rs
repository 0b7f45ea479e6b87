//! Anchors of images: superpixels that hold a model's decision in place.

mod color;
mod felzenszwalb;
mod quickshift;
mod segmentation;
mod slic;
mod smoothing;

use ndarray::ArrayRef3;

pub use color::lab;
pub use felzenszwalb::{Felzenszwalb, felzenszwalb};
pub use quickshift::{Quickshift, quickshift};
pub use segmentation::{Segmentation, Segments};
pub use slic::{Slic, slic};

/// An image, shape `(height, width, channels)`.
pub type Image = ArrayRef3<f64>;
