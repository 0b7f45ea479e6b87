//! Covariances of interactions that depend on their degrees alone.

use ndarray::{Array1, Array2, Axis};

use crate::paired::Regression;

/// The highest degree in the model; shares fall fast enough that those above have none.
const MAX_DEGREE: usize = 15;

/// The pairs of a design as points `u = 2z - 1`, and the covariance there of an interaction part `g` whose products of
/// equal degree are alike.
///
/// `g` has no part along the sum of the players, which the change fixes: a product `chi_S` stands for
/// `chi_S(u) - mean(u)`, whose Shapley values are `[j in S] / |S| - 1 / M`, of sum 0.
pub(super) struct Pairs {
    /// The rows `u`, shape `(n_pairs, n_players)`.
    pub(super) signs: Array2<f64>,
    /// The mean of each row.
    pub(super) means: Array1<f64>,
    /// In how many players two rows differ, shape `(n_pairs, n_pairs)`.
    distances: Array2<usize>,
    /// How many players of each row are absent.
    absent: Array1<usize>,
    /// The correlation of a degree's products at two points, by degree 3, 5, ... and by distance.
    by_distance: Vec<Vec<f64>>,
    /// The same one degree lower and with one player less.
    without_one: Vec<Vec<f64>>,
}

impl Pairs {
    pub(super) fn new(regression: &Regression) -> Self {
        let n_players = regression.centred.ncols();
        let means = regression.sums.column(0).mapv(|sum| sum / n_players as f64);
        // Undoes the centring exactly: an entry is 1 or -1.
        let signs = (&regression.centred + &means.view().insert_axis(Axis(1))).mapv(f64::signum);
        let distances = signs.dot(&signs.t()).mapv(|product| differing(n_players, product));
        let absent = regression.sums.column(0).mapv(|sum| differing(n_players, sum));
        let degrees = (3..=n_players.min(MAX_DEGREE)).step_by(2);
        let (all, fewer) = (krawtchouk(n_players), krawtchouk(n_players - 1));
        Pairs {
            by_distance: degrees.clone().map(|degree| all[degree].clone()).collect(),
            without_one: degrees.map(|degree| fewer[degree - 1].clone()).collect(),
            signs,
            means,
            distances,
            absent,
        }
    }

    /// Some of the pairs.
    pub(super) fn select(&self, pairs: &[usize]) -> Self {
        Pairs {
            signs: self.signs.select(Axis(0), pairs),
            means: self.means.select(Axis(0), pairs),
            distances: self.distances.select(Axis(0), pairs).select(Axis(1), pairs),
            absent: self.absent.select(Axis(0), pairs),
            by_distance: self.by_distance.clone(),
            without_one: self.without_one.clone(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.signs.nrows()
    }

    pub(super) fn n_players(&self) -> usize {
        self.signs.ncols()
    }

    /// The shares of the degrees 3, 5, ... in the variance when each has `decay` times that of the one before.
    pub(super) fn shares(&self, decay: f64) -> Vec<f64> {
        let powers: Vec<f64> = std::iter::successors(Some(1.0), |power| Some(power * decay))
            .take(self.by_distance.len())
            .collect();
        let total: f64 = powers.iter().sum();
        powers.into_iter().map(|power| power / total).collect()
    }

    /// The covariance of `g` at the pairs, shape `(n_pairs, n_pairs)`, for these shares of degrees in its variance.
    pub(super) fn covariance(&self, shares: &[f64]) -> Array2<f64> {
        let correlations = mixed(&self.by_distance, shares);
        // The points of ones is as far from `u` as `u` has absent players.
        let with_ones = self.absent.mapv(|distance| correlations[distance]);
        let mut covariance = self.distances.mapv(|distance| correlations[distance]);
        for ((mut row, &mean), &with_one) in
            covariance.rows_mut().into_iter().zip(&self.means).zip(&with_ones)
        {
            // cov(g(u) - m g(1), g(u') - m' g(1)).
            row.scaled_add(-mean, &with_ones);
            row.scaled_add(mean * correlations[0] - with_one, &self.means);
        }
        covariance
    }

    /// The covariance of `g` at each pair with the Shapley value of each player, shape `(n_pairs, n_players)`.
    ///
    /// The Shapley value of `j` is `sum_S [j in S] c_S / |S|`, so that of degree `d` its covariance with `g(u)` is
    /// `u_j K_{d-1}(h; M - 1) / (d C(M, d))`, `h` the absent players but `j`; and `d C(M, d) = M C(M - 1, d - 1)`.
    pub(super) fn shapley(&self, shares: &[f64]) -> Array2<f64> {
        let n_players = self.n_players() as f64;
        let correlations = mixed(&self.by_distance, shares);
        let fewer = mixed(&self.without_one, shares);
        Array2::from_shape_fn(self.signs.dim(), |(pair, player)| {
            let (sign, absent) = (self.signs[[pair, player]], self.absent[pair]);
            let others = if sign < 0.0 { absent - 1 } else { absent };
            (sign * fewer[others] - correlations[absent]) / n_players
        })
    }
}

/// The sum of tables by their shares.
fn mixed(tables: &[Vec<f64>], shares: &[f64]) -> Vec<f64> {
    let at =
        |place: usize| tables.iter().zip(shares).map(|(table, share)| share * table[place]).sum();
    (0..tables[0].len()).map(at).collect()
}

/// The mean of the products of `degree` entries of `u u'` over all sets of so many, by `degree` up to
/// [`MAX_DEGREE`] and by the number of entries in which `u` and `u'` differ: Krawtchouk polynomials over their value
/// at 0.
fn krawtchouk(n: usize) -> Vec<Vec<f64>> {
    let balance = |distance: usize| n as f64 - 2.0 * distance as f64;
    let mut tables = vec![vec![1.0; n + 1], (0..=n).map(|h| balance(h) / n as f64).collect()];
    for degree in 1..n.min(MAX_DEGREE) {
        let (table, lower): (&[f64], &[f64]) = (&tables[degree], &tables[degree - 1]);
        let next =
            |h: usize| (balance(h) * table[h] - degree as f64 * lower[h]) / (n - degree) as f64;
        let table = (0..=n).map(next).collect();
        tables.push(table);
    }
    tables
}

/// In how many of `n` entries of 1 or -1 two rows of this product differ.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a whole number between 0 and n"
)]
fn differing(n: usize, product: f64) -> usize {
    (0.5 * (n as f64 - product)).round() as usize
}
