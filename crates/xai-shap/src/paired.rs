//! Shapley values and their standard errors from a paired design.

use std::ops::Range;

use ndarray::{Array1, Array2, Axis, s};
use xai_core::{Result, Rows, linalg};

use crate::coalitions::contains;
use crate::design::{Design, Stratum};

/// An estimate of Shapley values.
pub(crate) struct Estimate {
    /// Shape `(n_outputs, n_players)`; each row sums to the output's change.
    pub(crate) values: Array2<f64>,
    /// Standard errors, same shape; `None` when there are too few pairs to tell.
    pub(crate) standard_errors: Option<Array2<f64>>,
}

/// The least-squares problem of a design, factorised: with `u = 2z - 1` and `delta = v(z) - v(complement of z)`,
/// minimise `sum a_k (delta_k - u_k . phi)^2` subject to `sum phi = change`.
///
/// # Source
/// The pairing is Covert & Lee 2021, "Improving KernelSHAP", section 4.2; that the even part drops out of the paired
/// problem follows from expanding the two residuals of a pair. The standard errors are those of a stratified sample
/// without replacement (Cochran 1977, section 5.4), applied to each pair's influence on the solution, with a
/// degrees-of-freedom factor `B / (B - M)`.
pub(crate) struct Regression {
    n_players: usize,
    n_pairs: usize,
    blocks: Vec<Block>,
    /// `u` without its component along the vector of ones, shape `(n_pairs, n_players)`.
    centred: Array2<f64>,
    /// The sums of `u`, shape `(n_pairs, 1)`.
    sums: Array2<f64>,
    /// `a_k` times the rows of `centred`.
    weighted: Array2<f64>,
    /// The inverse of the normal matrix, shape `(n_players, n_players)`.
    inverse: Array2<f64>,
}

impl Regression {
    /// Factorises the problem, before anything is asked of the model.
    ///
    /// # Errors
    /// [`Error::Singular`](xai_core::Error::Singular) when the pairs leave some players' values open.
    pub(crate) fn new(design: &Design) -> Result<Self> {
        let n_players = design.coalitions.n_players();
        let n_pairs = design.coalitions.len() / 2;
        let blocks = blocks(&design.strata);
        let weights = pair_weights(&blocks, n_pairs);
        let signs = Array2::from_shape_fn((n_pairs, n_players), |(pair, player)| {
            if contains(design.coalitions.get(2 * pair), player) { 1.0 } else { -1.0 }
        });
        // phi = change / M + psi with psi across the vector of ones: the constraint is gone, and designs of single
        // players, nearly parallel to the ones before, become well conditioned.
        let sums = signs.sum_axis(Axis(1)).insert_axis(Axis(1));
        let centred = &signs - &(&sums / n_players as f64);
        let weighted = &centred * &weights.insert_axis(Axis(1));
        let mut normal = weighted.t().dot(&centred);
        // Along the ones nothing is asked; any positive number there makes the matrix definite.
        normal += normal.diag().mean().expect("at least one player") / n_players as f64;
        let inverse = linalg::cholesky_solve(&normal, &Array2::eye(n_players))?;
        Ok(Regression { n_players, n_pairs, blocks, centred, sums, weighted, inverse })
    }

    /// Solves for all outputs: `worth` has shape `(n_outputs, 2 * n_pairs)` in the order of the design, `change` is
    /// `v(all) - v(none)`.
    pub(crate) fn solve(&self, worth: &Rows, change: &Array1<f64>) -> Estimate {
        let share = change / self.n_players as f64;
        let deltas = &worth.slice(s![.., ..;2]) - &worth.slice(s![.., 1..;2]);
        let targets = deltas.reversed_axes() - &self.sums * &share.view().insert_axis(Axis(0));
        let psi = self.inverse.dot(&self.weighted.t().dot(&targets));
        let residuals = targets - self.centred.dot(&psi);
        // What rounding left along the ones goes, so that the sum is the change to the last bits.
        let along = psi.mean_axis(Axis(0)).expect("at least one player");
        let values = &psi.t() + &(share - along).insert_axis(Axis(1));
        let standard_errors = self.standard_errors(&residuals);
        Estimate { values, standard_errors }
    }

    /// From the residuals, shape `(n_pairs, n_outputs)`; `None` when there are too few pairs to tell.
    fn standard_errors(&self, residuals: &Rows) -> Option<Array2<f64>> {
        let mut variances = Array2::<f64>::zeros((residuals.ncols(), self.n_players));
        let sampled: Vec<&Block> = self.blocks.iter().filter(|block| !block.exhausted).collect();
        if sampled.is_empty() {
            return Some(variances);
        }
        if self.n_pairs <= self.n_players || sampled.iter().any(|block| block.taken < 2) {
            return None;
        }
        let freedom = self.n_pairs as f64 / (self.n_pairs - self.n_players) as f64;
        let influences = self.weighted.dot(&self.inverse);
        for (mut variances, residuals) in variances.rows_mut().into_iter().zip(residuals.columns())
        {
            for block in &sampled {
                let effects = || {
                    block
                        .pairs
                        .iter()
                        .flat_map(Clone::clone)
                        .map(|pair| &influences.row(pair) * residuals[pair])
                };
                let taken = block.taken as f64;
                let mean = effects()
                    .fold(Array1::<f64>::zeros(self.n_players), |sum, effect| sum + effect)
                    / taken;
                let squares = effects()
                    .fold(Array1::<f64>::zeros(self.n_players), |sum, effect| {
                        sum + (effect - &mean).mapv(|deviation| deviation * deviation)
                    });
                let unseen = 1.0 - taken / block.available;
                variances.scaled_add(freedom * unseen * taken / (taken - 1.0), &squares);
            }
        }
        Some(variances.mapv_into(f64::sqrt))
    }
}

/// Strata that share weight and variance: one each, or neighbours that are too thin to stand alone.
struct Block {
    pairs: Vec<Range<usize>>,
    taken: usize,
    available: f64,
    weight: f64,
    exhausted: bool,
}

fn blocks(strata: &[Stratum]) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut thin: Option<usize> = None;
    let mut start = 0;
    for stratum in strata {
        let pairs = start..start + stratum.taken;
        start = pairs.end;
        let exhausted = stratum.exhausted();
        let Stratum { available, weight, taken, .. } = *stratum;
        match thin.filter(|_| !exhausted) {
            Some(index) => {
                let block = &mut blocks[index];
                block.pairs.push(pairs);
                block.taken += taken;
                block.available += available;
                block.weight += weight;
            }
            None => blocks.push(Block { pairs: vec![pairs], taken, available, weight, exhausted }),
        }
        thin = thin.filter(|_| exhausted).or((!exhausted).then(|| blocks.len() - 1));
        thin = thin.filter(|&index| blocks[index].taken < 2);
    }
    if let Some(last) = thin
        && let Some(index) = blocks.iter().rposition(|block| !block.exhausted && 2 <= block.taken)
    {
        let block = blocks.remove(last);
        let into = &mut blocks[index];
        into.pairs.extend(block.pairs);
        into.taken += block.taken;
        into.available += block.available;
        into.weight += block.weight;
    }
    blocks
}

/// The kernel weight of each pair, of sum 1.
fn pair_weights(blocks: &[Block], n_pairs: usize) -> Array1<f64> {
    let mut weights = Array1::zeros(n_pairs);
    for block in blocks.iter().filter(|block| 0 < block.taken) {
        for pairs in &block.pairs {
            weights.slice_mut(s![pairs.clone()]).fill(block.weight / block.taken as f64);
        }
    }
    let total = weights.sum();
    weights / total
}
