//! Shapley values from the values of all coalitions.

use ndarray::{Array2, ArrayView2, s};

/// The most players of an exact game: `2^24` values are 128 MiB per output.
pub(crate) const MAX_PLAYERS: usize = 24;

/// Shapley values, shape `(n_outputs, n_players)`, from `values`, shape `(2^n_players, n_outputs)`.
///
/// # Source
/// Shapley 1953: `phi_j = sum over S without j of |S|! (M - |S| - 1)! / M! * (v(S + j) - v(S))`.
/// The sum runs over differences, so a player that never changes the value gets exactly 0.
pub(crate) fn shapley(values: ArrayView2<'_, f64>, n_players: usize) -> Array2<f64> {
    let weights = size_weights(n_players);
    let n_outputs = values.ncols();
    let values = values.as_standard_layout();
    let values = values.as_slice().expect("standard layout");
    let mut phi = Array2::zeros((n_outputs, n_players));
    for player in 0..n_players {
        let bit = 1 << player;
        let mut sums = vec![0.0; n_outputs];
        for coalition in (0..1_usize << n_players).filter(|coalition| coalition & bit == 0) {
            let weight = weights[coalition.count_ones() as usize];
            let without = &values[coalition * n_outputs..][..n_outputs];
            let with = &values[(coalition | bit) * n_outputs..][..n_outputs];
            for ((sum, with), without) in sums.iter_mut().zip(with).zip(without) {
                *sum += weight * (with - without);
            }
        }
        phi.slice_mut(s![.., player]).assign(&ndarray::ArrayView1::from(&sums));
    }
    phi
}

/// `s! (M - s - 1)! / M!` for `s` in `0..M`: 1 over `M` times the number of sets of size `s` among `M - 1`.
fn size_weights(n_players: usize) -> Vec<f64> {
    let mut weights = vec![1.0 / n_players as f64];
    for size in 1..n_players {
        weights.push(weights[size - 1] * size as f64 / (n_players - size) as f64);
    }
    weights
}
