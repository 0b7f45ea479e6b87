//! Quickshift: superpixels as the trees of a walk to higher density.

use ndarray::{Array1, Array2, Array3, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::{ParamError, Params, Result, parallel, require};

use super::checks::{check_image, check_sigma};
use super::color::{in_three_channels, lab};
use super::pixels::Image;
use super::smoothing::smooth;

/// Settings of [`quickshift`], named as in scikit-image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Quickshift {
    /// How much colour counts against space, in `[0, 1]`. Default 1.
    pub ratio: f64,
    /// The standard deviation of the kernel of the density, in pixels and in units of Lab, in `(0, 1000]`: larger for
    /// fewer superpixels. Symbol sigma. Default 5.
    pub kernel_size: f64,
    /// The longest step to a higher density, finite and at least 0: larger for fewer superpixels. Symbol tau.
    /// Default 10.
    pub max_dist: f64,
    /// The standard deviation, in pixels, of the Gaussian that smooths the image first; `0..=1000`. Default 0.
    pub sigma: f64,
}

impl Default for Quickshift {
    fn default() -> Self {
        Quickshift { ratio: 1.0, kernel_size: 5.0, max_dist: 10.0, sigma: 0.0 }
    }
}

impl Params for Quickshift {
    fn validate(&self) -> Result<(), ParamError> {
        let ratio = self.ratio;
        require((0.0..=1.0).contains(&ratio), "ratio", "between 0 and 1", ratio)?;
        let size = self.kernel_size;
        let allowed = 0.0 < size && size <= 1000.0;
        require(allowed, "kernel_size", "above 0 and at most 1000", size)?;
        let longest = self.max_dist;
        let allowed = longest.is_finite() && 0.0 <= longest;
        require(allowed, "max_dist", "finite and at least 0", longest)?;
        check_sigma(self.sigma)
    }
}

/// The superpixel of each pixel, shape `(height, width)`: labels from 0 without gaps, in the order in which a reader
/// meets them.
///
/// `image` has the shape `(height, width, channels)` with sRGB in `[0, 1]`, or one channel of grey.
/// Of two pixels of equal density the first one counts as the denser; scikit-image adds noise of 1e-5 to densities
/// instead, and so may part regions elsewhere where densities differ by less than that.
///
/// # Errors
/// [`Error::Param`](xai_core::Error::Param) for settings out of range, an empty image or another number of channels;
/// [`Error::NotFinite`](xai_core::Error::NotFinite) for a pixel.
///
/// # Cost
/// Two visits to the `(2 r + 1)^2` neighbours of each pixel, with `r` three times `kernel_size`; rows in parallel.
///
/// # Source
/// Vedaldi & Soatto 2008, "Quick shift and kernel methods for mode seeking", ECCV.
pub fn quickshift(image: &Image, params: &Quickshift) -> Result<Array2<usize>> {
    params.validate()?;
    check_image(image)?;
    let channels = image.len_of(Axis(2));
    require(matches!(channels, 1 | 3), "image", "of 1 or 3 channels for quickshift", channels)?;
    let colors = smooth(&lab(&in_three_channels(image)), params.sigma) * params.ratio;
    let neighborhood = Neighborhood::new(&colors, params.kernel_size);
    let densities = neighborhood.densities();
    let parents = neighborhood.parents(&densities, params.max_dist);
    Ok(trees(parents, (image.len_of(Axis(0)), image.len_of(Axis(1)))))
}

struct Neighborhood<'a> {
    colors: &'a Array3<f64>,
    kernel_size: f64,
    radius: usize,
}

impl<'a> Neighborhood<'a> {
    fn new(colors: &'a Array3<f64>, kernel_size: f64) -> Self {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most three thousand"
        )]
        let radius = (3.0 * kernel_size).ceil() as usize;
        Neighborhood { colors, kernel_size, radius }
    }

    /// Shows each pixel around another, with the square of its distance in space and colour, row by row.
    fn around(&self, (y, x): (usize, usize), mut show: impl FnMut((usize, usize), f64)) {
        let (height, width, _) = self.colors.dim();
        let colors = self.colors.as_slice().expect("smoothing lays out what it gives");
        let reach = |place: usize, len: usize| {
            place.saturating_sub(self.radius)..(place + self.radius + 1).min(len)
        };
        let color = &colors[3 * (y * width + x)..][..3];
        let columns = reach(x, width);
        for row in reach(y, height) {
            let dy = y.abs_diff(row);
            let pixels = &colors[3 * (row * width + columns.start)..][..3 * columns.len()];
            for (column, other) in columns.clone().zip(pixels.chunks_exact(3)) {
                let mut square = 0.0;
                for (here, other) in color.iter().zip(other) {
                    square += (here - other) * (here - other);
                }
                let dx = x.abs_diff(column);
                square += (dy * dy) as f64;
                square += (dx * dx) as f64;
                show((row, column), square);
            }
        }
    }

    /// Equation 5: the density at each pixel, without its constant factor.
    fn densities(&self) -> Array2<f64> {
        let (height, width, _) = self.colors.dim();
        let factor = -0.5 / (self.kernel_size * self.kernel_size);
        let rows = parallel::map(0..height, |y| {
            let density = |x| {
                let mut density = 0.0;
                self.around((y, x), |_, square| density += (square * factor).exp());
                density
            };
            Array1::from_iter((0..width).map(density))
        });
        let mut densities = Array2::zeros((height, width));
        densities.rows_mut().into_iter().zip(&rows).for_each(|(mut to, row)| to.assign(row));
        densities
    }

    /// Equation 6: the nearest pixel of higher density, as its number row by row; the pixel itself where there is none
    /// that is near enough.
    fn parents(&self, densities: &Array2<f64>, max_dist: f64) -> Vec<usize> {
        let (height, width, _) = self.colors.dim();
        let rows = parallel::map(0..height, |y| {
            let parent = |x: usize| {
                let mut parent = (y, x);
                let mut closest = f64::INFINITY;
                self.around((y, x), |other, square| {
                    let (density, other_density) = (densities[[y, x]], densities[other]);
                    let is_equal = density.total_cmp(&other_density).is_eq();
                    if square < closest && (density < other_density || (is_equal && other < (y, x)))
                    {
                        (parent, closest) = (other, square);
                    }
                });
                let is_near = closest.sqrt() <= max_dist;
                if is_near { parent.0 * width + parent.1 } else { y * width + x }
            };
            (0..width).map(parent).collect::<Vec<usize>>()
        });
        rows.concat()
    }
}

/// Trees as labels, by the first pixel of each.
fn trees(mut parents: Vec<usize>, (height, width): (usize, usize)) -> Array2<usize> {
    for pixel in 0..parents.len() {
        let mut root = pixel;
        while parents[root] != root {
            root = parents[root];
        }
        let mut pixel = pixel;
        while pixel != root {
            pixel = std::mem::replace(&mut parents[pixel], root);
        }
    }
    let mut labels = vec![None; parents.len()];
    let mut next = 0;
    Array2::from_shape_fn((height, width), |(y, x)| {
        *labels[parents[y * width + x]].get_or_insert_with(|| {
            next += 1;
            next - 1
        })
    })
}
