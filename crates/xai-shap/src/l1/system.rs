//! The least-squares problem in which players are selected, as sums over the coalitions.

use ndarray::{Array1, Array2, Axis, s};
use xai_core::Rows;

use super::rules::{SelectionRules, Units};
use crate::coalitions::{Coalitions, contains};

/// Coalitions whose rows are in memory at a time.
const BLOCK: usize = 256;

/// The constrained regression as an unconstrained one of twice the rows: `z_k` for the target `e_k` with weight
/// `kappa_k (M - |z_k|)`, and `z_k - 1` for the target `e_k - c` with weight `kappa_k |z_k|`.
///
/// Only the sums of its products are kept; the rows are made again where residuals are asked for.
pub(crate) struct System<'a> {
    rows: WeightedRows<'a>,
    pub(crate) rules: &'a dyn SelectionRules,
    pub(crate) n_allocated: usize,
    /// Twice the allocated coalitions.
    pub(crate) n_rows: f64,
    /// Shape `(n_players, n_players)`.
    pub(crate) gram: Array2<f64>,
    /// Shape `(n_players, n_outputs)`.
    products: Array2<f64>,
    column_sums: Array1<f64>,
    target_sums: Array1<f64>,
    target_squares: Array1<f64>,
}

/// The rows and targets, each times the square root of its weight.
struct WeightedRows<'a> {
    coalitions: &'a Coalitions,
    weights: &'a [f64],
    effects: &'a Rows,
    changes: &'a Array1<f64>,
    units: Units,
}

impl<'a> System<'a> {
    pub(crate) fn new(
        coalitions: &'a Coalitions,
        weights: &'a [f64],
        n_allocated: usize,
        effects: &'a Rows,
        changes: &'a Array1<f64>,
        rules: &'a dyn SelectionRules,
    ) -> Self {
        let (n_players, n_outputs) = (coalitions.n_players(), effects.nrows());
        let n_rows = 2.0 * n_allocated as f64;
        let total_weight = n_players as f64 * weights.iter().sum::<f64>();
        let units = rules.units(weights, effects, changes, total_weight, n_rows);
        let rows = WeightedRows { coalitions, weights, effects, changes, units };
        let mut gram = Array2::zeros((n_players, n_players));
        let mut products = Array2::zeros((n_players, n_outputs));
        let mut column_sums = Array1::zeros(n_players);
        let mut target_sums = Array1::zeros(n_outputs);
        let mut target_squares = Array1::zeros(n_outputs);
        rows.each_block(0..n_outputs, |rows, targets| {
            gram += &rows.t().dot(rows);
            products += &rows.t().dot(targets);
            column_sums += &rows.sum_axis(Axis(0));
            target_sums += &targets.sum_axis(Axis(0));
            target_squares += &targets.mapv(|target| target * target).sum_axis(Axis(0));
        });
        System {
            rows,
            rules,
            n_allocated,
            n_rows,
            gram,
            products,
            column_sums,
            target_sums,
            target_squares,
        }
    }

    /// The products of the columns with the output's target, shape `(n_players,)`.
    pub(crate) fn correlations(&self, output: usize) -> Array1<f64> {
        self.products.column(output).to_owned()
    }

    /// The Gram matrix of the columns without their means.
    pub(crate) fn centred_gram(&self) -> Array2<f64> {
        let sums = self.column_sums.view();
        &self.gram - &(&sums.insert_axis(Axis(1)) * &(&sums / self.n_rows))
    }

    /// As [`correlations`](Self::correlations), without the means.
    pub(crate) fn centred_correlations(&self, output: usize) -> Array1<f64> {
        let mean = self.target_sums[output] / self.n_rows;
        &self.products.column(output) - &(&self.column_sums * mean)
    }

    /// The squares of the output's target without its mean, summed.
    pub(crate) fn centred_square(&self, output: usize) -> f64 {
        let sum = self.target_sums[output];
        (self.target_squares[output] - sum * sum / self.n_rows).max(0.0)
    }

    /// For each vector of coefficients the squared residuals, with an intercept, summed over all rows.
    pub(crate) fn residual_squares(&self, output: usize, solutions: &[Array1<f64>]) -> Vec<f64> {
        let views: Vec<_> = solutions.iter().map(|solution| solution.view()).collect();
        let solutions = ndarray::stack(Axis(1), &views).expect("one coefficient per player");
        let mean = self.target_sums[output] / self.n_rows;
        let intercepts = mean - self.column_sums.dot(&solutions) / self.n_rows;
        let absent = self.n_rows - 2.0 * self.rows.coalitions.len() as f64;
        let mut squares = intercepts.mapv(|intercept| absent * intercept * intercept);
        self.rows.each_block(output..output + 1, |rows, targets| {
            let residuals = targets - &rows.dot(&solutions) - &intercepts;
            squares += &residuals.mapv(|residual| residual * residual).sum_axis(Axis(0));
        });
        squares.to_vec()
    }
}

impl WeightedRows<'_> {
    /// Calls `visit` with the rows of some coalitions, shape `(n_rows, n_players)`, and their targets,
    /// `(n_rows, n_outputs)`, until all have been visited; the two rows of a coalition stand together.
    fn each_block(
        &self,
        outputs: std::ops::Range<usize>,
        mut visit: impl FnMut(&Array2<f64>, &Array2<f64>),
    ) {
        let n_players = self.coalitions.n_players();
        for start in (0..self.coalitions.len()).step_by(BLOCK) {
            let end = self.coalitions.len().min(start + BLOCK);
            let mut rows = Array2::zeros((2 * (end - start), n_players));
            let mut targets = Array2::zeros((2 * (end - start), outputs.len()));
            for index in start..end {
                let coalition = self.coalitions.get(index);
                let size: u32 = coalition.iter().map(|word| word.count_ones()).sum();
                let weight = self.weights[index] * self.units.factor;
                let present = (weight * (n_players as f64 - f64::from(size))).sqrt();
                let absent = (weight * f64::from(size)).sqrt();
                let place = 2 * (index - start);
                for player in 0..n_players {
                    if contains(coalition, player) {
                        rows[[place, player]] = present;
                    } else {
                        rows[[place + 1, player]] = -absent;
                    }
                }
                let mut targets = targets.slice_mut(s![place..place + 2, ..]);
                for (column, output) in outputs.clone().enumerate() {
                    let scale = self.units.scales[output];
                    let effect = scale * self.effects[[output, index]];
                    targets[[0, column]] = present * effect;
                    targets[[1, column]] = absent * (effect - scale * self.changes[output]);
                }
            }
            visit(&rows, &targets);
        }
    }
}
