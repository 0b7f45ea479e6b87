//! SLIC: superpixels as the clusters of a k-means in space and colour.

use ndarray::{Array2, Array3, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::{ParamError, Params, Result, require};

use super::checks::{check_image, check_sigma};
use super::color::lab;
use super::pixels::Image;
use super::smoothing::smooth;

/// Settings of [`slic`], named as in scikit-image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Slic {
    /// About how many superpixels there shall be, at least 1; the grid of their first centres decides. Default 10.
    pub n_segments: usize,
    /// How much space counts against colour, finite and above 0: large for squares, small for shapes. Symbol m.
    /// Default 10.
    pub compactness: f64,
    /// The standard deviation, in pixels, of the Gaussian that smooths the image first; `0..=1000`. Default 0.5.
    pub sigma: f64,
    /// Rounds of the k-means, at least 1. Default 10.
    pub max_num_iter: usize,
}

impl Default for Slic {
    fn default() -> Self {
        Slic { n_segments: 10, compactness: 10.0, sigma: 0.5, max_num_iter: 10 }
    }
}

impl Params for Slic {
    fn validate(&self) -> Result<(), ParamError> {
        require(1 <= self.n_segments, "n_segments", "at least 1", self.n_segments)?;
        let compact = self.compactness;
        let allowed = 0.0 < compact && compact.is_finite();
        require(allowed, "compactness", "finite and above 0", compact)?;
        check_sigma(self.sigma)?;
        require(1 <= self.max_num_iter, "max_num_iter", "at least 1", self.max_num_iter)
    }
}

/// The superpixel of each pixel, shape `(height, width)`: labels from 0 without gaps, in the order in which a reader
/// meets them.
///
/// `image` has the shape `(height, width, channels)`; three channels are sRGB and compared in CIE Lab, any other number
/// is compared as it is. Its values are first spread over `[0, 1]`, so that their scale does not matter.
/// The labels are those of scikit-image's `slic` with `start_label=0`; the one difference possible is a pixel at equal
/// distance from two centres up to rounding.
///
/// # Errors
/// [`Error::Param`](xai_core::Error::Param) for settings out of range or an empty image,
/// [`Error::NotFinite`](xai_core::Error::NotFinite) for a pixel.
///
/// # Source
/// Achanta et al. 2012, "SLIC superpixels compared to state-of-the-art superpixel methods", IEEE TPAMI 34, algorithm 1.
pub fn slic(image: &Image, params: &Slic) -> Result<Array2<usize>> {
    params.validate()?;
    check_image(image)?;
    let (height, width, channels) = image.dim();
    let spread = spread(image);
    let colors = if channels == 3 { lab(&spread) } else { spread };
    let colors = smooth(&colors, params.sigma) * (1.0 / params.compactness);
    let [rows, columns] = seeds((height, width), params.n_segments);
    // The windows follow the grid of as many points as there are seeds, which may be another one.
    let windows = seeds((height, width), rows.count(height) * columns.count(width));
    let clusters = Clusters::new((rows, height), (columns, width), channels);
    let n_seeds = clusters.centers.len();
    let nearest = clusters.assign(&colors, windows, params.max_num_iter);
    Ok(connected(&nearest, n_seeds))
}

/// Values from 0 to 1; all 0 for a constant image.
fn spread(image: &Image) -> Array3<f64> {
    let min = image.fold(f64::INFINITY, |min, &value| min.min(value));
    let max = image.fold(f64::NEG_INFINITY, |max, &value| max.max(value));
    let mut spread = image.as_standard_layout().into_owned();
    spread -= min;
    if min < max {
        spread /= max - min;
    }
    spread
}

/// Regular places along one axis.
#[derive(Clone, Copy)]
struct Places {
    start: usize,
    step: usize,
}

impl Places {
    fn along(self, len: usize) -> impl Iterator<Item = usize> {
        (self.start..len).step_by(self.step)
    }

    fn count(self, len: usize) -> usize {
        self.along(len).count()
    }
}

/// A square grid of about `n` points, along both axes; where the image is too narrow for that, a line.
fn seeds((height, width): (usize, usize), n: usize) -> [Places; 2] {
    if height * width <= n {
        return [Places { start: 0, step: 1 }; 2];
    }
    let side = ((height * width) as f64 / n as f64).sqrt();
    let (narrow, wide) = (height.min(width) as f64, height.max(width) as f64);
    let steps = match narrow < side {
        false => [side, side],
        true if height <= width => [narrow, wide / n as f64],
        true => [wide / n as f64, narrow],
    };
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "steps are between 1 and the length of an axis"
    )]
    let places = |step: f64| Places {
        start: (step / 2.0).floor() as usize,
        step: step.round_ties_even() as usize,
    };
    steps.map(places)
}

/// The k-means.
struct Clusters {
    /// Row, column and colour of each centre; `None` for a cluster that has lost all its pixels.
    centers: Vec<Option<Vec<f64>>>,
    /// One over the square of the distance between seeds, symbol S.
    space: f64,
}

impl Clusters {
    fn new(rows: (Places, usize), columns: (Places, usize), channels: usize) -> Self {
        let mut centers = Vec::new();
        for row in rows.0.along(rows.1) {
            for column in columns.0.along(columns.1) {
                let mut center = vec![0.0; 2 + channels];
                (center[0], center[1]) = (row as f64, column as f64);
                centers.push(Some(center));
            }
        }
        let side = rows.0.step.max(columns.0.step) as f64;
        Clusters { centers, space: 1.0 / (side * side) }
    }

    fn assign(mut self, colors: &Image, windows: [Places; 2], n_rounds: usize) -> Array2<usize> {
        let (height, width, channels) = colors.dim();
        let numbers = colors.as_slice().expect("smoothing lays out what it gives");
        let mut nearest = Array2::zeros((height, width));
        let mut distances = Array2::zeros((height, width));
        for _ in 0..n_rounds {
            distances.fill(f64::INFINITY);
            for (cluster, center) in self.centers.iter().enumerate() {
                let Some(center) = center else { continue };
                for y in window(center[0], windows[0].step, height) {
                    let dy = center[0] - y as f64;
                    for x in window(center[1], windows[1].step, width) {
                        let dx = center[1] - x as f64;
                        let pixel = &numbers[(y * width + x) * channels..][..channels];
                        let color: f64 =
                            pixel.iter().zip(&center[2..]).map(|(a, b)| (a - b) * (a - b)).sum();
                        let distance = (dy * dy + dx * dx) * self.space + color;
                        if distance < distances[[y, x]] {
                            distances[[y, x]] = distance;
                            nearest[[y, x]] = cluster;
                        }
                    }
                }
            }
            self.recenter(colors, &nearest);
        }
        nearest
    }

    /// Moves each centre to the mean of its pixels.
    fn recenter(&mut self, colors: &Image, nearest: &Array2<usize>) {
        let width = 2 + colors.len_of(Axis(2));
        let mut sums = vec![(0.0, vec![0.0; width]); self.centers.len()];
        for ((y, x), &cluster) in nearest.indexed_iter() {
            let (count, sum) = &mut sums[cluster];
            *count += 1.0;
            sum[0] += y as f64;
            sum[1] += x as f64;
            let pixel = colors.slice(ndarray::s![y, x, ..]);
            sum[2..].iter_mut().zip(pixel).for_each(|(sum, value)| *sum += value);
        }
        let mean = |(count, sum): (f64, Vec<f64>)| {
            (0.0 < count).then(|| sum.into_iter().map(|sum| sum / count).collect())
        };
        self.centers = sums.into_iter().map(mean).collect();
    }
}

/// The pixels of an axis within two steps of a centre.
fn window(center: f64, step: usize, len: usize) -> std::ops::Range<usize> {
    let reach = 2.0 * step as f64;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the length of the axis"
    )]
    let bounds =
        ((center - reach).max(0.0) as usize, (center + reach + 1.0).min(len as f64) as usize);
    bounds.0..bounds.1
}

/// Superpixels in one piece: pieces that are too small go to a neighbour, and those that are too large are cut.
fn connected(nearest: &Array2<usize>, n_seeds: usize) -> Array2<usize> {
    let (height, width) = nearest.dim();
    let average = (height * width) as f64 / n_seeds as f64;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most three times the number of pixels"
    )]
    let (least, most) = ((0.5 * average) as usize, (3.0 * average) as usize);
    let mut labels = Array2::from_elem((height, width), None);
    let mut next = 0;
    for seed in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        if labels[seed].is_some() {
            continue;
        }
        labels[seed] = Some(next);
        let mut neighbor = next;
        let mut piece = vec![seed];
        let mut visited = 0;
        while visited < piece.len() && piece.len() < most {
            let (y, x) = piece[visited];
            let around = [(y, x + 1), (y, x.wrapping_sub(1)), (y + 1, x), (y.wrapping_sub(1), x)];
            for place in around.into_iter().filter(|&(y, x)| y < height && x < width) {
                match labels[place] {
                    None if nearest[place] == nearest[seed] => {
                        labels[place] = Some(next);
                        piece.push(place);
                        if piece.len() == most {
                            break;
                        }
                    }
                    Some(other) if other != next => neighbor = other,
                    _ => {}
                }
            }
            visited += 1;
        }
        if piece.len() < least {
            piece.into_iter().for_each(|place| labels[place] = Some(neighbor));
        } else {
            next += 1;
        }
    }
    labels.mapv(|label| label.expect("each pixel was a seed or reached from one"))
}
