//! Distances between the categories of a feature, from what the other columns or the model say of them.

use ndarray::Array2;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::tabular::discretizer::Edges;
use xai_core::tabular::{Encoding, Features, Kind};
use xai_core::{AsJson, ParamError, Result, Rows, require, same_shape};

/// What the reference adds to counts and probabilities that it divides by or takes the logarithm of.
const EPSILON: f64 = 1e-12;

/// Where the distance of two categories comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DistanceType {
    /// From the other columns: how differently they are distributed. [`abdm`].
    #[default]
    Abdm,
    /// From the model: how differently its classes are distributed. [`mvdm`].
    Mvdm,
    /// A weighted mean of the numbers that both give.
    AbdmMvdm,
}

/// How a value that a category never occurs with is counted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Smoothing {
    /// Every value is counted this much more often, finite and above 0.
    Laplace(f64),
    /// Not at all; the logarithms take probabilities that are larger by 1e-12, so that a value that occurs with one of
    /// two categories alone adds up to 27.6 times its probability.
    Epsilon,
}

impl Default for Smoothing {
    /// Half a count, the prior of Jeffreys.
    fn default() -> Self {
        Smoothing::Laplace(0.5)
    }
}

impl Smoothing {
    /// Requires a pseudo-count that is finite and above 0.
    ///
    /// # Errors
    /// [`ParamError`] when it is not.
    pub fn validate(&self) -> Result<(), ParamError> {
        let allowed = match self {
            Smoothing::Laplace(count) => 0.0 < *count && *count < f64::INFINITY,
            Smoothing::Epsilon => true,
        };
        require(allowed, "smoothing", "a pseudo-count finite and above 0", AsJson(self))
    }
}

/// A table whose every column holds codes: categories, and bins of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct CodedTable {
    /// The codes by feature, each of shape `(n_rows,)`.
    codes: Vec<Vec<usize>>,
    /// How many codes each feature has.
    n_codes: Vec<usize>,
}

impl CodedTable {
    /// Reads rows, shape `(n_rows, n_columns)`: categories keep their codes, numbers are put into bins that are cut at
    /// `percentiles`, each in `[0, 100]`.
    ///
    /// # Errors
    /// [`Error::Shape`](xai_core::Error::Shape) and [`Error::Category`](xai_core::Error::Category) for rows that do not
    /// fit the features, [`Error::Param`](xai_core::Error::Param) for the percentiles.
    pub fn new(features: &Features, rows: &Rows, percentiles: &[f64]) -> Result<Self> {
        let coded = features.encode(rows, Encoding::Ordinal)?;
        let mut table = CodedTable { codes: Vec::new(), n_codes: Vec::new() };
        for (feature, column) in features.iter().zip(coded.columns()) {
            match &feature.kind {
                Kind::Numeric => {
                    let edges = Edges::percentiles(&column, percentiles)?;
                    table.codes.push(column.iter().map(|&value| edges.bin(value)).collect());
                    table.n_codes.push(edges.len() + 1);
                }
                Kind::Categorical { categories, .. } => {
                    #[allow(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "checked to be codes by `encode`"
                    )]
                    table.codes.push(column.iter().map(|&code| code as usize).collect());
                    table.n_codes.push(categories.len());
                }
            }
        }
        Ok(table)
    }

    /// The codes of a feature, shape `(n_rows,)`.
    ///
    /// # Panics
    /// When there is no such feature.
    #[must_use]
    pub fn codes(&self, feature: usize) -> &[usize] {
        &self.codes[feature]
    }

    /// How many codes a feature has: its categories, or its bins.
    ///
    /// # Panics
    /// When there is no such feature.
    #[must_use]
    pub fn n_codes(&self, feature: usize) -> usize {
        self.n_codes[feature]
    }
}

/// The association-based distance of the categories of a feature, shape `(n_codes, n_codes)`: the sum over the other
/// features of the symmetric Kullback-Leibler divergence of their distributions beside two categories, in nats.
///
/// Features of one code say nothing and add nothing; with no other feature all distances are 0.
///
/// # Errors
/// [`Error::Param`](xai_core::Error::Param) for the feature or the pseudo-count.
///
/// # Source
/// Le and Ho 2005, "An association-based dissimilarity measure for categorical data", Pattern Recognition Letters 26,
/// with the symmetric divergence.
pub fn abdm(table: &CodedTable, feature: usize, smoothing: Smoothing) -> Result<Array2<f64>> {
    smoothing.validate()?;
    let n_features = table.codes.len();
    require(feature < n_features, "feature", format!("below {n_features}"), feature)?;
    let n = table.n_codes[feature];
    let mut distances = Array2::zeros((n, n));
    for other in (0..n_features).filter(|&other| other != feature) {
        let counts = count(&table.codes[feature], n, &table.codes[other], table.n_codes[other]);
        let (numerator, denominator, within_logarithm) = match smoothing {
            Smoothing::Laplace(extra) => (extra, extra * table.n_codes[other] as f64, 0.0),
            Smoothing::Epsilon => (0.0, EPSILON, EPSILON),
        };
        let probabilities = proportions(&counts, numerator, denominator);
        for a in 0..n {
            for b in 0..a {
                let pairs = probabilities.row(a).into_iter().zip(probabilities.row(b));
                let divergence: f64 = pairs
                    .map(|(&p, &q)| {
                        let (raised_p, raised_q) = (p + within_logarithm, q + within_logarithm);
                        p * (raised_p / raised_q).ln() + q * (raised_q / raised_p).ln()
                    })
                    .sum();
                distances[[a, b]] += divergence;
                distances[[b, a]] += divergence;
            }
        }
    }
    Ok(distances)
}

/// The modified value difference of the categories of a feature, shape `(n_codes, n_codes)`, each in `[0, 2]`: the sum
/// over the classes of the difference of their shares among the rows of two categories.
///
/// `labels` holds the model's class of each row, shape `(n_rows,)`, each below `n_classes`.
/// A category without rows has no shares and is 1 away from those that have some.
///
/// # Errors
/// [`Error::Shape`](xai_core::Error::Shape) for the labels, [`Error::Param`](xai_core::Error::Param) for the feature or a
/// label out of range.
///
/// # Source
/// Cost and Salzberg 1993, "A weighted nearest neighbor algorithm for learning with symbolic features", Machine Learning
/// 10, equation 1 with `k = 1`.
pub fn mvdm(
    table: &CodedTable,
    feature: usize,
    labels: &[usize],
    n_classes: usize,
) -> Result<Array2<f64>> {
    let n_features = table.codes.len();
    require(feature < n_features, "feature", format!("below {n_features}"), feature)?;
    let (codes, n) = (&table.codes[feature], table.n_codes[feature]);
    same_shape("the labels", &[codes.len()], &[labels.len()])?;
    for &label in labels {
        require(label < n_classes, "labels", format!("below {n_classes}"), label)?;
    }
    let shares = proportions(&count(codes, n, labels, n_classes), 0.0, EPSILON);
    Ok(Array2::from_shape_fn((n, n), |(a, b)| {
        let pairs = shares.row(a).into_iter().zip(shares.row(b));
        pairs.map(|(p, q)| (p - q).abs()).sum()
    }))
}

/// How often each code of one column stands beside each of another, shape `(n_codes, n_other_codes)`.
fn count(codes: &[usize], n: usize, others: &[usize], n_others: usize) -> Array2<f64> {
    let mut counts = Array2::zeros((n, n_others));
    for (&code, &other) in codes.iter().zip(others) {
        counts[[code, other]] += 1.0;
    }
    counts
}

/// The counts of each row over their sum, each raised first.
fn proportions(counts: &Rows, numerator: f64, denominator: f64) -> Array2<f64> {
    let mut proportions = counts.to_owned();
    for mut row in proportions.rows_mut() {
        let total = row.sum() + denominator;
        row.mapv_inplace(|count| (count + numerator) / total);
    }
    proportions
}
