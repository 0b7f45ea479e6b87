//! A table summarised by the means of clusters of its rows.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayView1, Axis};
use smartcore::cluster::kmeans::{KMeans, KMeansParameters};
use smartcore::linalg::basic::matrix::DenseMatrix;
use xai_core::{ParamError, Row, Rows, Seed, require};

use crate::background::canonical_bits;

/// The clusterings tried, of which the tightest is taken.
const RESTARTS: u64 = 10;

/// At most `n` rows for all, and their weights, of sum 1: the weighted means of clusters, in the order of their first
/// members, each with the weight of its members. With no more than `n` distinct rows it is these, as they are.
///
/// A cell that is NaN counts as the mean of its column. `round` takes each number of a mean to the nearest in its
/// column, the smaller of two.
///
/// # Errors
/// [`ParamError`] when there are fewer than `n` rows.
pub(crate) fn k_means(
    rows: &Rows,
    weights: &[f64],
    n: usize,
    round: bool,
    seed: Seed,
) -> Result<(Array2<f64>, Vec<f64>), ParamError> {
    let rule = || format!("at most the number of rows, {}", rows.nrows());
    require(n <= rows.nrows(), "n_background_samples", rule(), n)?;
    // Rows without weight are no rows.
    let counted: Vec<usize> = (0..rows.nrows()).filter(|&row| 0.0 < weights[row]).collect();
    let rows = rows.select(Axis(0), &counted);
    let total: f64 = counted.iter().map(|&row| weights[row]).sum();
    let weights: Vec<f64> = counted.iter().map(|&row| weights[row] / total).collect();

    let distinct = distinct(&rows);
    if distinct.iter().max().is_none_or(|&last| last < n) {
        let clusters = members(&distinct);
        let firsts: Vec<usize> = clusters.iter().map(|cluster| cluster[0]).collect();
        return Ok((rows.select(Axis(0), &firsts), sums(&clusters, &weights)));
    }
    let complete = complete(&rows, &weights);
    let clusters = clusters(&complete, &weights, n, seed);
    let mut means = means(&complete, &weights, &clusters);
    for (mut means, column) in means.columns_mut().into_iter().zip(rows.columns()) {
        let mut known: Vec<f64> = column.iter().copied().filter(|value| !value.is_nan()).collect();
        known.sort_unstable_by(f64::total_cmp);
        match known.is_empty() {
            // Of a column without a number nothing is known.
            true => means.fill(f64::NAN),
            false if round => means.mapv_inplace(|mean| nearest(&known, mean)),
            false => {}
        }
    }
    Ok((means, sums(&clusters, &weights)))
}

/// The number of each row among the distinct rows, in the order of their first appearance.
fn distinct(rows: &Rows) -> Vec<usize> {
    let mut known: BTreeMap<Vec<u64>, usize> = BTreeMap::new();
    let number = |row: ArrayView1<'_, f64>| {
        let next = known.len();
        *known.entry(row.iter().map(|&value| canonical_bits(value)).collect()).or_insert(next)
    };
    rows.rows().into_iter().map(number).collect()
}

/// The members of each cluster that has some, clusters in the order of their first members.
fn members(labels: &[usize]) -> Vec<Vec<usize>> {
    let mut clusters: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (row, &label) in labels.iter().enumerate() {
        clusters.entry(label).or_default().push(row);
    }
    let mut clusters: Vec<Vec<usize>> = clusters.into_values().collect();
    clusters.sort_unstable_by_key(|cluster| cluster[0]);
    clusters
}

fn sums(clusters: &[Vec<usize>], weights: &[f64]) -> Vec<f64> {
    clusters.iter().map(|cluster| cluster.iter().map(|&row| weights[row]).sum()).collect()
}

/// The rows with the mean of its column in each cell that is NaN; 0 where there is no other number.
fn complete(rows: &Rows, weights: &[f64]) -> Array2<f64> {
    let mut complete = rows.to_owned();
    for mut column in complete.columns_mut() {
        let known: Vec<usize> = (0..column.len()).filter(|&row| !column[row].is_nan()).collect();
        if known.len() < column.len() {
            let mean = if known.is_empty() { 0.0 } else { mean(&column, weights, &known) };
            column.mapv_inplace(|value| if value.is_nan() { mean } else { value });
        }
    }
    complete
}

/// The weighted mean of some numbers, to the bit where they are equal.
fn mean(column: &Row, weights: &[f64], members: &[usize]) -> f64 {
    let first = column[members[0]];
    let total: f64 = members.iter().map(|&row| weights[row]).sum();
    let excess = members.iter().map(|&row| weights[row] / total * (column[row] - first));
    first + excess.sum::<f64>()
}

fn means(rows: &Rows, weights: &[f64], clusters: &[Vec<usize>]) -> Array2<f64> {
    Array2::from_shape_fn((clusters.len(), rows.ncols()), |(cluster, column)| {
        mean(&rows.column(column), weights, &clusters[cluster])
    })
}

/// The tightest of several clusterings into at most `n` parts: the one with the least weighted squared distance from
/// the means, the first of equals.
///
/// # Source
/// Arthur and Vassilvitskii 2007, "k-means++: the advantages of careful seeding". The clusters are those of rows of
/// equal weight.
fn clusters(rows: &Rows, weights: &[f64], n: usize, seed: Seed) -> Vec<Vec<usize>> {
    if n == 1 {
        return vec![(0..rows.nrows()).collect()];
    }
    // The crate divides space down to boxes of 1e-10, so numbers must be of order 1. A power of two rounds nothing.
    let largest = rows.fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let unit = power_of_two_above(largest);
    let scaled = rows.mapv(|value| value / unit);
    let (n_rows, n_columns) = scaled.dim();
    let cells = scaled.iter().copied().collect();
    let table = DenseMatrix::new(n_rows, n_columns, cells, false).expect("as many cells as that");
    let mut best: Option<(f64, Vec<Vec<usize>>)> = None;
    for restart in 0..RESTARTS {
        let seed = Some(seed.child(restart).stream().bits());
        let parameters = KMeansParameters { k: n, max_iter: 300, seed };
        let labels: Vec<usize> = KMeans::<f64, usize, _, Vec<usize>>::fit(&table, parameters)
            .and_then(|fitted| fitted.predict(&table))
            .expect("at least two clusters");
        let clusters = members(&labels);
        let spread = spread(&scaled, weights, &clusters);
        if best.as_ref().is_none_or(|(least, _)| spread < *least) {
            best = Some((spread, clusters));
        }
    }
    best.expect("at least one clustering").1
}

/// The least power of two that is not below `value`, of those that have an inverse.
fn power_of_two_above(value: f64) -> f64 {
    let mut powers = (-1022..=1023).map(|exponent| 2.0_f64.powi(exponent));
    powers.find(|&power| value <= power).unwrap_or(2.0_f64.powi(1023))
}

/// The weighted mean of the squared distances of rows from the means of their clusters.
fn spread(rows: &Rows, weights: &[f64], clusters: &[Vec<usize>]) -> f64 {
    let means = means(rows, weights, clusters);
    let from_mean = |(members, mean): (&Vec<usize>, ArrayView1<'_, f64>)| {
        let distance = |&row: &usize| {
            let differences: Array1<f64> = &rows.row(row) - &mean;
            weights[row] * differences.dot(&differences)
        };
        members.iter().map(distance).sum::<f64>()
    };
    clusters.iter().zip(means.rows()).map(from_mean).sum()
}

/// The number nearest to `value` in a sorted list, the smaller of two.
fn nearest(sorted: &[f64], value: f64) -> f64 {
    let above = sorted.partition_point(|&known| known < value);
    match (above.checked_sub(1).map(|below| sorted[below]), sorted.get(above)) {
        (Some(below), Some(&above)) if above - value < value - below => above,
        (Some(below), _) => below,
        (None, above) => *above.expect("a list with numbers"),
    }
}
