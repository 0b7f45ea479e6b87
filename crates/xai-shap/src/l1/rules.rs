//! What a selection of players leaves to choice.

use ndarray::Array1;
use xai_core::Rows;

use super::lars::Crossing;
use super::lasso::Descent;

/// What the rows and targets of a selection are multiplied with.
pub(crate) struct Units {
    /// The factor of the weights.
    pub(crate) factor: f64,
    /// The factor of the targets of each output.
    pub(crate) scales: Vec<f64>,
}

/// The details of a selection in which shap differs from the published methods.
pub(crate) trait SelectionRules: Sync {
    /// The units of rows and targets; the rows of the system are `n_rows` of this total weight.
    fn units(
        &self,
        weights: &[f64],
        effects: &Rows,
        changes: &Array1<f64>,
        total_weight: f64,
        n_rows: f64,
    ) -> Units;

    /// What least-angle regression does with a coefficient that crosses zero.
    fn crossing(&self) -> Crossing;

    /// The most steps of the path that a criterion is computed along.
    fn max_steps(&self, n_players: usize) -> usize;

    /// The correlation at which a path ends.
    fn floor(&self, n_rows: f64, correlations: &Array1<f64>) -> f64;

    /// The residual variance that a perfect fit counts with.
    fn least_variance(&self) -> f64;

    /// How the lasso with a fixed penalty is computed.
    fn descent(&self) -> Descent;

    /// The players of the regression from those that the rule found, in the order in which it found them; `strongest`
    /// gives the player of largest correlation.
    fn complete(
        &self,
        selected: Vec<usize>,
        change: f64,
        strongest: &dyn Fn() -> usize,
    ) -> Vec<usize>;
}

/// The published methods, independent of the scale of the output: some player always explains a change.
pub(crate) struct NativeSelection;

/// The least number of steps of a path.
const PATH_STEPS: usize = 500;

/// Rounding of a correlation, in units of the largest one and per player.
const ROUNDING: f64 = 64.0 * f64::EPSILON;

impl SelectionRules for NativeSelection {
    /// Rows of weight 1 on average make a penalty mean the same for any number of coalitions.
    fn units(
        &self,
        weights: &[f64],
        effects: &Rows,
        changes: &Array1<f64>,
        total_weight: f64,
        n_rows: f64,
    ) -> Units {
        let scale = |output: usize| scale(weights, effects.row(output).iter(), changes[output]);
        Units { factor: n_rows / total_weight, scales: (0..effects.nrows()).map(scale).collect() }
    }

    fn crossing(&self) -> Crossing {
        Crossing::Ignore
    }

    fn max_steps(&self, n_players: usize) -> usize {
        PATH_STEPS.max(8 * n_players)
    }

    fn floor(&self, _n_rows: f64, correlations: &Array1<f64>) -> f64 {
        let largest = correlations.fold(0.0_f64, |largest, value| largest.max(value.abs()));
        ROUNDING * correlations.len() as f64 * largest
    }

    fn least_variance(&self) -> f64 {
        f64::EPSILON * f64::EPSILON
    }

    fn descent(&self) -> Descent {
        Descent { tolerance: 1e-9, max_sweeps: 100_000 }
    }

    fn complete(
        &self,
        mut selected: Vec<usize>,
        change: f64,
        strongest: &dyn Fn() -> usize,
    ) -> Vec<usize> {
        selected.sort_unstable();
        if selected.is_empty() && change != 0.0 {
            selected.push(strongest());
        }
        selected
    }
}

/// One over the standard deviation of the effects; of effects that are all alike, over the change.
fn scale<'e>(weights: &[f64], effects: impl Iterator<Item = &'e f64> + Clone, change: f64) -> f64 {
    // In units of the largest, so that no square is out of range.
    let unit = effects.clone().fold(change.abs(), |largest, effect| largest.max(effect.abs()));
    if unit == 0.0 {
        return 1.0;
    }
    let total: f64 = weights.iter().sum();
    let mean =
        weights.iter().zip(effects.clone()).map(|(w, e)| w * (e / unit)).sum::<f64>() / total;
    let square = |effect: &f64| (effect / unit - mean) * (effect / unit - mean);
    let variance = weights.iter().zip(effects).map(|(w, e)| w * square(e)).sum::<f64>() / total;
    let deviation = variance.sqrt();
    if f64::EPSILON.sqrt() < deviation { 1.0 / (unit * deviation) } else { 1.0 / unit }
}
