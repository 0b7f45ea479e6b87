//! The trust score: how much farther another class is than the predicted one.

use ndarray::{Array1, ArrayView1, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::decision::argmax;
use xai_core::input::all_finite;
use xai_core::tabular::discretizer::Edges;
use xai_core::{ParamError, Params, Result, Rows, Warning, require, same_shape};

use crate::neighbors::{Metric, Neighbors, Spread};

/// What the reference adds to a distance that it divides by.
const OWN_DISTANCE_FLOOR: f64 = 1e-12;

/// Settings of [`TrustScore`]. Names follow alibi's `TrustScore`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TrustScoreParams {
    /// Neighbors that a filter looks at, at least 1. Default 10.
    pub k_filter: usize,
    /// The share of rows that a filter drops, in `[0, 1)`. Default 0.
    pub alpha: f64,
    /// Which rows are dropped before classes are compared. Default `None`: none.
    pub filter_type: Option<Filter>,
    /// The most points in a leaf of the trees, at least 1. It changes the time and nothing else. Default 40.
    pub leaf_size: usize,
    /// How far two rows are apart. Default Euclidean.
    pub metric: Metric,
    /// The distance that [`Filter::DistanceKnn`] judges: to the `k_filter`-th neighbor, or the mean to them all.
    /// Default `"point"`.
    pub dist_filter_type: Spread,
}

xai_core::setters! { TrustScoreParams {
    with_k_filter => k_filter: usize,
    with_alpha => alpha: f64,
    with_filter_type => filter_type: Option<Filter>,
    with_leaf_size => leaf_size: usize,
    with_metric => metric: Metric,
    with_dist_filter_type => dist_filter_type: Spread,
} }

/// Which rows are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Filter {
    /// In each class the rows that are farthest from their neighbors in the class.
    #[serde(alias = "distance_knn")]
    DistanceKnn,
    /// The rows whose neighbors of all classes agree least; those that agree as much as the last one stay.
    #[serde(alias = "probability_knn")]
    ProbabilityKnn,
}

impl Default for TrustScoreParams {
    fn default() -> Self {
        TrustScoreParams {
            k_filter: 10,
            alpha: 0.0,
            filter_type: None,
            leaf_size: 40,
            metric: Metric::Euclidean,
            dist_filter_type: Spread::Point,
        }
    }
}

impl Params for TrustScoreParams {
    fn validate(&self) -> Result<(), ParamError> {
        require(0 < self.k_filter, "k_filter", "at least 1", self.k_filter)?;
        require((0.0..1.0).contains(&self.alpha), "alpha", "in [0, 1)", self.alpha)?;
        require(0 < self.leaf_size, "leaf_size", "at least 1", self.leaf_size)?;
        self.metric.validate()
    }
}

impl TrustScoreParams {
    /// Sorts rows, shape `(n_rows, n_features)`, into `n_classes` classes by their `labels`, shape `(n_rows,)`, and
    /// drops those that the filter names. An image is a row of its pixels.
    ///
    /// Classes without rows are left out, with a warning.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) for a setting outside its range and for a label that is no class,
    /// [`Error::Shape`](xai_core::Error::Shape), [`Error::NotFinite`](xai_core::Error::NotFinite).
    ///
    /// # Cost
    /// A tree for each class; with a filter a search for the neighbors of each row.
    pub fn fit(self, rows: &Rows, labels: &[usize], n_classes: usize) -> Result<TrustScore> {
        let params = self.check()?;
        let mut warnings = Vec::new();
        let mut members = by_class(rows, labels, n_classes)?;
        match params.filter_type {
            None => {}
            Some(Filter::DistanceKnn) => {
                for class in &mut members {
                    params.drop_remote(rows, class)?;
                }
            }
            Some(Filter::ProbabilityKnn) => {
                let kept = params.agreeing(rows, labels, n_classes)?;
                for class in &mut members {
                    class.retain(|&row| kept[row]);
                }
            }
        }
        let mut classes = Vec::with_capacity(n_classes);
        for (class, members) in members.iter().enumerate() {
            if members.is_empty() {
                let message = format!("class {class} has no rows and is left out");
                warnings.push(Warning { code: "cfproto.empty_class".to_owned(), message });
            }
            let points = rows.select(Axis(0), members);
            let neighbors = (!members.is_empty())
                .then(|| Neighbors::new(points, params.metric, params.leaf_size));
            classes.push(neighbors.transpose()?);
        }
        Ok(TrustScore { classes, warnings })
    }

    /// Keeps the members of a class that are no farther from their neighbors than the percentile `100 (1 - alpha)`.
    fn drop_remote(&self, rows: &Rows, members: &mut Vec<usize>) -> Result<()> {
        if members.len() < 2 {
            return Ok(());
        }
        let points = rows.select(Axis(0), members);
        let neighbors = Neighbors::new(points, self.metric, self.leaf_size)?;
        let distance = |row: &usize| {
            // The row itself, or one equal to it, comes first.
            let found = neighbors.nearest(&rows.row(*row), self.k_filter + 1);
            self.dist_filter_type.of(&found[1..]).expect("another member of the class")
        };
        let distances: Vec<f64> = members.iter().map(distance).collect();
        let cutoff = percentile(&distances, (1.0 - self.alpha) * 100.0)?;
        let mut distances = distances.iter();
        members.retain(|_| distances.next().is_some_and(|&distance| distance <= cutoff));
        Ok(())
    }

    /// Whether the neighbors of each row agree on a class at least as much as the percentile `100 alpha`.
    fn agreeing(&self, rows: &Rows, labels: &[usize], n_classes: usize) -> Result<Vec<bool>> {
        let neighbors = Neighbors::new(rows.to_owned(), self.metric, self.leaf_size)?;
        let share = |row: ArrayView1<'_, f64>| {
            let found = neighbors.nearest(&row, self.k_filter);
            let mut votes = vec![0_u32; n_classes];
            for neighbor in &found {
                votes[labels[neighbor.index]] += 1;
            }
            f64::from(votes.into_iter().max().unwrap_or(0)) / found.len() as f64
        };
        let shares: Vec<f64> = rows.rows().into_iter().map(share).collect();
        let cutoff = percentile(&shares, self.alpha * 100.0)?;
        Ok(shares.iter().map(|&share| cutoff <= share).collect())
    }
}

/// A percentile of values, at least one, interpolated linearly.
fn percentile(values: &[f64], percentile: f64) -> Result<f64> {
    let values = Array1::from(values.to_vec());
    let edges = Edges::percentiles(&values, &[percentile.clamp(0.0, 100.0)])?;
    Ok(edges.as_slice()[0])
}

/// The rows of each class.
pub(crate) fn by_class(rows: &Rows, labels: &[usize], n_classes: usize) -> Result<Vec<Vec<usize>>> {
    all_finite("the rows", rows)?;
    require(0 < n_classes, "classes", "at least 1", n_classes)?;
    same_shape("the labels", &[rows.nrows()], &[labels.len()])?;
    let mut members = vec![Vec::new(); n_classes];
    for (row, &label) in labels.iter().enumerate() {
        require(label < n_classes, "labels", format!("below {n_classes}"), label)?;
        members[label].push(row);
    }
    Ok(members)
}

/// The class of each row of outputs, shape `(n_rows, n_classes)`: the largest of them, the first of equals.
#[must_use]
pub fn labels(outputs: &Rows) -> Vec<usize> {
    outputs.rows().into_iter().map(|row| argmax(&row)).collect()
}

/// Rows by class, that know how far a row is from each. Made by [`TrustScoreParams::fit`].
///
/// # Example
///
/// ```
/// use ndarray::array;
/// use xai_cfproto::trust::TrustScoreParams;
/// use xai_cfproto::neighbors::Spread;
///
/// let rows = array![[0.0, 0.0], [1.0, 0.0], [4.0, 0.0], [5.0, 0.0]];
/// let trust = TrustScoreParams::default().fit(&rows, &[0, 0, 1, 1], 2)?;
/// let scores = trust.score(&array![[1.5, 0.0]], &[0], 1, Spread::Point)?;
/// // Class 1 is 2.5 away, class 0 only 0.5.
/// assert!((scores.scores[0] - 5.0).abs() < 1e-9);
/// assert_eq!(scores.closest_not_predicted, [1]);
/// # Ok::<(), xai_core::Error>(())
/// ```
///
/// # Source
/// Jiang, Kim, Guan and Gupta 2018, "To trust or not to trust a classifier", algorithm 1 and section 3.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrustScore {
    /// One for each class, where it has rows.
    classes: Vec<Option<Neighbors>>,
    warnings: Vec<Warning>,
}

/// The trust scores of some rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// The distance to the nearest other class over that to the predicted one, at least 0, shape `(n_rows,)`.
    pub scores: Array1<f64>,
    /// That other class, the first of equals, shape `(n_rows,)`.
    pub closest_not_predicted: Vec<usize>,
}

impl TrustScore {
    /// The rows of each class that the filter kept; `None` for a class without rows.
    #[must_use]
    pub fn classes(&self) -> &[Option<Neighbors>] {
        &self.classes
    }

    pub(crate) fn into_classes(self) -> Vec<Option<Neighbors>> {
        self.classes
    }

    /// Warnings about the fit: classes that have no rows.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The scores of rows, shape `(n_rows, n_features)`, that a model puts into the classes `predictions`, shape
    /// `(n_rows,)`. A distance to a class is that to its `k`-th nearest row, `k` at least 1, or the mean of the `k`
    /// nearest; a class with fewer rows is judged by all of them.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) for `k`, for a prediction that is no class or one without rows, and when
    /// no other class has rows; [`Error::Shape`](xai_core::Error::Shape), [`Error::NotFinite`](xai_core::Error::NotFinite).
    ///
    /// # Cost
    /// A search for `k` neighbors in each class.
    pub fn score(
        &self,
        rows: &Rows,
        predictions: &[usize],
        k: usize,
        dist_type: Spread,
    ) -> Result<Scores> {
        require(0 < k, "k", "at least 1", k)?;
        all_finite("the rows", rows)?;
        same_shape("the predictions", &[rows.nrows()], &[predictions.len()])?;
        let width = self.classes.iter().flatten().map(|class| class.points().ncols()).next();
        let width = width.unwrap_or(rows.ncols());
        same_shape("the rows", &[rows.nrows(), width], rows.shape())?;
        let mut scores = Scores {
            scores: Array1::zeros(rows.nrows()),
            closest_not_predicted: Vec::with_capacity(rows.nrows()),
        };
        for (index, (row, &own)) in rows.rows().into_iter().zip(predictions).enumerate() {
            let has_rows = self.classes.get(own).is_some_and(Option::is_some);
            require(has_rows, "predictions", "classes with rows", own)?;
            let distance = |class: &Option<Neighbors>| {
                class.as_ref().and_then(|class| dist_type.of(&class.nearest(&row, k)))
            };
            let distances: Vec<Option<f64>> = self.classes.iter().map(distance).collect();
            let others = (0..distances.len()).filter(|&class| class != own);
            let nearest = others
                .filter_map(|class| distances[class].map(|distance| (class, distance)))
                .reduce(|best, other| if other.1 < best.1 { other } else { best });
            let (Some((class, distance)), Some(own)) = (nearest, distances[own]) else {
                require(false, "classes", "at least two with rows", 1)?;
                continue;
            };
            scores.scores[index] = distance / (own + OWN_DISTANCE_FLOOR);
            scores.closest_not_predicted.push(class);
        }
        Ok(scores)
    }
}
