//! A table summarised by the means of clusters of its rows.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayView1, Axis};
use xai_core::{ParamError, Row, Rows, Seed, Stream, parallel, require};

use crate::rows::canonical_bits;

/// The clusterings tried, of which the tightest is taken.
const RESTARTS: usize = 10;

/// The most times that the centres of a clustering move.
const MAX_MOVES: usize = 300;

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
    let rule = format_args!("at most the number of rows, {}", rows.nrows());
    require(n <= rows.nrows(), "n_background_samples", rule, n)?;
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
fn clusters(rows: &Rows, weights: &[f64], n: usize, seed: Seed) -> Vec<Vec<usize>> {
    // In units in which no square is out of range. A power of two rounds nothing.
    let largest = rows.fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let unit = power_of_two_above(largest);
    let scaled = rows.mapv(|value| value / unit);
    let attempt = |restart: usize| {
        let mut stream = seed.child(restart as u64).stream();
        let mut clustering = Clustering::seeded(&scaled, weights, n, &mut stream);
        let mut moves = 0;
        while moves < MAX_MOVES && clustering.improve() {
            moves += 1;
        }
        let clusters = members(&clustering.labels);
        (spread(&scaled, weights, &clusters), clusters)
    };
    let tighter = |best: (f64, Vec<Vec<usize>>), other: (f64, Vec<Vec<usize>>)| {
        if other.0 < best.0 { other } else { best }
    };
    let attempts = parallel::map(0..RESTARTS, attempt);
    attempts.into_iter().reduce(tighter).expect("at least one clustering").1
}

/// Rows and the centres that they belong to.
struct Clustering<'a> {
    rows: &'a Rows,
    weights: &'a [f64],
    /// Shape `(n_clusters, n_columns)`.
    centres: Array2<f64>,
    /// For each row the index of its centre.
    labels: Vec<usize>,
}

impl<'a> Clustering<'a> {
    /// Centres drawn from the rows one after the other, each row with a probability in proportion to its weight and its
    /// squared distance from the nearest centre so far. There are fewer than `n` when every row is a centre.
    ///
    /// # Source
    /// Arthur and Vassilvitskii 2007, "k-means++: the advantages of careful seeding", section 2.2; each row counts as
    /// often as its weight says.
    fn seeded(rows: &'a Rows, weights: &'a [f64], n: usize, stream: &mut Stream) -> Self {
        let mut chosen = vec![draw(weights, stream).unwrap_or(0)];
        let mut labels = vec![0; rows.nrows()];
        let mut distances = vec![f64::INFINITY; rows.nrows()];
        loop {
            let centre = rows.row(chosen[chosen.len() - 1]);
            for (row, candidate) in rows.rows().into_iter().enumerate() {
                let distance = squared_distance(&candidate, &centre);
                if distance < distances[row] {
                    (distances[row], labels[row]) = (distance, chosen.len() - 1);
                }
            }
            let shares: Vec<f64> = distances.iter().zip(weights).map(|(d, w)| d * w).collect();
            match draw(&shares, stream) {
                Some(row) if chosen.len() < n => chosen.push(row),
                _ => break,
            }
        }
        Clustering { rows, weights, centres: rows.select(Axis(0), &chosen), labels }
    }

    /// Moves each centre to the weighted mean of its rows, then each row to its nearest centre; a centre without rows
    /// stays. Neither step lengthens the distances. Returns whether a row has moved.
    ///
    /// # Source
    /// Lloyd 1982, "Least squares quantization in PCM", method I. The comparison that saves distances is lemma 1 of Elkan
    /// 2003, "Using the triangle inequality to accelerate k-means".
    fn improve(&mut self) -> bool {
        let clusters = members(&self.labels);
        for (cluster, mean) in clusters.iter().zip(means(self.rows, self.weights, &clusters).rows())
        {
            self.centres.row_mut(self.labels[cluster[0]]).assign(&mean);
        }
        let centres: Vec<ArrayView1<'_, f64>> = self.centres.rows().into_iter().collect();
        let apart = Array2::from_shape_fn((centres.len(), centres.len()), |(a, b)| {
            squared_distance(&centres[a], &centres[b])
        });
        let mut moved = false;
        for (label, row) in self.labels.iter_mut().zip(self.rows.rows()) {
            let before = *label;
            let mut least = squared_distance(&row, &centres[before]);
            for (other, centre) in centres.iter().enumerate() {
                // A centre at twice the distance of the nearest so far is no nearer.
                if apart[[*label, other]] < 4.0 * least {
                    let distance = squared_distance(&row, centre);
                    if distance < least {
                        (least, *label) = (distance, other);
                    }
                }
            }
            moved |= *label != before;
        }
        moved
    }
}

/// An index drawn with probability in proportion to its share; `None` where all shares are 0.
fn draw(shares: &[f64], stream: &mut Stream) -> Option<usize> {
    let mut level = shares.iter().sum::<f64>() * stream.uniform();
    let positive = || shares.iter().enumerate().filter(|(_, share)| 0.0 < **share);
    let reached = positive().find(|(_, share)| {
        level -= **share;
        level < 0.0
    });
    // Rounding may leave the level just above the last.
    reached.or_else(|| positive().next_back()).map(|(index, _)| index)
}

fn squared_distance(a: &Row, b: &Row) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
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

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis, array};
    use xai_core::Seed;

    use super::{Clustering, clusters, draw, spread, squared_distance};

    /// Rows around these centres, evenly, none farther from its centre than 0.02 in each column.
    fn around(centres: &Array2<f64>, n_each: usize, seed: u64) -> Array2<f64> {
        let mut stream = Seed::new(seed).stream();
        Array2::from_shape_fn((n_each * centres.nrows(), centres.ncols()), |(row, column)| {
            centres[[row % centres.nrows(), column]] + 0.04 * (stream.uniform() - 0.5)
        })
    }

    #[test]
    fn known_clusters_are_found() {
        // Nearest centres are a unit apart, 17 times the diameter of a cluster.
        let centres = array![[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [3.0, 2.0]];
        for seed in 0..20 {
            let rows = around(&centres, 30, seed);
            let found = clusters(&rows, &[1.0; 150], 5, Seed::new(seed));
            let expected: Vec<Vec<usize>> =
                (0..5).map(|cluster| (cluster..150).step_by(5).collect()).collect();
            assert_eq!(found, expected, "seed {seed}");
        }
    }

    #[test]
    fn no_step_lengthens_the_distances() {
        let mut stream = Seed::new(11).stream();
        let rows = Array2::from_shape_simple_fn((200, 3), || stream.uniform());
        let weights: Vec<f64> = (0..200).map(|_| stream.uniform()).collect();
        for seed in 0..10 {
            let mut clustering =
                Clustering::seeded(&rows, &weights, 12, &mut Seed::new(seed).stream());
            let inertia = |clustering: &Clustering<'_>| -> f64 {
                let centre = |row: usize| clustering.centres.row(clustering.labels[row]);
                let distance = |row: usize| squared_distance(&rows.row(row), &centre(row));
                (0..200).map(|row| weights[row] * distance(row)).sum()
            };
            let mut last = inertia(&clustering);
            let mut moves = 0;
            while clustering.improve() {
                moves += 1;
                let next = inertia(&clustering);
                // Two hundred terms with a few roundings each.
                assert!(next <= last * (1.0 + 1e-13), "from {last} to {next}");
                last = next;
            }
            assert!(0 < moves && moves < 100, "{moves} moves");
            // At the end every row is at its nearest centre.
            for (row, &label) in rows.rows().into_iter().zip(&clustering.labels) {
                let distance =
                    |centre: usize| squared_distance(&row, &clustering.centres.row(centre));
                assert!((0..12).all(|other| distance(label) <= distance(other)));
            }
        }
    }

    #[test]
    fn a_weight_counts_as_so_many_rows() {
        // The same points once with weights and once repeated: the least spread is the same.
        let mut stream = Seed::new(3).stream();
        let points = Array2::from_shape_simple_fn((12, 1), || stream.uniform());
        let counts: Vec<usize> = (0..12).map(|point| 1 + point % 4).collect();
        let repeated: Vec<usize> =
            (0..12).flat_map(|point| std::iter::repeat_n(point, counts[point])).collect();
        let rows = points.select(Axis(0), &repeated);
        let weights: Vec<f64> = counts.iter().map(|&count| count as f64).collect();
        let ones = vec![1.0; repeated.len()];
        let weighted = clusters(&points, &weights, 3, Seed::new(0));
        let counted = clusters(&rows, &ones, 3, Seed::new(0));
        let (a, b) = (spread(&points, &weights, &weighted), spread(&rows, &ones, &counted));
        assert!((a - b).abs() < 1e-14, "{a} and {b}");
    }

    #[test]
    fn indices_are_drawn_in_proportion_to_their_shares() {
        let mut stream = Seed::new(8).stream();
        let shares = [0.0, 1.0, 0.0, 3.0, 4.0, 0.0];
        let mut counts = [0_u32; 6];
        for _ in 0..8000 {
            counts[draw(&shares, &mut stream).expect("a share above 0")] += 1;
        }
        for (&count, share) in counts.iter().zip(shares) {
            let p = share / 8.0;
            // Five standard deviations.
            let bound = 5.0 * (8000.0 * p * (1.0 - p)).sqrt();
            assert!((f64::from(count) - 8000.0 * p).abs() <= bound, "{counts:?}");
        }
        assert_eq!(draw(&[0.0, 0.0], &mut stream), None);
    }
}
