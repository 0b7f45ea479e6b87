//! The regression on listed coalitions, restricted to selected players.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, Axis};
use xai_core::{Result, Rows, linalg};

use crate::coalitions::{Coalitions, contains};

/// Shapley values of the selected players of each output, shape `(n_outputs, n_players)`.
///
/// Minimises `sum of kappa_k (e_k - z_k . phi)^2` subject to `sum of phi = c` over the selected players; the others
/// get 0, all of them when none is selected.
///
/// # Errors
/// [`Error::Singular`](xai_core::Error::Singular) when the coalitions leave the values of some selected players open;
/// [`Error::NotFinite`](xai_core::Error::NotFinite) for effects that are not finite.
pub(crate) fn restricted(
    coalitions: &Coalitions,
    weights: &[f64],
    effects: &Rows,
    changes: &Array1<f64>,
    selected: &[Vec<usize>],
) -> Result<Array2<f64>> {
    let mut values = Array2::zeros((effects.nrows(), coalitions.n_players()));
    for (set, outputs) in by_set(selected).into_iter().filter(|(set, _)| !set.is_empty()) {
        // phi = change / m + psi with psi across the vector of ones, as in the paired problem.
        let n_selected = set.len() as f64;
        let problem = Problem { coalitions, weights, effects, changes, set, outputs: &outputs };
        let (mut normal, targets) = problem.sums(|coalition| {
            set.iter().filter(|&&player| contains(coalition, player)).count() as f64 / n_selected
        });
        // Along the ones nothing is asked; any positive number there makes the matrix definite.
        normal += if set.len() == 1 {
            1.0
        } else {
            normal.diag().mean().expect("at least two players") / n_selected
        };
        let psi = linalg::cholesky_solve(&normal, &targets)?;
        for (&output, psi) in outputs.iter().zip(psi.columns()) {
            let shift = (changes[output] - psi.sum()) / n_selected;
            for (&player, &value) in set.iter().zip(psi) {
                values[[output, player]] = value + shift;
            }
        }
    }
    Ok(values)
}

/// The outputs of each selected set.
pub(crate) fn by_set(selected: &[Vec<usize>]) -> BTreeMap<&[usize], Vec<usize>> {
    let mut outputs: BTreeMap<&[usize], Vec<usize>> = BTreeMap::new();
    for (output, set) in selected.iter().enumerate() {
        outputs.entry(set).or_default().push(output);
    }
    outputs
}

/// Coalitions whose rows are in memory at a time.
const BLOCK: usize = 256;

/// The regression on a set of players, for the outputs that share it.
pub(crate) struct Problem<'a> {
    pub(crate) coalitions: &'a Coalitions,
    pub(crate) weights: &'a [f64],
    pub(crate) effects: &'a Rows,
    pub(crate) changes: &'a Array1<f64>,
    pub(crate) set: &'a [usize],
    pub(crate) outputs: &'a [usize],
}

impl Problem<'_> {
    /// The normal matrix of the rows `z_k - t_k` with the targets `e_k - t_k c`, where `t_k` is a share of the change
    /// that the coalition has beforehand, and its right-hand side.
    pub(crate) fn sums(&self, share: impl Fn(&[u64]) -> f64) -> (Array2<f64>, Array2<f64>) {
        let mut normal = Array2::zeros((self.set.len(), self.set.len()));
        let mut products = Array2::zeros((self.set.len(), self.outputs.len()));
        for start in (0..self.coalitions.len()).step_by(BLOCK) {
            let block = start..self.coalitions.len().min(start + BLOCK);
            let shares: Vec<f64> =
                block.clone().map(|index| share(self.coalitions.get(index))).collect();
            let rows = Array2::from_shape_fn((block.len(), self.set.len()), |(place, column)| {
                let coalition = self.coalitions.get(start + place);
                f64::from(u8::from(contains(coalition, self.set[column]))) - shares[place]
            });
            let targets =
                Array2::from_shape_fn((block.len(), self.outputs.len()), |(place, column)| {
                    let output = self.outputs[column];
                    self.effects[[output, start + place]] - shares[place] * self.changes[output]
                });
            let weights = ndarray::ArrayView1::from(&self.weights[block]);
            let weighted = &rows * &weights.insert_axis(Axis(1));
            normal += &weighted.t().dot(&rows);
            products += &weighted.t().dot(&targets);
        }
        (normal, products)
    }
}
