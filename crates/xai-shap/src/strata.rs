//! The strata of a paired design: the weights of its pairs, and the error of an estimate from them.

use ndarray::{Array1, Array2};

use crate::design::{Design, Stratum};
use crate::uncertainty::Influences;

/// The strata of the first pairs of a design.
pub(crate) struct Strata {
    blocks: Vec<Block>,
    /// The block of each pair.
    block_of: Vec<usize>,
}

impl Strata {
    /// Those of the first `n_pairs` pairs.
    pub(crate) fn new(design: &Design, n_pairs: usize) -> Self {
        let mut taken = vec![0; design.strata.len()];
        (0..n_pairs).for_each(|pair| taken[design.stratum_of(pair)] += 1);
        let (blocks, of_stratum) = blocks(&design.strata, &taken);
        let block_of = (0..n_pairs).map(|pair| of_stratum[design.stratum_of(pair)]).collect();
        Strata { blocks, block_of }
    }

    /// The kernel weight of each pair, of sum 1.
    pub(crate) fn weights(&self) -> Array1<f64> {
        let weight = |&block: &usize| self.blocks[block].weight / self.blocks[block].taken as f64;
        let weights: Array1<f64> = self.block_of.iter().map(weight).collect();
        &weights / weights.sum()
    }

    /// Whether no pairs are left in any of them.
    pub(crate) fn exhausted(&self) -> bool {
        self.blocks.iter().all(|block| block.exhausted)
    }

    /// Whether there are enough pairs to estimate an error: two in each stratum, and two per player, below which the
    /// residuals say too little.
    pub(crate) fn is_enough_for_errors(&self, n_players: usize) -> bool {
        let thin = |block: &Block| !block.exhausted && block.taken < 2;
        2 * n_players <= self.block_of.len() && !self.blocks.iter().any(thin)
    }

    /// The error of an estimate from what the lack of each pair changes in it: `changes` is asked for those of the
    /// pairs of strata that are not exhausted, shape `(n_such_pairs, n_players)`. `None` when there are too few pairs
    /// to estimate it.
    ///
    /// # Source
    /// The variance of a stratified sample without replacement: Cochran 1977, section 5.4.
    pub(crate) fn influences(
        &self,
        n_players: usize,
        changes: impl FnOnce(&[usize]) -> Array2<f64>,
    ) -> Option<Influences> {
        if self.exhausted() {
            return Some(Influences::none(n_players));
        }
        if !self.is_enough_for_errors(n_players) {
            return None;
        }
        let n_pairs = self.block_of.len();
        let sampled: Vec<usize> =
            (0..n_pairs).filter(|&pair| !self.blocks[self.block_of[pair]].exhausted).collect();
        let mut influences = changes(&sampled);
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
        let block = Block { taken, available, weight, exhausted };
        match thin.filter(|_| !exhausted) {
            Some(index) => {
                blocks[index].join(&block);
                block_of.push(index);
            }
            None => {
                blocks.push(block);
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
        block_of.iter_mut().filter(|index| **index == last).for_each(|index| *index = into);
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
