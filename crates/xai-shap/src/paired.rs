//! Shapley values from a paired design.

use ndarray::{Array1, Array2, Axis, s};
use xai_core::{Result, Row, Rows, linalg};

use crate::coalitions::contains;
use crate::design::Design;
use crate::strata::Strata;
use crate::uncertainty::Influences;

/// The least-squares problem of the beginning of a design, factorised: with `u = 2z - 1` and
/// `delta = v(z) - v(complement of z)`, minimise `sum a_k (delta_k - u_k . phi)^2` subject to `sum phi = change`.
///
/// # Source
/// The pairing is Covert & Lee 2021, "Improving KernelSHAP", section 4.2; that the even part drops out of the paired
/// problem follows from expanding the two residuals of a pair. The standard errors are those of a stratified sample
/// without replacement (see [`Strata`]), applied to each pair's influence on the solution. A fit is closest
/// to the pairs it leans on most, so each residual is divided by what the fit leaves free at its pair, one minus its
/// leverage, as in a jackknife (MacKinnon & White 1985, "Some heteroskedasticity-consistent covariance matrix
/// estimators", HC3). Below two pairs per player the residuals say too little, and there are no standard errors.
pub(crate) struct Regression {
    pub(crate) strata: Strata,
    /// `u` without its component along the vector of ones, shape `(n_pairs, n_players)`.
    pub(crate) centred: Array2<f64>,
    /// The sums of `u`, shape `(n_pairs, 1)`.
    pub(crate) sums: Array2<f64>,
    /// `a_k` times the rows of `centred`.
    weighted: Array2<f64>,
    /// The inverse of the normal matrix, shape `(n_players, n_players)`.
    inverse: Array2<f64>,
}

/// The least that a fit leaves free at a pair; less is rounding.
const LEAST_REST: f64 = 1e-6;

impl Regression {
    /// Factorises the problem of the first `n_pairs` pairs, for the players in `players` alone; the others have no
    /// part in the model.
    ///
    /// # Errors
    /// [`Error::Singular`](xai_core::Error::Singular) when the pairs leave some players' values open.
    pub(crate) fn new(design: &Design, n_pairs: usize, players: &[usize]) -> Result<Self> {
        let strata = Strata::new(design, n_pairs);
        let weights = strata.weights();
        let signs = Array2::from_shape_fn((n_pairs, players.len()), |(pair, place)| {
            if contains(design.pair(pair), players[place]) { 1.0 } else { -1.0 }
        });
        // phi = change / M + psi with psi across the vector of ones: the constraint is gone, and designs of single
        // players, nearly parallel to the ones before, become well conditioned.
        let n_players = players.len() as f64;
        let sums = signs.sum_axis(Axis(1)).insert_axis(Axis(1));
        let centred = &signs - &(&sums / n_players);
        let weighted = &centred * &weights.insert_axis(Axis(1));
        let mut normal = weighted.t().dot(&centred);
        // Along the ones nothing is asked; any positive number there makes the matrix definite.
        let along = normal.diag().mean().unwrap_or_default().max(f64::MIN_POSITIVE);
        normal += along / n_players;
        let inverse = linalg::cholesky_solve(&normal, &Array2::eye(players.len()))?;
        Ok(Regression { strata, centred, sums, weighted, inverse })
    }

    /// Shapley values, shape `(n_games, n_players)`: `deltas` has shape `(n_games, n_pairs)`, `changes` holds
    /// `v(all) - v(none)` of each game.
    pub(crate) fn values(&self, deltas: &Rows, changes: &Array1<f64>) -> Array2<f64> {
        if self.centred.ncols() == 0 {
            return Array2::zeros((deltas.nrows(), 0));
        }
        let targets = self.targets(deltas, changes);
        with_sums(&self.inverse.dot(&self.weighted.t().dot(&targets)), changes)
    }

    /// What the part of the values across the ones has to explain, shape `(n_pairs, n_games)`.
    pub(crate) fn targets(&self, deltas: &Rows, changes: &Array1<f64>) -> Array2<f64> {
        let share = changes / self.centred.ncols() as f64;
        &deltas.t() - &self.sums * &share.insert_axis(Axis(0))
    }

    /// The differences of one game that its values leave open.
    pub(crate) fn residuals(&self, deltas: &Row, values: &Row) -> Array1<f64> {
        let mean = values.sum() / values.len() as f64;
        &deltas.view() - &(self.centred.dot(values) + &self.sums.column(0) * mean)
    }

    /// What each pair adds to the error of one game's values; `None` when there are too few pairs to estimate it.
    pub(crate) fn influences(
        &self,
        deltas: &Array1<f64>,
        values: &Array1<f64>,
    ) -> Option<Influences> {
        self.strata.influences(self.centred.ncols(), |sampled| {
            let residuals = self.residuals(deltas, values);
            let mut influences = self.weighted.select(Axis(0), sampled).dot(&self.inverse);
            for (mut row, &pair) in influences.rows_mut().into_iter().zip(sampled) {
                let leverage = row.dot(&self.centred.row(pair));
                row *= residuals[pair] / (1.0 - leverage).max(LEAST_REST);
            }
            influences
        })
    }
}

/// Values, shape `(n_games, n_players)`, from their parts across the ones, shape `(n_players, n_games)`.
pub(crate) fn with_sums(across: &Rows, changes: &Array1<f64>) -> Array2<f64> {
    let share = changes / across.nrows() as f64;
    // What rounding left along the ones goes, so that the sum is the change to the last bits.
    let along = across.mean_axis(Axis(0)).expect("not without players");
    &across.t() + &(share - along).insert_axis(Axis(1))
}

/// The differences of pairs, shape `(n_games, n_pairs)`, from worths in the order of the design, shape
/// `(n_games, 2 * n_pairs)`.
pub(crate) fn differences(worth: &Rows) -> Array2<f64> {
    &worth.slice(s![.., ..;2]) - &worth.slice(s![.., 1..;2])
}
