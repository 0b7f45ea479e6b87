//! The nearest of a set of points: a k-d tree in few dimensions, one pass over the points in many.

use std::cmp::Ordering;

use kdtree::KdTree;
use ndarray::{Array1, Array2};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::input::all_finite;
use xai_core::{AsJson, ParamError, Result, Row, Rows, require, same_shape, serde_arrays};

/// The most dimensions in which a tree is built; in more it looks at nearly every point, and one pass is faster.
const TREE_DIMENSIONS: usize = 20;

/// How far two points are apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// The root of the sum of squared differences.
    #[default]
    Euclidean,
    /// The sum of absolute differences.
    Manhattan,
    /// The largest absolute difference.
    Chebyshev,
    /// The `p`-th root of the sum of the `p`-th powers of the absolute differences, `p` finite and at least 1.
    Minkowski(f64),
}

impl Metric {
    /// Requires that the order of a Minkowski distance is one of a metric.
    ///
    /// # Errors
    /// [`ParamError`] unless it is finite and at least 1.
    pub fn validate(&self) -> Result<(), ParamError> {
        let allowed = !matches!(self, Metric::Minkowski(p) if !(1.0..f64::INFINITY).contains(p));
        require(allowed, "metric", "of an order finite and at least 1", AsJson(self))
    }

    /// The distance of two points of the same length.
    #[must_use]
    pub fn between(self, a: &[f64], b: &[f64]) -> f64 {
        self.unreduced(self.reduced(a, b))
    }

    /// A number that grows with the distance and costs less.
    fn reduced(self, a: &[f64], b: &[f64]) -> f64 {
        let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
        match self {
            Metric::Euclidean => differences.map(|difference| difference * difference).sum(),
            Metric::Manhattan => differences.sum(),
            Metric::Chebyshev => differences.fold(0.0, f64::max),
            Metric::Minkowski(p) => differences.map(|difference| difference.powf(p)).sum(),
        }
    }

    /// The distance of a reduced one.
    fn unreduced(self, reduced: f64) -> f64 {
        match self {
            Metric::Euclidean => reduced.sqrt(),
            Metric::Manhattan | Metric::Chebyshev => reduced,
            Metric::Minkowski(p) => reduced.powf(1.0 / p),
        }
    }
}

/// A point and how far away it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbor {
    /// The point's row.
    pub index: usize,
    /// Its distance, at least 0.
    pub distance: f64,
}

/// Points that can be asked for the nearest of them.
///
/// Answers are ordered by distance, and equal distances by the row, so that they are the same whether a tree finds them
/// or a pass over all points.
///
/// # Example
///
/// ```
/// use ndarray::array;
/// use xai_cfproto::neighbors::{Metric, Neighbors};
///
/// let points = Neighbors::new(array![[4.0, 0.0], [5.0, 0.0]], Metric::Euclidean, 40)?;
/// let nearest = points.nearest(&array![1.5, 0.0], 1);
/// assert_eq!((nearest[0].index, nearest[0].distance), (0, 2.5));
/// # Ok::<(), xai_core::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Saved", into = "Saved")]
pub struct Neighbors {
    points: Array2<f64>,
    metric: Metric,
    leaf_size: usize,
    /// Built where it pays; it follows from the points.
    tree: Option<KdTree<f64, usize, Vec<f64>>>,
}

/// What is kept of the points; the tree follows from it.
#[derive(Clone, Serialize, Deserialize)]
struct Saved {
    #[serde(with = "serde_arrays")]
    points: Array2<f64>,
    metric: Metric,
    leaf_size: usize,
}

impl From<Neighbors> for Saved {
    fn from(neighbors: Neighbors) -> Self {
        let Neighbors { points, metric, leaf_size, .. } = neighbors;
        Saved { points, metric, leaf_size }
    }
}

impl TryFrom<Saved> for Neighbors {
    type Error = xai_core::Error;

    fn try_from(saved: Saved) -> Result<Self> {
        Neighbors::new(saved.points, saved.metric, saved.leaf_size)
    }
}

impl PartialEq for Neighbors {
    fn eq(&self, other: &Self) -> bool {
        let settings = |neighbors: &Self| (neighbors.metric, neighbors.leaf_size);
        settings(self) == settings(other) && self.points == other.points
    }
}

impl Neighbors {
    /// Keeps `points`, shape `(n_points, n_dimensions)`; leaves of the tree hold up to `leaf_size` of them, at least 1.
    ///
    /// # Errors
    /// [`Error::NotFinite`](xai_core::Error::NotFinite) for a point, [`Error::Param`](xai_core::Error::Param) for the
    /// metric or the leaf size.
    ///
    /// # Cost
    /// A tree takes `n log n` comparisons; it is built in up to 20 dimensions when there is more than one leaf.
    pub fn new(points: Array2<f64>, metric: Metric, leaf_size: usize) -> Result<Self> {
        metric.validate()?;
        require(0 < leaf_size, "leaf_size", "at least 1", leaf_size)?;
        all_finite("the points", &points)?;
        let pays = leaf_size < points.nrows() && (1..=TREE_DIMENSIONS).contains(&points.ncols());
        let tree = pays.then(|| tree(&points, leaf_size));
        Ok(Neighbors { points, metric, leaf_size, tree })
    }

    /// The points, shape `(n_points, n_dimensions)`.
    #[must_use]
    pub fn points(&self) -> &Rows {
        &self.points
    }

    /// Number of points.
    #[must_use]
    pub fn len(&self) -> usize {
        self.points.nrows()
    }

    /// Whether there is no point.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `k` points nearest to `x`, shape `(n_dimensions,)`, or all where there are fewer.
    ///
    /// # Panics
    /// When `x` has another width than the points or holds a number that is not finite.
    #[must_use]
    pub fn nearest(&self, x: &Row, k: usize) -> Vec<Neighbor> {
        same_shape("the point", &[self.points.ncols()], x.shape()).expect("a point of this width");
        let k = k.min(self.len());
        if k == 0 {
            return Vec::new();
        }
        let (x, metric) = (x.to_vec(), self.metric);
        let distance = |a: &[f64], b: &[f64]| metric.reduced(a, b);
        let mut found: Vec<(f64, usize)> = match &self.tree {
            Some(tree) => {
                // The tree leaves open which of equally distant points it returns: the last distance says how far to
                // look for all of them.
                let nearest = tree.nearest(&x, k, &distance).expect("a finite point of this width");
                let radius = nearest.last().expect("k is at least 1").0;
                // A power may round the distance to a box above that to a point inside it.
                let within = tree.within(&x, radius * (1.0 + 1e-12), &distance);
                let within = within.expect("a finite point of this width");
                within.into_iter().map(|(distance, &index)| (distance, index)).collect()
            }
            None => {
                let reduced = |point: ndarray::ArrayView1<'_, f64>| match point.as_slice() {
                    Some(point) => metric.reduced(&x, point),
                    None => metric.reduced(&x, &point.to_vec()),
                };
                self.points
                    .rows()
                    .into_iter()
                    .map(reduced)
                    .enumerate()
                    .map(|(i, d)| (d, i))
                    .collect()
            }
        };
        let order = |a: &(f64, usize), b: &(f64, usize)| -> Ordering {
            a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
        };
        if k < found.len() {
            found.select_nth_unstable_by(k - 1, order);
            found.truncate(k);
        }
        found.sort_unstable_by(order);
        let neighbor = |(reduced, index)| Neighbor { index, distance: metric.unreduced(reduced) };
        found.into_iter().map(neighbor).collect()
    }

    /// The mean of the points, shape `(n_dimensions,)`; `None` where there is none.
    #[must_use]
    pub fn mean(&self) -> Option<Array1<f64>> {
        self.points.mean_axis(ndarray::Axis(0))
    }
}

fn tree(points: &Rows, leaf_size: usize) -> KdTree<f64, usize, Vec<f64>> {
    let mut tree = KdTree::with_capacity(points.ncols(), leaf_size);
    for (index, point) in points.rows().into_iter().enumerate() {
        tree.add(point.to_vec(), index).expect("finite points of one width");
    }
    tree
}

/// What stands for the distance to `k` neighbors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// The distance to the `k`-th of them.
    #[default]
    Point,
    /// The mean of their distances.
    Mean,
}

impl Spread {
    /// The distance that stands for those of `neighbors`, nearest first; `None` without neighbors.
    #[must_use]
    pub fn of(self, neighbors: &[Neighbor]) -> Option<f64> {
        let last = neighbors.last()?.distance;
        let total: f64 = neighbors.iter().map(|neighbor| neighbor.distance).sum();
        Some(match self {
            Spread::Point => last,
            Spread::Mean => total / neighbors.len() as f64,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use xai_core::Seed;

    /// Points on a coarse lattice, so that many distances are equal.
    fn lattice(n: usize, dimensions: usize) -> Array2<f64> {
        let mut stream = Seed::new(7).stream();
        Array2::from_shape_simple_fn((n, dimensions), || stream.below(4) as f64 * 0.1)
    }

    #[test]
    fn a_tree_and_a_pass_find_the_same_points() {
        let metrics =
            [Metric::Euclidean, Metric::Manhattan, Metric::Chebyshev, Metric::Minkowski(3.0)];
        for dimensions in [1, 2, 5, 20] {
            let points = lattice(300, dimensions);
            let queries = lattice(20, dimensions) * 1.3;
            for metric in metrics {
                let tree = Neighbors::new(points.clone(), metric, 4).unwrap();
                let pass = Neighbors::new(points.clone(), metric, 300).unwrap();
                assert!(tree.tree.is_some() && pass.tree.is_none());
                for query in queries.rows() {
                    for k in [1, 2, 17, 300, 301] {
                        assert_eq!(tree.nearest(&query, k), pass.nearest(&query, k));
                    }
                }
            }
        }
    }

    #[test]
    fn equal_distances_are_ordered_by_the_row() {
        let points = ndarray::array![[1.0], [-1.0], [1.0], [-1.0], [0.5]];
        for leaf_size in [1, 40] {
            let neighbors = Neighbors::new(points.clone(), Metric::Euclidean, leaf_size).unwrap();
            let found = neighbors.nearest(&ndarray::array![0.0], 3);
            assert_eq!(found.iter().map(|n| n.index).collect::<Vec<_>>(), [4, 0, 1]);
        }
    }

    #[test]
    fn high_dimensions_are_searched_in_one_pass() {
        let points = lattice(100, TREE_DIMENSIONS + 1);
        assert!(Neighbors::new(points, Metric::Euclidean, 2).unwrap().tree.is_none());
    }
}
