//! Images of digits for the network [`Network::digits`](crate::networks::Network::digits).

use anyhow::{Context, Result};
use ndarray::Array2;

/// Height, width and channels.
pub const SHAPE: (usize, usize, usize) = (8, 8, 1);

/// How many of the images the network was not trained on; they come first.
pub const N_TEST: usize = 40;

/// 100 images, shape `(100, 64)`, cells in `[-0.5, 0.5]`.
///
/// # Source
/// E. Alpaydin & C. Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning Repository, as
/// distributed with scikit-learn.
///
/// # Errors
/// When the file in the repository is damaged.
pub fn images() -> Result<Array2<f64>> {
    let images: Vec<Vec<f64>> = serde_json::from_str(include_str!("../peers/models/digits.json"))?;
    let (n_images, width) = (images.len(), images.first().context("there are images")?.len());
    Ok(Array2::from_shape_vec((n_images, width), images.concat())?)
}
