//! Shapley values from a paired design.

use ndarray::{Array1, Array2, Axis, s};
use xai_core::{Result, Rows, linalg};

use crate::coalitions::contains;
use crate::design::{Design, Stratum};
use crate::uncertainty::Influences;

/// The least-squares problem of the beginning of a design, factorised: with `u = 2z - 1` and
/// `delta = v(z) - v(complement of z)`, minimise `sum a_k (delta_k - u_k . phi)^2` subject to `sum phi = change`.
///
/// # Source
/// The pairing is Covert & Lee 2021, "Improving KernelSHAP", section 4.2; that the even part drops out of the paired
/// problem follows from expanding the two residuals of a pair. The standard errors are those of a stratified sample
/// without replacement (Cochran 1977, section 5.4), applied to each pair's influence on the solution. A fit is closest
/// to the pairs it leans on most, so each residual is divided by what the fit leaves free at its pair, one minus its
/// leverage, as in a jackknife (MacKinnon & White 1985, "Some heteroskedasticity-consistent covariance matrix
/// estimators", HC3). Below two pairs per player the residuals say too little, and there are no standard errors.
pub(crate) struct Regression {
    blocks: Vec<Block>,
    /// The block of each pair.
    block_of: Vec<usize>,
    /// `u` without its component along the vector of ones, shape `(n_pairs, n_players)`.
    centred: Array2<f64>,
    /// The sums of `u`, shape `(n_pairs, 1)`.
    sums: Array2<f64>,
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
        let (blocks, block_of) = blocks_of_pairs(design, n_pairs);
        let weights = pair_weights(&blocks, &block_of);
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
        Ok(Regression { blocks, block_of, centred, sums, weighted, inverse })
    }

    /// Shapley values, shape `(n_games, n_players)`: `deltas` has shape `(n_games, n_pairs)`, `changes` holds
    /// `v(all) - v(none)` of each game.
    pub(crate) fn values(&self, deltas: &Rows, changes: &Array1<f64>) -> Array2<f64> {
        if self.centred.ncols() == 0 {
            return Array2::zeros((deltas.nrows(), 0));
        }
        let share = changes / self.centred.ncols() as f64;
        let targets = &deltas.t() - &self.sums * &share.view().insert_axis(Axis(0));
        let psi = self.inverse.dot(&self.weighted.t().dot(&targets));
        // What rounding left along the ones goes, so that the sum is the change to the last bits.
        let along = psi.mean_axis(Axis(0)).expect("not without players");
        &psi.t() + &(share - along).insert_axis(Axis(1))
    }

    /// What each pair adds to the error of one game's values; `None` when there are too few pairs to tell.
    pub(crate) fn influences(
        &self,
        deltas: &Array1<f64>,
        values: &Array1<f64>,
    ) -> Option<Influences> {
        let (n_pairs, n_players) = self.centred.dim();
        if self.blocks.iter().all(|block| block.exhausted) {
            return Some(Influences::none(n_players));
        }
        let sampled: Vec<usize> =
            (0..n_pairs).filter(|&pair| !self.blocks[self.block_of[pair]].exhausted).collect();
        let thin = |block: &&Block| !block.exhausted && block.taken < 2;
        if n_pairs < 2 * n_players || self.blocks.iter().any(|block| thin(&block)) {
            return None;
        }
        let sum = values.sum() / n_players as f64;
        let fitted = self.centred.dot(values) + &self.sums.column(0) * sum;
        let residuals = deltas - &fitted;
        let mut influences = self.weighted.select(Axis(0), &sampled).dot(&self.inverse);
        for (mut row, &pair) in influences.rows_mut().into_iter().zip(&sampled) {
            let leverage = row.dot(&self.centred.row(pair));
            row *= residuals[pair] / (1.0 - leverage).max(LEAST_REST);
        }
        let mut means = Array2::<f64>::zeros((self.blocks.len(), n_players));
        for (row, &pair) in influences.rows().into_iter().zip(&sampled) {
            let block = self.block_of[pair];
            means.row_mut(block).scaled_add(1.0 / self.blocks[block].taken as f64, &row);
        }
        for (mut row, &pair) in influences.rows_mut().into_iter().zip(&sampled) {
            let block = &self.blocks[self.block_of[pair]];
            let taken = block.taken as f64;
            let unseen = 1.0 - taken / block.available;
            row -= &means.row(self.block_of[pair]);
            row *= (unseen * taken / (taken - 1.0)).sqrt();
        }
        let n_blocks = self.blocks.iter().filter(|block| !block.exhausted).count();
        let freedom = (n_pairs - n_players).min(sampled.len() - n_blocks);
        Some(Influences { rows: influences, freedom: freedom as f64 })
    }
}

/// The kernel weight of each of the first `n_pairs` pairs, of sum 1.
pub(crate) fn weights(design: &Design, n_pairs: usize) -> Array1<f64> {
    let (blocks, block_of) = blocks_of_pairs(design, n_pairs);
    pair_weights(&blocks, &block_of)
}

fn pair_weights(blocks: &[Block], block_of: &[usize]) -> Array1<f64> {
    let weight = |&block: &usize| blocks[block].weight / blocks[block].taken as f64;
    let weights: Array1<f64> = block_of.iter().map(weight).collect();
    &weights / weights.sum()
}

/// The blocks of the first `n_pairs` pairs, and that of each pair.
fn blocks_of_pairs(design: &Design, n_pairs: usize) -> (Vec<Block>, Vec<usize>) {
    let mut taken = vec![0; design.strata.len()];
    (0..n_pairs).for_each(|pair| taken[design.stratum_of(pair)] += 1);
    let (blocks, of_stratum) = blocks(&design.strata, &taken);
    let block_of = (0..n_pairs).map(|pair| of_stratum[design.stratum_of(pair)]).collect();
    (blocks, block_of)
}

/// Strata that share weight and variance: one each, or neighbours that are too thin to stand alone.
#[derive(Clone, Debug)]
struct Block {
    taken: usize,
    available: f64,
    weight: f64,
    exhausted: bool,
}

/// The blocks, and that of each stratum.
fn blocks(strata: &[Stratum], taken: &[usize]) -> (Vec<Block>, Vec<usize>) {
    let mut blocks: Vec<Block> = Vec::new();
    let mut block_of = Vec::new();
    let mut thin: Option<usize> = None;
    for (stratum, &taken) in strata.iter().zip(taken) {
        let Stratum { available, weight, .. } = *stratum;
        let exhausted = available <= taken as f64;
        let own = Block { taken, available, weight, exhausted };
        match thin.filter(|_| !exhausted) {
            Some(index) => {
                blocks[index].join(&own);
                block_of.push(index);
            }
            None => {
                blocks.push(own);
                block_of.push(blocks.len() - 1);
            }
        }
        thin = thin.filter(|_| exhausted).or((!exhausted).then(|| block_of[block_of.len() - 1]));
        thin = thin.filter(|&index| blocks[index].taken < 2);
    }
    if let Some(last) = thin
        && let Some(into) = blocks.iter().rposition(|block| !block.exhausted && 2 <= block.taken)
    {
        let block = blocks[last].clone();
        blocks[into].join(&block);
        // It keeps its place, without pairs, so that the others keep theirs.
        blocks[last] = Block { taken: 0, available: 0.0, weight: 0.0, exhausted: true };
        block_of.iter_mut().filter(|own| **own == last).for_each(|own| *own = into);
    }
    (blocks, block_of)
}

impl Block {
    fn join(&mut self, other: &Block) {
        self.taken += other.taken;
        self.available += other.available;
        self.weight += other.weight;
    }
}

/// The differences of pairs, shape `(n_games, n_pairs)`, from worths in the order of the design, shape
/// `(n_games, 2 * n_pairs)`.
pub(crate) fn differences(worth: &Rows) -> Array2<f64> {
    &worth.slice(s![.., ..;2]) - &worth.slice(s![.., 1..;2])
}
