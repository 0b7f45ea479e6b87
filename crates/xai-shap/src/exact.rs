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
    // The weight of a coalition of the other players, by its bits with the player's own left out.
    let of_size = size_weights(n_players);
    let weights: Vec<f64> = (0..1_usize << n_players.saturating_sub(1))
        .map(|others| of_size[others.count_ones() as usize])
        .collect();
    let mut phi = Array2::zeros((worth.nrows(), n_players));
    for (worth, mut phi) in worth.rows().into_iter().zip(phi.rows_mut()) {
        let worth = worth.to_vec();
        for (player, phi) in phi.iter_mut().enumerate() {
            // Runs of coalitions without the player are followed by the same runs with it.
            let run = 1 << player;
            for (both, weights) in worth.chunks_exact(2 * run).zip(weights.chunks_exact(run)) {
                let (without, with) = both.split_at(run);
                for ((with, without), weight) in with.iter().zip(without).zip(weights) {
                    *phi += weight * (with - without);
                }
            }
        }
    }
    phi
}

/// `s! (M - s - 1)! / M!` for `s` in `0..M`: 1 over `M` times the number of sets of size `s` among `M - 1`.
fn size_weights(n_players: usize) -> Vec<f64> {
    let mut weights = vec![1.0 / n_players.max(1) as f64];
    for size in 1..n_players {
        weights.push(weights[size - 1] * size as f64 / (n_players - size) as f64);
    }
    weights
}
