//! Shapley values from permutations, each walked forwards and backwards.

use ndarray::{Array1, Array2};
use xai_core::{Rows, Seed, Stream};

use crate::coalitions::Coalitions;
use crate::uncertainty::Influences;

/// Random orders of the players, and the pairs `(z, complement of z)` that they pass: walked forwards an order passes
/// its beginnings, backwards their complements.
///
/// Each run of `M` orders starts once with each player. Pairs of a single player belong to many orders and stand here
/// once.
///
/// # Source
/// Castro, Gómez & Tejada 2009, "Polynomial calculation of the Shapley value based on sampling"; walking back is the
/// antithetic sampling of Mitchell et al. 2022, "Sampling permutations for Shapley value estimation".
pub(crate) struct Permutations {
    n_players: usize,
    stream: Stream,
    /// The players that still have to start an order of this run.
    starts: Vec<usize>,
    orders: Vec<Order>,
    coalitions: Coalitions,
    /// The pair of each single player and the others.
    single: Vec<Option<usize>>,
}

/// One order of the players.
struct Order {
    players: Vec<usize>,
    /// For each beginning of `1..M` players, the pair that holds it.
    pairs: Vec<usize>,
    /// The number of pairs up to and including those of this order.
    end: usize,
}

impl Permutations {
    /// No orders yet; at least two players.
    pub(crate) fn new(n_players: usize, seed: Seed) -> Self {
        Permutations {
            n_players,
            stream: seed.stream(),
            starts: Vec::new(),
            orders: Vec::new(),
            coalitions: Coalitions::new(n_players),
            single: vec![None; n_players],
        }
    }

    /// The number of pairs after the round that follows `done` pairs, at most `n_pairs`: whole orders, half as many
    /// again as before.
    pub(crate) fn after(&mut self, done: usize, n_pairs: usize) -> usize {
        let wanted = (done + done.div_ceil(2)).max(1).min(n_pairs);
        let mut end = done;
        let mut order = self.orders.partition_point(|order| order.end <= done);
        while end < wanted {
            if order == self.orders.len() {
                self.draw();
            }
            let next = self.orders[order].end;
            if n_pairs < next {
                break;
            }
            end = next;
            order += 1;
        }
        end
    }

    /// The coalitions of pairs `first..n_pairs`, which were drawn.
    pub(crate) fn coalitions(&self, first: usize, n_pairs: usize) -> Coalitions {
        self.coalitions.slice(2 * first, 2 * n_pairs)
    }

    fn draw(&mut self) {
        let n_players = self.n_players;
        if self.starts.is_empty() {
            self.starts = (0..n_players).collect();
            self.stream.shuffle(&mut self.starts);
        }
        let start = self.starts.pop().expect("filled above");
        let mut players: Vec<usize> = (0..n_players).filter(|&player| player != start).collect();
        self.stream.shuffle(&mut players);
        players.insert(0, start);
        let pairs = (1..n_players).map(|size| self.pair(&players, size)).collect();
        self.orders.push(Order { players, pairs, end: self.coalitions.len() / 2 });
    }

    /// The pair of an order's beginning.
    fn pair(&mut self, players: &[usize], size: usize) -> usize {
        let single = match size {
            1 => Some(players[0]),
            size if size + 1 == players.len() => Some(players[size]),
            _ => None,
        };
        if let Some(pair) = single.and_then(|player| self.single[player]) {
            return pair;
        }
        let new = self.coalitions.len() / 2;
        match single {
            Some(player) => {
                self.single[player] = Some(new);
                self.coalitions.push([player]);
            }
            None => self.coalitions.push(players[..size].iter().copied()),
        }
        self.coalitions.push_complement();
        new
    }

    /// The Shapley values that each order of the first `n_pairs` pairs gives in one game, shape
    /// `(n_orders, n_players)`: half of what a player adds going forwards and half of what it adds going back.
    fn contributions(&self, n_pairs: usize, deltas: &Array1<f64>, change: f64) -> Array2<f64> {
        let orders = &self.orders[..self.orders.partition_point(|order| order.end <= n_pairs)];
        let mut contributions = Array2::zeros((orders.len(), self.n_players));
        for (order, mut row) in orders.iter().zip(contributions.rows_mut()) {
            let mut before = -change;
            for (place, &player) in order.players.iter().enumerate() {
                // The last beginning is the complement of the last player; for two players it is also the first.
                let delta = match order.pairs.get(place) {
                    None => change,
                    Some(&pair) if place + 2 == self.n_players && 0 < place => -deltas[pair],
                    Some(&pair) => deltas[pair],
                };
                row[player] = 0.5 * (delta - before);
                before = delta;
            }
        }
        contributions
    }

    /// Shapley values of the first `n_pairs` pairs, shape `(n_games, n_players)`; `deltas` has shape
    /// `(n_games, n_pairs)`, `changes` holds `v(all) - v(none)` of each game.
    pub(crate) fn values(
        &self,
        n_pairs: usize,
        deltas: &Rows,
        changes: &Array1<f64>,
    ) -> Array2<f64> {
        let mut values = Array2::zeros((deltas.nrows(), self.n_players));
        for (game, mut values) in values.rows_mut().into_iter().enumerate() {
            let deltas = deltas.row(game).to_owned();
            let contributions = self.contributions(n_pairs, &deltas, changes[game]);
            values.assign(&mean(&contributions));
        }
        values
    }

    /// What each order adds to the error of one game's values; `None` for a single order.
    pub(crate) fn influences(
        &self,
        n_pairs: usize,
        deltas: &Array1<f64>,
        change: f64,
    ) -> Option<Influences> {
        let mut rows = self.contributions(n_pairs, deltas, change);
        let n_orders = rows.nrows() as f64;
        if n_orders < 2.0 {
            return None;
        }
        rows -= &mean(&rows);
        rows /= (n_orders * (n_orders - 1.0)).sqrt();
        Some(Influences { rows, freedom: n_orders - 1.0 })
    }
}

/// The mean row; there is one.
fn mean(rows: &Array2<f64>) -> Array1<f64> {
    rows.mean_axis(ndarray::Axis(0)).expect("at least one order")
}
