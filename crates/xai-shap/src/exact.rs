//! Shapley values from the values of all coalitions.

use ndarray::Array2;
use xai_core::Rows;

/// The most players of an exact game: `2^24` values are 128 MiB per output.
pub(crate) const MAX_PLAYERS: usize = 24;

/// Shapley values, shape `(n_outputs, n_players)`, from the worth of all coalitions, shape
/// `(n_outputs, 2^n_players)`, where column `k` is the coalition of the bits of `k`.
///
/// # Source
/// Shapley 1953: `phi_j = sum over S without j of |S|! (M - |S| - 1)! / M! * (v(S + j) - v(S))`.
/// The sum runs over differences, so a player that never changes the value gets exactly 0.
pub(crate) fn shapley(worth: &Rows, n_players: usize) -> Array2<f64> {
    let mut weights = SubsetWeights::default();
    let mut phi = Array2::zeros((worth.nrows(), n_players));
    for (worth, mut phi) in worth.rows().into_iter().zip(phi.rows_mut()) {
        let worth = worth.to_vec();
        for (player, phi) in phi.iter_mut().enumerate() {
            *phi = value(&worth, player, weights.of(worth.len()));
        }
    }
    phi
}

/// The Shapley value of one player; `weights` are those of the coalitions of the others.
pub(crate) fn value(worth: &[f64], player: usize, weights: &[f64]) -> f64 {
    // Runs of coalitions without the player are followed by the same runs with it.
    let run = 1 << player;
    let mut value = 0.0;
    for (both, weights) in worth.chunks_exact(2 * run).zip(weights.chunks_exact(run)) {
        let (without, with) = both.split_at(run);
        for ((with, without), weight) in with.iter().zip(without).zip(weights) {
            value += weight * (with - without);
        }
    }
    value
}

/// The weight of a coalition of the other players, by its bits without that of the player, for games of each size.
#[derive(Default)]
pub(crate) struct SubsetWeights(Vec<Vec<f64>>);

impl SubsetWeights {
    /// Those of a game of so many coalitions.
    pub(crate) fn of(&mut self, n_coalitions: usize) -> &[f64] {
        let n_players = n_coalitions.trailing_zeros() as usize;
        if self.0.len() <= n_players {
            self.0.resize(n_players + 1, Vec::new());
        }
        if self.0[n_players].is_empty() {
            let of_size = size_weights(n_players);
            self.0[n_players] = (0..n_coalitions.div_ceil(2))
                .map(|others| of_size[others.count_ones() as usize])
                .collect();
        }
        &self.0[n_players]
    }
}

/// `s! (M - s - 1)! / M!` for `s` in `0..M`: 1 over `M` times the number of sets of size `s` among `M - 1`.
fn size_weights(n_players: usize) -> Vec<f64> {
    let mut weights = vec![1.0 / n_players.max(1) as f64];
    for size in 1..n_players {
        weights.push(weights[size - 1] * size as f64 / (n_players - size) as f64);
    }
    weights
}
