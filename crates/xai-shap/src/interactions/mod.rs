//! Shapley values from a paired design whose model of the game has more than single players in it.

mod evidence;
mod kernel;
mod model;
#[cfg(test)]
mod tests;
mod triples;

use std::rc::Rc;

use ndarray::{Array1, Array2, Axis, s};
use xai_core::{Error, Result, Row, Rows};

use crate::paired::{Regression, with_sums};
use crate::uncertainty::Influences;
use evidence::Problem;
use kernel::Pairs;
use model::Model;

/// The most pairs: work grows with the cube of their number, to about a second of one core at this one.
const MAX_PAIRS: usize = 512;

/// The fewest pairs: below, their residuals say too little about the error.
const MIN_PAIRS: usize = 16;

/// The pairs are predicted in so many parts.
const N_PARTS: usize = 5;

/// A plain residual below this share of the differences is rounding.
const ROUNDING: f64 = 1e-12;

/// The paired regression with interactions of three and more players beside the players themselves.
///
/// With `u = 2z - 1` a game is a sum of products of entries of `u`, of which the difference of a pair keeps those of
/// odd degree: `delta(u) = beta . u + g(u)`. The plain regression takes `g` for noise, and has most of its error from
/// it. Here `g` is a Gaussian process with a covariance `K` of its degrees, and the noise is what is left, with
/// the variance `noise / a_k` at a pair of kernel weight `a_k`. Then the mean of the Shapley values given the
/// differences is also the plain regression on `delta - g` plus the Shapley values of `g`, so that whatever `K` is,
///
/// - no more is assumed than before: as the noise grows, the values become the plain ones, and the best of the two is
///   taken by its likelihood;
/// - interactions of at most two players cost nothing, and all pairs together give exact values;
/// - the values are linear in the differences, and add up to the change.
///
/// `K` follows from the data in two steps. The share of each degree and the noise are those of the largest restricted
/// likelihood on a small grid. Then each product of three players gets a separate weight, in proportion to what
/// they were found to contribute. All outputs have the same `K`.
///
/// The errors are those of a jackknife: the lack of a pair changes the values by its weight in them times its error
/// when it is predicted from the others. Everything above is chosen with the pair in sight, which makes a prediction
/// look better than it is, so it comes from a fifth of the pairs at a time and everything chosen without them.
///
/// # Source
/// Rasmussen & Williams 2006, "Gaussian processes for machine learning": section 2.7 (an explicit linear part) and
/// 5.3 (cross-validation). Patterson & Thompson 1971 (restricted likelihood). Their combination with a paired design, and
/// the Shapley values of the covariance, are new here.
pub(crate) struct Smoother {
    regression: Rc<Regression>,
    /// The weight of each pair's difference in each player's value, shape `(n_pairs, n_players)`.
    weights: Array2<f64>,
    /// How far each difference is from its prediction by other pairs, shape `(n_pairs, n_outputs)`; `None` when there
    /// are too few pairs to estimate the error.
    left_out: Option<Array2<f64>>,
}

impl Smoother {
    /// Chooses the covariance for these differences, shape `(n_outputs, n_pairs)`, and `changes`, the differences of
    /// the full and the empty coalition. `None` where the plain regression is as good, or where there are too few
    /// pairs or too many.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for differences that are not.
    pub(crate) fn fit(
        regression: Rc<Regression>,
        deltas: &Rows,
        changes: &Array1<f64>,
    ) -> Result<Option<Self>> {
        let (n_pairs, n_players) = regression.centred.dim();
        let enough = (n_players + 2).max(MIN_PAIRS);
        if n_players < 4
            || !(enough..=MAX_PAIRS).contains(&n_pairs)
            || regression.strata.exhausted()
        {
            return Ok(None);
        }
        match fit(&regression, deltas, changes) {
            // Two pairs that are equal to rounding: the plain regression can solve them.
            Err(Error::Singular { .. }) => Ok(None),
            fitted => {
                Ok(fitted?.map(|(weights, left_out)| Smoother { regression, weights, left_out }))
            }
        }
    }

    /// Shapley values, as [`Regression::values`]; linear in `deltas` and `changes`.
    pub(crate) fn values(&self, deltas: &Rows, changes: &Array1<f64>) -> Array2<f64> {
        let targets = self.regression.targets(deltas, changes);
        with_sums(&self.weights.t().dot(&targets), changes)
    }

    /// What each pair adds to the error of one output's values; `None` when there are too few pairs to estimate it.
    pub(crate) fn influences(&self, output: usize) -> Option<Influences> {
        let left_out = self.left_out.as_ref()?.slice(s![.., output..=output]);
        self.regression.strata.influences(self.weights.ncols(), |sampled| {
            &self.weights.select(Axis(0), sampled) * &left_out.select(Axis(0), sampled)
        })
    }
}

/// [`Smoother::weights`] and [`Smoother::left_out`].
type Fitted = (Array2<f64>, Option<Array2<f64>>);

fn fit(regression: &Regression, deltas: &Rows, changes: &Array1<f64>) -> Result<Option<Fitted>> {
    let plain = regression.values(deltas, changes);
    let residuals = |output: usize| regression.residuals(&deltas.row(output), &plain.row(output));
    // The others are explained by the players alone, and have no say.
    let open: Vec<usize> = (0..deltas.nrows())
        .filter(|&output| ROUNDING * largest(&deltas.row(output)) < largest(&residuals(output)))
        .collect();
    if open.is_empty() {
        return Ok(None);
    }
    let mut targets = regression.targets(deltas, changes).select(Axis(1), &open);
    // In units of the largest each, so that no scale overflows or is lost.
    let units: Vec<f64> = targets.columns().into_iter().map(|column| largest(&column)).collect();
    targets.columns_mut().into_iter().zip(&units).for_each(|(mut column, unit)| column /= *unit);
    let (pairs, problem) = (Pairs::new(regression), Problem::new(regression, targets));
    let Some(model) = Model::choose(&pairs, &problem)? else { return Ok(None) };
    let weights = problem
        .posterior(&model.covariance(&pairs), model.noise)?
        .weights(&problem, &model.shapley(&pairs))?;
    if !regression.strata.is_enough_for_errors(pairs.n_players()) {
        return Ok(Some((weights, None)));
    }
    let mut left_out = Array2::zeros((pairs.len(), deltas.nrows()));
    for (output, mut column) in left_out.columns_mut().into_iter().enumerate() {
        column.assign(&residuals(output));
    }
    let predicted = cross_validated(&pairs, &problem)?;
    for ((&output, unit), column) in open.iter().zip(units).zip(predicted.columns()) {
        left_out.column_mut(output).assign(&(&column * unit));
    }
    Ok(Some((weights, Some(left_out))))
}

/// How far the targets of each part of the pairs are from their predictions by a model of the others, shape
/// `(n_pairs, n_outputs)`.
fn cross_validated(pairs: &Pairs, problem: &Problem) -> Result<Array2<f64>> {
    let mut left_out = Array2::zeros((pairs.len(), problem.n_outputs()));
    for part in 0..N_PARTS {
        // Pairs of one size follow one another at distances, so that each part has its share of every size.
        let (out, known): (Vec<usize>, Vec<usize>) =
            (0..pairs.len()).partition(|pair| pair % N_PARTS == part);
        let selected = problem.select(&known);
        let model =
            Model::choose(&pairs.select(&known), &selected)?.unwrap_or_else(|| Model::plain(pairs));
        let covariance = model.covariance(pairs).select(Axis(1), &known);
        let posterior = selected.posterior(&covariance.select(Axis(0), &known), model.noise)?;
        let errors = posterior.errors(&problem.select(&out), &covariance.select(Axis(0), &out));
        for (row, &pair) in errors.rows().into_iter().zip(&out) {
            left_out.row_mut(pair).assign(&row);
        }
    }
    Ok(left_out)
}

fn largest(numbers: &Row) -> f64 {
    numbers.fold(0.0_f64, |most, number| most.max(number.abs()))
}
