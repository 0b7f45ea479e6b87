//! The choice of a covariance by the data.

use ndarray::Array2;
use xai_core::Result;

use super::evidence::Problem;
use super::kernel::Pairs;
use super::triples::{self, Triples};

/// Variances of what no interaction explains, in units of what they do, that are tried.
const NOISES: [f64; 3] = [1e-3, 0.1, 1.0];

/// Shares of a degree's variance that the next odd degree has, that are tried.
const DECAYS: [f64; 4] = [0.0, 0.1, 0.3, 1.0];

/// How much of the final weights of triples comes from the data; the rest is the same for all.
const SHARPNESS: f64 = 0.9;

/// The gain in log-likelihood per pair from which the weights of triples are kept.
const LEAST_GAIN: f64 = 0.25;

/// The covariance of the interactions.
pub(super) struct Model {
    /// Of the degrees 3, 5, ... in the variance.
    shares: Vec<f64>,
    /// The variances of the products of three players, where they have separate ones.
    triples: Option<Triples>,
    /// The variance of the noise, of which that of the interactions is the unit.
    pub(super) noise: f64,
}

impl Model {
    /// Nothing but noise.
    pub(super) fn plain(pairs: &Pairs) -> Self {
        Model { shares: vec![0.0; pairs.shares(0.0).len()], triples: None, noise: 1.0 }
    }

    /// The likeliest; `None` when that has no interactions.
    pub(super) fn choose(pairs: &Pairs, problem: &Problem) -> Result<Option<Self>> {
        let Some((decay, noise)) = likeliest(pairs, problem)? else { return Ok(None) };
        let mut model = Model { shares: pairs.shares(decay), triples: None, noise };
        model.triples = model.reweighed(pairs, problem)?;
        Ok(Some(model))
    }

    /// Of the differences of the pairs with each other, shape `(n_pairs, n_pairs)`.
    pub(super) fn covariance(&self, pairs: &Pairs) -> Array2<f64> {
        let alike = pairs.covariance(&self.shares);
        let Some(triples) = &self.triples else { return alike };
        let common = pairs.covariance(&self.of_triples()) * (triples.common - 1.0);
        alike + common + triples.covariance(pairs, self.shares[0])
    }

    /// Of the differences of the pairs with the Shapley values, shape `(n_pairs, n_players)`.
    pub(super) fn shapley(&self, pairs: &Pairs) -> Array2<f64> {
        let alike = pairs.shapley(&self.shares);
        let Some(triples) = &self.triples else { return alike };
        let common = pairs.shapley(&self.of_triples()) * (triples.common - 1.0);
        alike + common + triples.shapley(pairs, self.shares[0])
    }

    /// The shares without those of higher degrees.
    fn of_triples(&self) -> Vec<f64> {
        let mut shares = vec![0.0; self.shares.len()];
        shares[0] = self.shares[0];
        shares
    }

    /// Triples weighed by their part in the posterior, twice; `None` where the likelihood gains too little, or where
    /// there are too many triples.
    ///
    /// The first time is a step of expectation and maximisation, with the mean for its expectation; the second goes
    /// further than that.
    fn reweighed(&self, pairs: &Pairs, problem: &Problem) -> Result<Option<Triples>> {
        let n_players = pairs.n_players();
        let Some(mut triples) = Triples::new(n_players) else { return Ok(None) };
        let first = problem.posterior(&self.covariance(pairs), self.noise)?;
        let explained = self.shares[0] * first.explained(problem, self.noise)?;
        let sharpness = (explained / triples::number(n_players) as f64).clamp(0.0, 1.0);
        if !triples.reweigh(pairs, &first, sharpness) {
            return Ok(None);
        }
        let mut model =
            Model { shares: self.shares.clone(), triples: Some(triples), noise: self.noise };
        let surprise = first.surprise();
        let second = problem.posterior(&model.covariance(pairs), self.noise)?;
        if !model.triples.as_mut().is_some_and(|triples| triples.reweigh(pairs, &second, SHARPNESS))
        {
            return Ok(None);
        }
        let third = problem.factor(model.covariance(pairs), self.noise)?;
        let gain = (surprise - third.surprise) / (pairs.len() * problem.n_outputs()) as f64;
        Ok(model.triples.filter(|_| LEAST_GAIN < gain))
    }
}

/// The decay of variance with the degree and the noise of the largest likelihood; `None` when it is largest without
/// interactions. A search along one of them at a time.
fn likeliest(pairs: &Pairs, problem: &Problem) -> Result<Option<(f64, f64)>> {
    let none = Array2::zeros((pairs.len(), pairs.len()));
    let mut least = problem.factor(none, 1.0)?.surprise;
    let mut best = None;
    let mut tried = Vec::new();
    let mut attempt = |decay: f64, noise: f64, best: &mut Option<(f64, f64)>| -> Result<()> {
        if !tried.contains(&(decay, noise)) {
            tried.push((decay, noise));
            let surprise = problem.factor(pairs.covariance(&pairs.shares(decay)), noise)?.surprise;
            if surprise < least {
                (least, *best) = (surprise, Some((decay, noise)));
            }
        }
        Ok(())
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
