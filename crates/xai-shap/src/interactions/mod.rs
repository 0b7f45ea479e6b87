//! Shapley values from a paired design whose model of the game has more than single players in it.

mod evidence;
mod kernel;
#[cfg(test)]
mod tests;
mod triples;

use std::rc::Rc;

use ndarray::{Array1, Array2, Axis};
use xai_core::{Error, Result, Rows};

use crate::paired::{Regression, with_sums};
use crate::uncertainty::Influences;
use evidence::{Posterior, Problem};
use kernel::{Kernel, Pairs};
use triples::Triples;

/// The most pairs: work grows with the cube of their number.
const MAX_PAIRS: usize = 1000;

/// The fewest pairs: below, their residuals say too little about the error.
const MIN_PAIRS: usize = 16;

/// Variances of what no interaction explains, in units of what they do, that are tried.
const NOISES: [f64; 3] = [1e-3, 0.1, 1.0];

/// Shares of a degree's variance that the next odd degree has, that are tried.
const DECAYS: [f64; 4] = [0.0, 0.1, 0.3, 1.0];

/// How much of the final weights of triples comes from the data; the rest is the same for all.
const SHARPNESS: f64 = 0.9;

/// The gain in log-likelihood per pair from which the weights of triples are kept.
const LEAST_GAIN: f64 = 0.25;

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
/// likelihood on a small grid. Then the products of three players get weights of their own, in proportion to what
/// they were found to contribute. All outputs have the same `K`.
///
/// The errors are those of leaving out one pair: it changes the values by its weight in them times its error when it
/// is predicted from the others. The last weights of triples have seen that error, so it is taken from the step
/// before, and standard errors are rather too large than too small.
///
/// # Source
/// Rasmussen & Williams 2006, "Gaussian processes for machine learning": section 2.7 (an explicit linear part), 5.4.2
/// (leaving one out). Patterson & Thompson 1971 (restricted likelihood). Their combination with a paired design, and
/// the Shapley values of the covariance, are ours.
pub(crate) struct Smoother {
    regression: Rc<Regression>,
    /// The weight of each pair's difference in each player's value, shape `(n_pairs, n_players)`.
    weights: Array2<f64>,
    /// How far each difference is from its prediction by the other pairs, shape `(n_pairs, n_outputs)`.
    left_out: Array2<f64>,
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
        let open = unexplained(&regression, deltas, changes);
        if n_players < 4
            || !(enough..=MAX_PAIRS).contains(&n_pairs)
            || regression.strata.exhausted()
            || open.is_empty()
        {
            return Ok(None);
        }
        match fit(&regression, deltas, changes, &open) {
            // Two pairs that rounding cannot tell apart: the plain regression does not mind.
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

    /// What each pair adds to the error of one output's values; `None` when there are too few pairs to tell.
    pub(crate) fn influences(&self, output: usize) -> Option<Influences> {
        self.regression.strata.influences(self.weights.ncols(), |sampled| {
            let left_out = self.left_out.select(Axis(0), sampled);
            &self.weights.select(Axis(0), sampled)
                * &left_out.slice(ndarray::s![.., output..=output])
        })
    }
}

/// The outputs whose differences the plain regression does not explain.
fn unexplained(regression: &Regression, deltas: &Rows, changes: &Array1<f64>) -> Vec<usize> {
    let values = regression.values(deltas, changes);
    let largest = |numbers: Array1<f64>| numbers.fold(0.0_f64, |most, own| most.max(own.abs()));
    let open = |&output: &usize| {
        let residuals = regression.residuals(&deltas.row(output), &values.row(output));
        ROUNDING * largest(deltas.row(output).to_owned()) < largest(residuals)
    };
    (0..deltas.nrows()).filter(open).collect()
}

/// The weights of the pairs in the values, and the residuals from the other pairs; `None` when the plain regression is
/// the more likely.
fn fit(
    regression: &Regression,
    deltas: &Rows,
    changes: &Array1<f64>,
    open: &[usize],
) -> Result<Option<(Array2<f64>, Array2<f64>)>> {
    let targets = regression.targets(deltas, changes);
    // In units of the largest each, so that no scale overflows or is lost.
    let mut scaled = targets.select(Axis(1), open);
    for mut column in scaled.columns_mut() {
        column /= column.fold(0.0_f64, |most, own| most.max(own.abs()));
    }
    let pairs = Pairs::new(regression);
    let problem = Problem::new(regression, scaled);
    let Some((decay, noise)) = likeliest(&pairs, &problem)? else { return Ok(None) };
    let shares = pairs.shares(decay);
    let kernel = pairs.kernel(&shares);
    let first = problem.posterior(&kernel, noise)?;
    let (values_of, residuals_of) = match reweighed(&pairs, &problem, &kernel, &shares, &first)? {
        Some((before, last)) => (last, before),
        None => return Ok(Some((first.weights.clone(), first.left_out(&targets)?))),
    };
    Ok(Some((values_of.weights, residuals_of.left_out(&targets)?)))
}

/// The decay of variance with the degree and the noise of the largest likelihood; `None` when it is largest without
/// interactions.
fn likeliest(pairs: &Pairs, problem: &Problem) -> Result<Option<(f64, f64)>> {
    let n_pairs = pairs.len();
    let none = Array2::zeros((n_pairs, n_pairs));
    let mut least = problem.factor(none, 1.0)?.surprise;
    let mut best = None;
    let mut tried = Vec::new();
    let mut attempt = |decay: f64, noise: f64, best: &mut Option<(f64, f64)>| {
        if !tried.contains(&(decay, noise)) {
            tried.push((decay, noise));
            let surprise = problem.factor(pairs.covariance(&pairs.shares(decay)), noise)?.surprise;
            if surprise < least {
                (least, *best) = (surprise, Some((decay, noise)));
            }
        }
        Ok::<_, Error>(())
    };
    for noise in NOISES {
        attempt(DECAYS[1], noise, &mut best)?;
    }
    for decay in DECAYS {
        let noise = best.map_or(NOISES[2], |(_, noise)| noise);
        attempt(decay, noise, &mut best)?;
    }
    if let Some((decay, _)) = best {
        for noise in NOISES {
            attempt(decay, noise, &mut best)?;
        }
    }
    Ok(best)
}

/// The posteriors after one and after two steps that weigh triples by their part in the one before; `None` where the
/// likelihood gains too little, or where there are too many triples.
///
/// The first step is one of expectation and maximisation, with the mean for its expectation; the second goes further
/// than that.
fn reweighed(
    pairs: &Pairs,
    problem: &Problem,
    kernel: &Kernel,
    shares: &[f64],
    first: &Posterior,
) -> Result<Option<(Posterior, Posterior)>> {
    let Some(mut triples) = Triples::new(pairs.n_players()) else { return Ok(None) };
    let mut only_triples = vec![0.0; shares.len()];
    only_triples[0] = 1.0;
    let alike = pairs.kernel(&only_triples);
    let mut step = |from: &Posterior, sharpness: f64| {
        let found = triples.reweigh(pairs, from, sharpness);
        found.then(|| {
            problem.posterior(&triples.replace(pairs, kernel, &alike, shares[0]), from.noise)
        })
    };
    let explained = shares[0] * first.explained() / triples::number(pairs.n_players()) as f64;
    let Some(second) = step(first, explained.clamp(0.0, 1.0)).transpose()? else { return Ok(None) };
    let Some(third) = step(&second, SHARPNESS).transpose()? else { return Ok(None) };
    let gain = (first.surprise - third.surprise) / (pairs.len() * problem.n_outputs()) as f64;
    Ok((LEAST_GAIN < gain).then_some((second, third)))
}
