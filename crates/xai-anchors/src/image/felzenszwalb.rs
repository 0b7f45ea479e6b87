//! Felzenszwalb and Huttenlocher's superpixels: regions of a graph that differ more from each other than within.

use ndarray::{Array2, Array3};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::{ParamError, Params, Result, require};

use super::checks::{check_image, check_sigma};
use super::pixels::Image;
use super::smoothing::smooth;

/// Settings of [`felzenszwalb`], named as in scikit-image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Felzenszwalb {
    /// How much regions are preferred to be large, finite and at least 0, for colours of `0..=255`: a region of `n`
    /// pixels may differ by `scale / n` more than it does already. Symbol k. Default 1.
    pub scale: f64,
    /// The standard deviation, in pixels, of the Gaussian that smooths the image first; `0..=1000`. Default 0.8.
    pub sigma: f64,
    /// The least pixels of a region; smaller ones go to a neighbour. Default 20.
    pub min_size: usize,
}

impl Default for Felzenszwalb {
    fn default() -> Self {
        Felzenszwalb { scale: 1.0, sigma: 0.8, min_size: 20 }
    }
}

impl Params for Felzenszwalb {
    fn validate(&self) -> Result<(), ParamError> {
        let scale = self.scale;
        let allowed = scale.is_finite() && 0.0 <= scale;
        require(allowed, "scale", "finite and at least 0", scale)?;
        check_sigma(self.sigma)
    }
}

/// The region of each pixel, shape `(height, width)`: labels from 0 without gaps, in the order in which a reader meets
/// them.
///
/// `image` has the shape `(height, width, channels)` and values in `[0, 1]`; pixels differ by their Euclidean distance.
/// The labels are those of scikit-image, which sorts edges of equal weight in any order, here in that of their place.
///
/// # Errors
/// [`Error::Param`](xai_core::Error::Param) for settings out of range or an empty image,
/// [`Error::NotFinite`](xai_core::Error::NotFinite) for a pixel.
///
/// # Source
/// Felzenszwalb & Huttenlocher 2004, "Efficient graph-based image segmentation", IJCV 59, algorithm 1.
pub fn felzenszwalb(image: &Image, params: &Felzenszwalb) -> Result<Array2<usize>> {
    params.validate()?;
    check_image(image)?;
    let (height, width, _) = image.dim();
    let smoothed = smooth(image, params.sigma);
    let mut edges = edges(&smoothed);
    edges.sort_by(|a, b| a.weight.total_cmp(&b.weight));
    let mut regions = Regions::new(height * width);
    let scale = params.scale / 255.0;
    for edge in &edges {
        let [a, b] = edge.ends.map(|pixel| regions.root(pixel));
        // Equation 4: the least difference that either region allows.
        let allowed = regions.allowed(a, scale).min(regions.allowed(b, scale));
        if a != b && edge.weight < allowed {
            let root = regions.join(a, b);
            regions.internal[root] = edge.weight;
        }
    }
    for edge in &edges {
        let [a, b] = edge.ends.map(|pixel| regions.root(pixel));
        if a != b && regions.size[a].min(regions.size[b]) < params.min_size {
            regions.join(a, b);
        }
    }
    Ok(regions.labels((height, width)))
}

struct Edge {
    weight: f64,
    /// Pixels by their number, row by row.
    ends: [usize; 2],
}

/// The edges between the eight neighbours: to the right, down, down to the right and up to the right.
fn edges(image: &Array3<f64>) -> Vec<Edge> {
    let (height, width, _) = image.dim();
    let mut edges = Vec::with_capacity(4 * height * width);
    let mut connect = |from: (usize, usize), to: (usize, usize)| {
        let channels = |(y, x)| image.slice(ndarray::s![y, x, ..]);
        let square: f64 =
            channels(from).iter().zip(channels(to)).map(|(a, b)| (a - b) * (a - b)).sum();
        let ends = [from, to].map(|(y, x)| y * width + x);
        edges.push(Edge { weight: square.sqrt(), ends });
    };
    for (down, right) in [(0, 1), (1, 0), (1, 1)] {
        for y in 0..height - down {
            for x in 0..width - right {
                connect((y, x), (y + down, x + right));
            }
        }
    }
    for y in 1..height {
        for x in 0..width - 1 {
            connect((y, x), (y - 1, x + 1));
        }
    }
    edges
}

/// Regions as trees of pixels; the root is the first pixel of the region.
struct Regions {
    parent: Vec<usize>,
    size: Vec<usize>,
    /// The largest weight of the edges that hold the region together.
    internal: Vec<f64>,
}

impl Regions {
    fn new(n_pixels: usize) -> Self {
        Regions {
            parent: (0..n_pixels).collect(),
            size: vec![1; n_pixels],
            internal: vec![0.0; n_pixels],
        }
    }

    fn root(&mut self, pixel: usize) -> usize {
        let mut root = pixel;
        while self.parent[root] != root {
            root = self.parent[root];
        }
        // The way is short the next time.
        let mut pixel = pixel;
        while pixel != root {
            pixel = std::mem::replace(&mut self.parent[pixel], root);
        }
        root
    }

    /// The difference below which a region is joined to another; scikit-image keeps it in 32 bits.
    fn allowed(&self, root: usize, scale: f64) -> f64 {
        #[allow(clippy::cast_possible_truncation, reason = "rounded as the reference rounds it")]
        let rounded = (self.internal[root] + scale / self.size[root] as f64) as f32;
        f64::from(rounded)
    }

    fn join(&mut self, a: usize, b: usize) -> usize {
        let (root, other) = (a.min(b), a.max(b));
        self.parent[other] = root;
        self.size[root] += self.size[other];
        root
    }

    fn labels(mut self, (height, width): (usize, usize)) -> Array2<usize> {
        let roots: Vec<usize> = (0..height * width).map(|pixel| self.root(pixel)).collect();
        let mut labels = vec![0; roots.len()];
        let mut next = 0;
        for (pixel, &root) in roots.iter().enumerate() {
            if pixel == root {
                labels[pixel] = next;
                next += 1;
            }
        }
        Array2::from_shape_fn((height, width), |(y, x)| labels[roots[y * width + x]])
    }
}
