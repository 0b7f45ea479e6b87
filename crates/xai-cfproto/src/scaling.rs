//! Numbers for categories: an embedding of their distances in the plane, read off along one direction.

use ndarray::{Array2, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::linalg::symmetric_eigen;
use xai_core::{ParamError, Result, Rows, Seed, require, same_shape};

/// The most rounds of majorization, and the relative decrease of the root of the stress that ends them.
const ROUNDS: usize = 5000;
const TOLERANCE: f64 = 1e-9;

/// Random starts beside the classical one; the least stress wins.
const RANDOM_STARTS: u64 = 4;

/// Categories are kept at least this share of the width of the range apart. Chosen by hand.
const GAP: f64 = 1e-3;

/// How distances become numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Scaling {
    /// Distances are raised to this power, in `(0, 1]`; below 1 it evens out the features. Default 1.
    pub smooth: f64,
    /// Whether the numbers of a feature lie around 0. Default true.
    pub center: bool,
    /// Whether the numbers of each feature get mean 0 and standard deviation 1, instead of sharing one range.
    /// Default false.
    pub standardize_cat_vars: bool,
}

impl Default for Scaling {
    fn default() -> Self {
        Scaling { smooth: 1.0, center: true, standardize_cat_vars: false }
    }
}

xai_core::setters! { Scaling {
    with_smooth => smooth: f64,
    with_center => center: bool,
    with_standardize_cat_vars => standardize_cat_vars: bool,
} }

impl Scaling {
    /// Requires a power in `(0, 1]`.
    ///
    /// # Errors
    /// [`ParamError`] when it is not.
    pub fn validate(&self) -> Result<(), ParamError> {
        let allowed = 0.0 < self.smooth && self.smooth <= 1.0;
        require(allowed, "smooth", "above 0 and at most 1", self.smooth)
    }

    /// One number for each category of each feature.
    ///
    /// `distances` holds for each feature the distances of its categories, shape `(n_categories, n_categories)`,
    /// symmetric, finite, at least 0 and 0 on the diagonal; `ranges` the least and the largest number it may get.
    /// The feature with the largest distance fills its range, the others a share of theirs.
    /// No two categories of a feature get the same number.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) for a distance, a range or the power,
    /// [`Error::Shape`](xai_core::Error::Shape) for a matrix that is not square or another number of ranges.
    ///
    /// # Cost
    /// Up to 5000 rounds of `n_categories^2` operations for each of five starts of each feature.
    ///
    /// # Source
    /// Cox and Cox 2008, "Multidimensional scaling"; De Leeuw and Mair 2009, "Multidimensional scaling using
    /// majorization: SMACOF in R".
    pub fn numbers(
        &self,
        distances: &[Array2<f64>],
        ranges: &[(f64, f64)],
    ) -> Result<Vec<Vec<f64>>> {
        let mut numbers = self.tied_numbers(distances, ranges)?;
        for (numbers, (low, high)) in numbers.iter_mut().zip(ranges) {
            separate(numbers, high - low);
        }
        Ok(numbers)
    }

    /// As [`numbers`](Self::numbers), but categories that lie equally far from the origin share one.
    pub(crate) fn tied_numbers(
        &self,
        distances: &[Array2<f64>],
        ranges: &[(f64, f64)],
    ) -> Result<Vec<Vec<f64>>> {
        self.validate()?;
        same_shape("the ranges", &[distances.len()], &[ranges.len()])?;
        for &(low, high) in ranges {
            let allowed = low < high && (high - low).is_finite();
            require(allowed, "feature_range", "finite and ascending", (low, high))?;
        }
        let embed = |distances: &Array2<f64>| {
            distances_from_origin(&distances.mapv(|distance| distance.powf(self.smooth)))
        };
        let embedded = distances.iter().map(embed).collect::<Result<Vec<_>>>()?;
        let largest = embedded.iter().flatten().fold(0.0_f64, |largest, &value| largest.max(value));
        let both = embedded.into_iter().zip(ranges);
        let scaled = both.map(|(values, &(low, high))| self.scale(values, largest, low, high));
        Ok(scaled.collect())
    }

    /// The distances of the categories of a feature from their origin as numbers from `low` to `high`, the `largest`
    /// distance of all features at the latter.
    fn scale(&self, mut values: Vec<f64>, largest: f64, low: f64, high: f64) -> Vec<f64> {
        if self.standardize_cat_vars {
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let variance =
                values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / n;
            values
                .iter_mut()
                .for_each(|value| *value = (*value - mean) / (variance.sqrt() + 1e-12));
            return values;
        }
        // The least distance from an origin is that of the origin itself.
        let share = |value: f64| if 0.0 < largest { value / largest } else { 0.0 };
        values.iter_mut().for_each(|value| *value = share(*value) * (high - low) + low);
        if self.center {
            center(&mut values);
        }
        values
    }
}

/// Moves numbers so that the middle of their range is 0.
pub(crate) fn center(values: &mut [f64]) {
    let (low, high) = extent(values);
    values.iter_mut().for_each(|value| *value -= f64::midpoint(low, high));
}

/// The least and the largest of some numbers, at least one.
pub(crate) fn extent(values: &[f64]) -> (f64, f64) {
    let start = (f64::INFINITY, f64::NEG_INFINITY);
    values.iter().fold(start, |(low, high), &value| (low.min(value), high.max(value)))
}

/// A weighted mean of two numbers for each category, the second turned around first where the two disagree on the
/// direction: which end of an embedding is the origin says nothing.
#[must_use]
pub fn blend(first: &[f64], second: &[f64], weight: f64) -> Vec<f64> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_first, mean_second) = (mean(first), mean(second));
    let covariance: f64 =
        first.iter().zip(second).map(|(a, b)| (a - mean_first) * (b - mean_second)).sum();
    if 0.0 <= covariance {
        return weighted_mean(first, second, weight);
    }
    let (low, high) = extent(second);
    let turned: Vec<f64> = second.iter().map(|value| low + high - value).collect();
    weighted_mean(first, &turned, weight)
}

/// A weighted mean of two numbers for each category.
pub(crate) fn weighted_mean(first: &[f64], second: &[f64], weight: f64) -> Vec<f64> {
    first.iter().zip(second).map(|(a, b)| weight * a + (1.0 - weight) * b).collect()
}

/// Keeps the numbers of the categories of a feature apart; `width` is that of their range.
pub(crate) fn separate(numbers: &mut [f64], width: f64) {
    spread(numbers, GAP * width);
}

/// Moves numbers apart that are closer than `gap`, in their order and that of their categories; the ends stay where
/// there is room between them.
fn spread(values: &mut [f64], gap: f64) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]).then(a.cmp(&b)));
    let is_close = |pair: &[usize]| values[pair[1]] - values[pair[0]] < gap;
    if !order.windows(2).any(is_close) {
        return;
    }
    let (low, high) = extent(values);
    let mut apart: Vec<f64> = order.iter().map(|&index| values[index]).collect();
    for place in 1..apart.len() {
        apart[place] = apart[place].max(apart[place - 1] + gap);
    }
    let last = apart[apart.len() - 1];
    let room = gap * (apart.len() - 1) as f64;
    let squeeze = if room < high - low { (high - low) / (last - low) } else { 1.0 };
    // Without room they lie around the middle of where they were.
    let shift = if room < high - low { 0.0 } else { f64::midpoint(high - last, 0.0) };
    for (place, &index) in order.iter().enumerate() {
        values[index] = low + (apart[place] - low) * squeeze + shift;
    }
}

/// The distance of each category from the one that lies farthest out, in an embedding in the plane.
///
/// Of categories that lie equally far out, to nine digits, the first is the origin.
fn distances_from_origin(distances: &Rows) -> Result<Vec<f64>> {
    let n = distances.nrows();
    same_shape("the distances", &[n, n], distances.shape())?;
    for (&distance, &mirrored) in distances.iter().zip(&distances.t()) {
        let allowed = (0.0..f64::INFINITY).contains(&distance);
        require(allowed, "distances", "finite and at least 0", distance)?;
        let mirrors = (distance - mirrored).abs() <= 1e-12 * distance.abs().max(1.0);
        require(mirrors, "distances", "symmetric", (distance, mirrored))?;
    }
    let mut best = majorize(distances, classical(distances)?);
    let classical_stress = best.stress;
    let mut stream = Seed::new(0).stream();
    for _ in 0..RANDOM_STARTS {
        if classical_stress <= 1e-12 * distances.iter().map(|d| d * d).sum::<f64>() {
            break;
        }
        let largest = distances.iter().fold(0.0_f64, |largest, &d| largest.max(d));
        let start = Array2::from_shape_simple_fn((n, 2), || largest * stream.uniform());
        let other = majorize(distances, start);
        // A better embedding is clearly better; rounding does not choose.
        if other.stress < best.stress * (1.0 - 1e-6) {
            best = other;
        }
    }
    let points = best.points;
    let middle = points.mean_axis(Axis(0)).expect("a feature has a category");
    let norm = |row: usize| (&points.row(row) - &middle).mapv(|d| d * d).sum();
    let norms: Vec<f64> = (0..n).map(norm).collect();
    let farthest = norms.iter().fold(0.0_f64, |farthest, &norm| farthest.max(norm));
    let origin = norms.iter().position(|&norm| (1.0 - 1e-9) * farthest <= norm);
    let origin = origin.expect("the farthest is one of them");
    Ok((0..n).map(|row| between(&points, row, origin)).collect())
}

fn between(points: &Rows, a: usize, b: usize) -> f64 {
    (points[[a, 0]] - points[[b, 0]]).hypot(points[[a, 1]] - points[[b, 1]])
}

/// Points in the plane whose distances have the least squared error to first order: the leading eigenvectors of the
/// doubly centred squared distances (Torgerson 1952).
fn classical(distances: &Rows) -> Result<Array2<f64>> {
    let n = distances.nrows();
    let squared = distances.mapv(|distance| distance * distance);
    let means = squared.mean_axis(Axis(0)).expect("a feature has a category");
    let mean = means.mean().expect("a feature has a category");
    let centred = Array2::from_shape_fn((n, n), |(a, b)| {
        -0.5 * (squared[[a, b]] - means[a] - means[b] + mean)
    });
    let eigen = symmetric_eigen(&centred)?;
    Ok(Array2::from_shape_fn((n, 2), |(row, dimension)| {
        let Some(index) = n.checked_sub(dimension + 1) else { return 0.0 };
        eigen.vectors[[row, index]] * eigen.values[index].max(0.0).sqrt()
    }))
}

struct Embedding {
    points: Array2<f64>,
    /// The sum over the pairs of the squared error of their distance.
    stress: f64,
}

/// Majorization of the stress from a start (De Leeuw 1977): each round multiplies by the Guttman transform.
fn majorize(distances: &Rows, start: Array2<f64>) -> Embedding {
    let n = distances.nrows();
    let stress = |points: &Array2<f64>| {
        let error = |(a, b)| {
            let error: f64 = between(points, a, b) - distances[[a, b]];
            error * error
        };
        (0..n).flat_map(|a| (0..a).map(move |b| (a, b))).map(error).sum::<f64>()
    };
    let mut points = start;
    let mut last = stress(&points);
    let total: f64 = distances.iter().map(|distance| distance * distance).sum();
    for _ in 0..ROUNDS {
        if last <= f64::EPSILON * f64::EPSILON * total {
            break;
        }
        let mut next = Array2::zeros((n, 2));
        for a in 0..n {
            for b in (0..n).filter(|&b| b != a) {
                let distance = between(&points, a, b);
                let ratio = if 0.0 < distance { distances[[a, b]] / distance } else { 0.0 };
                for dimension in 0..2 {
                    let difference = points[[a, dimension]] - points[[b, dimension]];
                    next[[a, dimension]] += ratio * difference / n as f64;
                }
            }
        }
        let current = stress(&next);
        points = next;
        let done = last.sqrt() - current.sqrt() <= TOLERANCE * total.sqrt();
        last = current;
        if done {
            break;
        }
    }
    Embedding { points, stress: last }
}
