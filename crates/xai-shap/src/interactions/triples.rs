//! Products of three players with a separate variance each.

use ndarray::{Array1, Array2, Axis, s};

use super::evidence::Posterior;
use super::kernel::Pairs;

/// More triples than this are left alike.
const MAX_TRIPLES: usize = 50_000;

/// How many sets of three players there are.
pub(super) fn number(n_players: usize) -> usize {
    n_players * (n_players - 1) * (n_players - 2) / 6
}

/// The variances of the triples in units of their mean.
pub(super) struct Triples {
    /// In lexicographic order.
    members: Vec<[usize; 3]>,
    variances: Vec<f64>,
    /// Those with a separate variance, at most as many as there are pairs.
    separate: Vec<usize>,
    /// The variance of all others.
    pub(super) common: f64,
}

impl Triples {
    /// All alike; `None` when there are too many.
    pub(super) fn new(n_players: usize) -> Option<Self> {
        if MAX_TRIPLES < number(n_players) {
            return None;
        }
        let members: Vec<[usize; 3]> = (0..n_players)
            .flat_map(|a| (a + 1..n_players).map(move |b| (a, b)))
            .flat_map(|(a, b)| (b + 1..n_players).map(move |c| [a, b, c]))
            .collect();
        let variances = vec![1.0; members.len()];
        Some(Triples { members, variances, separate: Vec::new(), common: 1.0 })
    }

    /// Takes for variances the squares of the triples' parts in a posterior, to the share `sharpness`, and the same
    /// for all to the rest. Returns whether there is any part.
    pub(super) fn reweigh(&mut self, pairs: &Pairs, from: &Posterior, sharpness: f64) -> bool {
        let mut squares = vec![0.0; self.members.len()];
        for (dual, amplitude) in from.dual.columns().into_iter().zip(&from.amplitudes) {
            for (sum, inner) in
                squares.iter_mut().zip(products(pairs, &dual.to_owned().insert_axis(Axis(1))))
            {
                *sum += inner * inner / amplitude;
            }
        }
        squares
            .iter_mut()
            .zip(&self.variances)
            .for_each(|(square, variance)| *square *= variance * variance);
        let mean = squares.iter().sum::<f64>() / squares.len() as f64;
        if !(0.0 < mean && mean < f64::INFINITY) {
            return false;
        }
        self.variances =
            squares.iter().map(|square| sharpness * square / mean + 1.0 - sharpness).collect();
        let mut order: Vec<usize> = (0..squares.len()).collect();
        let by_variance =
            |a: &usize, b: &usize| self.variances[*b].total_cmp(&self.variances[*a]).then(a.cmp(b));
        order.sort_by(by_variance);
        let others = order.split_off(pairs.len().min(order.len()));
        let sum: f64 = others.iter().map(|&triple| self.variances[triple]).sum();
        self.common = sum / others.len().max(1) as f64;
        others.iter().for_each(|&triple| self.variances[triple] = self.common);
        self.separate = order;
        true
    }

    /// What the triples with a separate variance add to the covariance of the pairs, when the mean of all
    /// variances is `share` of the number of triples.
    pub(super) fn covariance(&self, pairs: &Pairs, share: f64) -> Array2<f64> {
        let values = self.values(pairs);
        (&values * &self.excess(share)).dot(&values.t())
    }

    /// The same for the covariance of the pairs with the Shapley values.
    pub(super) fn shapley(&self, pairs: &Pairs, share: f64) -> Array2<f64> {
        let n_players = pairs.n_players();
        let shapley = Array2::from_shape_fn((self.separate.len(), n_players), |(place, player)| {
            let member = self.members[self.separate[place]].contains(&player);
            (if member { 1.0 / 3.0 } else { 0.0 }) - 1.0 / n_players as f64
        });
        (self.values(pairs) * &self.excess(share)).dot(&shapley)
    }

    /// What the variances are above the common one.
    fn excess(&self, share: f64) -> Array1<f64> {
        let scale = share / self.members.len() as f64;
        self.separate.iter().map(|&triple| scale * (self.variances[triple] - self.common)).collect()
    }

    /// Those triples at the pairs, without their part along the sum of the players.
    fn values(&self, pairs: &Pairs) -> Array2<f64> {
        Array2::from_shape_fn((pairs.len(), self.separate.len()), |(pair, place)| {
            let [a, b, c] = self.members[self.separate[place]];
            let row = pairs.signs.row(pair);
            row[a] * row[b] * row[c] - pairs.means[pair]
        })
    }
}

/// The inner product of each triple's values at the pairs with a column, in the order of the triples.
fn products(pairs: &Pairs, column: &Array2<f64>) -> Vec<f64> {
    let n_players = pairs.n_players();
    let along = pairs.means.dot(&column.column(0));
    let mut products = Vec::with_capacity(number(n_players));
    for first in 0..n_players {
        let later = pairs.signs.slice(s![.., first + 1..]);
        let weighted = &pairs.signs.slice(s![.., first..=first]) * column;
        let of_two = (&later * &weighted).t().dot(&later);
        for (second, row) in of_two.rows().into_iter().enumerate() {
            products.extend(row.iter().skip(second + 1).map(|product| product - along));
        }
    }
    products
}
