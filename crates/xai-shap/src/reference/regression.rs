//! The regression of shap.

use ndarray::{Array1, Array2};
use xai_core::{Result, Rows, linalg};

use crate::coalitions::{Coalitions, contains};
use crate::selected::{Problem, by_set};

/// Shapley values below this are 0 in shap.
const NEGLIGIBLE: f64 = 1e-10;

/// Shapley values of the selected players of each output, shape `(n_outputs, n_players)`.
///
/// Minimises `sum of kappa_k (e_k - z_k . phi)^2` subject to `sum of phi = c` over the selected players; the others
/// get 0, all of them when none is selected, and so do values below 1e-10 whatever the scale of the output.
///
/// # Errors
/// [`Error::Singular`](xai_core::Error::Singular) when the coalitions leave the values of some selected players open,
/// where shap chooses the shortest of many solutions; [`Error::NotFinite`](xai_core::Error::NotFinite) for effects
/// that are not finite.
pub(crate) fn solve(
    coalitions: &Coalitions,
    weights: &[f64],
    effects: &Rows,
    changes: &Array1<f64>,
    selected: &[Vec<usize>],
) -> Result<Array2<f64>> {
    let mut values = Array2::zeros((effects.nrows(), coalitions.n_players()));
    for (set, outputs) in by_set(selected) {
        let Some((&last, others)) = set.split_last() else { continue };
        let free = others.len();
        // The last player's value is what the others leave of the change.
        let problem = Problem { coalitions, weights, effects, changes, set, outputs: &outputs };
        let (normal, targets) =
            problem.sums(|coalition| f64::from(u8::from(contains(coalition, last))));
        let normal = normal.slice(ndarray::s![..free, ..free]);
        let targets = targets.slice(ndarray::s![..free, ..]);
        let solution = linalg::cholesky_solve(&normal, &targets)?;
        for (&output, solution) in outputs.iter().zip(solution.columns()) {
            for (&player, &value) in others.iter().zip(solution) {
                values[[output, player]] = value;
            }
            values[[output, last]] = changes[output] - solution.sum();
        }
    }
    values.mapv_inplace(|value| if value.abs() < NEGLIGIBLE { 0.0 } else { value });
    Ok(values)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2, array};
    use xai_core::{Error, Rows, Seed};

    use super::solve;
    use crate::coalitions::Coalitions;
    use crate::exact::shapley;
    use crate::reference::design::design;
    use crate::selected::restricted;

    fn random_game(n_players: usize, n_outputs: usize, seed: u64) -> Array2<f64> {
        let mut stream = Seed::new(seed).stream();
        Array2::from_shape_fn((n_outputs, 1 << n_players), |_| stream.uniform() - 0.5)
    }

    fn effects(worth: &Rows, coalitions: &Coalitions) -> (Array2<f64>, Array1<f64>) {
        let effects =
            Array2::from_shape_fn((worth.nrows(), coalitions.len()), |(output, index)| {
                let column = usize::try_from(coalitions.get(index)[0]).unwrap();
                worth[[output, column]] - worth[[output, 0]]
            });
        (effects, &worth.column(worth.ncols() - 1) - &worth.column(0))
    }

    #[test]
    fn all_coalitions_give_shapley_values() {
        for n_players in 2..=9 {
            let worth = random_game(n_players, 2, n_players as u64);
            let design = design(n_players, 2048, &mut Seed::new(0).stream());
            let (effects, changes) = effects(&worth, &design.coalitions);
            let everyone = vec![(0..n_players).collect::<Vec<usize>>(); 2];
            let (coalitions, weights) = (&design.coalitions, &design.weights);
            let solved = solve(coalitions, weights, &effects, &changes, &everyone).unwrap();
            let centred = restricted(coalitions, weights, &effects, &changes, &everyone).unwrap();
            let expected = shapley(&worth, n_players);
            for values in [solved, centred] {
                // Sums over up to 510 coalitions of values of order 1.
                let worst = (&values - &expected).fold(0.0_f64, |worst, d| worst.max(d.abs()));
                assert!(worst < 1e-13, "{n_players} players: {worst}");
            }
        }
    }

    #[test]
    fn too_few_coalitions_are_refused() {
        let mut coalitions = Coalitions::new(4);
        coalitions.push([0]);
        coalitions.push_complement();
        let (effects, changes) = (array![[1.0, 9.0]], array![10.0]);
        let everyone = [vec![0, 1, 2, 3]];
        let refused = solve(&coalitions, &[0.5, 0.5], &effects, &changes, &everyone);
        assert!(matches!(refused, Err(Error::Singular { .. })));
        let refused = restricted(&coalitions, &[0.5, 0.5], &effects, &changes, &everyone);
        assert!(matches!(refused, Err(Error::Singular { .. })));
    }

    #[test]
    fn no_selection_gives_zeros_and_small_values_are_zero() {
        let design = design(3, 6, &mut Seed::new(0).stream());
        let worth = random_game(3, 2, 4) * 1e-11;
        let (effects, changes) = effects(&worth, &design.coalitions);
        let (coalitions, weights) = (&design.coalitions, &design.weights);
        let sets = [vec![0, 1, 2], vec![]];
        let values = solve(coalitions, weights, &effects, &changes, &sets).unwrap();
        assert!(values.iter().all(|&value| value == 0.0));
        let native = restricted(coalitions, weights, &effects, &changes, &sets).unwrap();
        assert!(native.row(0).iter().all(|&value| value != 0.0));
        assert!(native.row(1).iter().all(|&value| value == 0.0));
    }
}
