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

/// Solves the paired problem: with `u = 2z - 1` and `delta = v(z) - v(complement of z)`,
/// minimise `sum a_k (delta_k - u_k . phi)^2` subject to `sum phi = change`.
///
/// `worth` has shape `(n_outputs, 2 * n_pairs)` in the order of the design, `change` is `v(all) - v(none)`.
///
/// # Errors
/// [`Error::Singular`](xai_core::Error::Singular) when the pairs leave some players' values open.
///
/// # Source
/// The pairing is Covert & Lee 2021, "Improving KernelSHAP", section 4.2; that the even part drops out of the paired
/// problem follows from expanding the two residuals of a pair. The standard errors are those of a stratified sample
/// without replacement (Cochran 1977, section 5.4), applied to each pair's influence on the solution, with a
/// degrees-of-freedom factor `B / (B - M)`.
pub(crate) fn solve(design: &Design, worth: &Rows, change: &Array1<f64>) -> Result<Estimate> {
    let n_players = design.coalitions.n_players();
    let n_pairs = design.coalitions.len() / 2;
    let blocks = blocks(&design.strata);
    let weights = pair_weights(&blocks, n_pairs);
    let signs = Array2::from_shape_fn((n_pairs, n_players), |(pair, player)| {
        if contains(design.coalitions.get(2 * pair), player) { 1.0 } else { -1.0 }
    });
    let deltas = (&worth.slice(s![.., ..;2]) - &worth.slice(s![.., 1..;2])).reversed_axes();

    // phi = change / M + psi with psi across the vector of ones: the constraint is gone, and designs of single players,
    // nearly parallel to the ones before, become well conditioned.
    let share = change / n_players as f64;
    let mean_signs = signs.mean_axis(Axis(1)).expect("at least one player").insert_axis(Axis(1));
    let centred = &signs - &mean_signs;
    let explained = &mean_signs * n_players as f64 * share.view().insert_axis(Axis(0));
    let targets = deltas - explained;
    let weighted = &centred * &weights.view().insert_axis(Axis(1));
    let mut normal = weighted.t().dot(&centred);
    // Along the ones nothing is asked; any positive number there makes the matrix definite.
    normal += normal.diag().mean().expect("at least one player") / n_players as f64;
    let inverse = linalg::cholesky_solve(&normal, &Array2::eye(n_players))?;
    let psi = inverse.dot(&weighted.t().dot(&targets));
    let residuals = targets - centred.dot(&psi);
    // What rounding left along the ones goes, so that the sum is the change to the last bits.
    let values = &psi.t()
        - &psi.mean_axis(Axis(0)).expect("at least one player").insert_axis(Axis(1))
        + &share.insert_axis(Axis(1));

    let standard_errors = if blocks.iter().all(|block| block.exhausted) {
        Some(Array2::zeros(values.dim()))
    } else if n_players < n_pairs && blocks.iter().all(Block::has_variance) {
        let influences = weighted.dot(&inverse);
        let freedom = n_pairs as f64 / (n_pairs - n_players) as f64;
        Some(standard_errors(&blocks, &influences, &residuals, freedom))
    } else {
        None
    };
    Ok(Estimate { values, standard_errors })
}

/// Strata that share weight and variance: one each, or neighbours that are too thin to stand alone.
struct Block {
    pairs: Vec<Range<usize>>,
    taken: usize,
    available: f64,
    weight: f64,
    exhausted: bool,
}

impl Block {
    fn has_variance(&self) -> bool {
        self.exhausted || 2 <= self.taken
    }
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

/// `influences` has shape `(n_pairs, n_players)`, `residuals` shape `(n_pairs, n_outputs)`.
fn standard_errors(
    blocks: &[Block],
    influences: &Rows,
    residuals: &Rows,
    freedom: f64,
) -> Array2<f64> {
    let mut variances = Array2::<f64>::zeros((residuals.ncols(), influences.ncols()));
    for (output, residual) in residuals.columns().into_iter().enumerate() {
        for block in blocks.iter().filter(|block| !block.exhausted) {
            let taken = block.taken as f64;
            let pairs = || block.pairs.iter().flat_map(Clone::clone);
            let effect = |pair: usize| &influences.row(pair) * residual[pair];
            let mut mean = Array1::<f64>::zeros(influences.ncols());
            for pair in pairs() {
                mean += &(effect(pair) / taken);
            }
            let mut squares = Array1::<f64>::zeros(influences.ncols());
            for pair in pairs() {
                squares += &(effect(pair) - &mean).mapv(|deviation| deviation * deviation);
            }
            let sampled = (1.0 - taken / block.available) * taken / (taken - 1.0);
            variances.row_mut(output).scaled_add(freedom * sampled, &squares);
        }
    }
    variances.mapv_into(f64::sqrt)
}
