//! Confidence bounds on a Bernoulli mean from the Kullback-Leibler divergence, and the search for the best arms.
//!
//! # Source
//! Kaufmann & Kalyanakrishnan 2013, "Information complexity in bandit subset selection", COLT.

use std::ops::ControlFlow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Halvings of the first bracket of a bound: it is found to 2^-16 of the bracket's width.
const HALVINGS: usize = 16;

/// The Kullback-Leibler divergence of a Bernoulli mean `p` from `q`, both in `[0, 1]` and taken no closer than 1e-7 to
/// 0 and 1e-16 to 1.
#[must_use]
pub fn kl(p: f64, q: f64) -> f64 {
    let inside = |mean: f64| mean.clamp(1e-7, 0.999_999_999_999_999_9);
    let (p, q) = (inside(p), inside(q));
    p * (p / q).ln() + (1.0 - p) * ((1.0 - p) / (1.0 - q)).ln()
}

/// The largest mean that an observed mean `p` leaves plausible: the `q` above `p` with `kl(p, q) = level`, rounded up
/// by at most 2^-16 of the first bracket.
///
/// `level` is the exploration rate over the number of samples, `0..`.
///
/// # Source
/// Kaufmann & Kalyanakrishnan 2013, equation (1), by bisection from Pinsker's bracket.
#[must_use]
pub fn upper_bound(p: f64, level: f64) -> f64 {
    let (mut low, mut high) = (p, (p + (level / 2.0).sqrt()).min(1.0));
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        if level < kl(p, middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// The smallest mean that an observed mean `p` leaves plausible, rounded down; see [`upper_bound`].
#[must_use]
pub fn lower_bound(p: f64, level: f64) -> f64 {
    let (mut low, mut high) = ((p - (level / 2.0).sqrt()).clamp(0.0, 1.0), p);
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        if level < kl(p, middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The exploration rate of KL-LUCB at step `step`, counted from 1, for `n_arms` arms and a risk of `delta`.
///
/// # Source
/// Kaufmann & Kalyanakrishnan 2013, theorem 1: `u + ln u` with `u = ln(405.5 n_arms step^1.1 / delta)`.
#[must_use]
pub fn exploration_rate(n_arms: usize, step: u64, delta: f64) -> f64 {
    let u = (405.5 * n_arms as f64 * (step as f64).powf(1.1) / delta).ln();
    u + u.ln()
}

/// How wide confidence bounds are while arms compete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Exploration {
    /// `ln((1 + ln step) / delta)`: what Garivier & Kaufmann 2016, "Optimal best arm identification with fixed
    /// confidence", section 6, use in place of their proved rates. No theorem covers it, and it is wrong less often than
    /// `delta` in their experiments and in the tests of this crate.
    #[default]
    Practical,
    /// [`exploration_rate`], for which the risk `delta` is proved. It takes two to six times as many samples.
    Proved,
}

impl Exploration {
    /// The rate at a step, counted from 1.
    #[must_use]
    pub fn rate(self, n_arms: usize, step: u64, delta: f64) -> f64 {
        match self {
            Exploration::Practical => ((1.0 + (step as f64).ln()) / delta).ln(),
            Exploration::Proved => exploration_rate(n_arms, step, delta),
        }
    }
}

/// Samples of an arm, and how many of them were successes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Samples.
    pub n_samples: u64,
    /// Successes among them.
    pub positives: u64,
}

impl Counts {
    /// The share of successes; 0 without samples.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.n_samples == 0 { 0.0 } else { self.positives as f64 / self.n_samples as f64 }
    }

    /// [`upper_bound`] at the exploration rate `beta`; 1 without samples.
    #[must_use]
    pub fn upper_bound(&self, beta: f64) -> f64 {
        if self.n_samples == 0 {
            return 1.0;
        }
        upper_bound(self.mean(), beta / self.n_samples as f64)
    }

    /// [`lower_bound`] at the exploration rate `beta`; 0 without samples.
    #[must_use]
    pub fn lower_bound(&self, beta: f64) -> f64 {
        if self.n_samples == 0 {
            return 0.0;
        }
        lower_bound(self.mean(), beta / self.n_samples as f64)
    }
}

/// Arms of Bernoulli means, to be sampled.
pub trait Arms {
    /// Why sampling may fail.
    type Error;

    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is known of an arm.
    fn counts(&self, arm: usize) -> Counts;

    /// What decides between arms of equal mean: the larger wins, and of equal ones the arm that comes first.
    fn weight(&self, arm: usize) -> f64;

    /// Samples some arms, in one go; `Break` when that is no longer possible, and then nothing was sampled.
    ///
    /// # Errors
    /// Those of the arms.
    fn pull(&mut self, arms: &[usize], n_samples: usize) -> Result<ControlFlow<()>, Self::Error>;

    /// Receives each step. The default does nothing.
    fn step(&mut self, step: &Step) {
        let _ = step;
    }
}

/// The two arms that decide whether a search may end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Counted from 1.
    pub step: u64,
    /// The arm among the best with the smallest lower bound.
    pub best: usize,
    /// That bound.
    pub lower_bound: f64,
    /// The arm among the others with the largest upper bound.
    pub challenger: usize,
    /// That bound.
    pub upper_bound: f64,
}

/// How to search for the best arms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BestArms {
    /// How many arms are wanted, `1..`; all of them when there are no more.
    pub top_n: usize,
    /// How much worse than the best an arm may be, in `(0, 1]`.
    pub tau: f64,
    /// The risk that one is worse than that, in `(0, 1)`.
    pub delta: f64,
    /// How wide the bounds are meanwhile.
    pub exploration: Exploration,
    /// Samples of an arm in each step, `1..`.
    pub batch_size: usize,
    /// Whether arms of equal mean are ordered by their weight; otherwise by their position alone, the later the better.
    pub by_weight: bool,
}

impl BestArms {
    /// The best arms by mean, ascending, and whether the search was complete.
    ///
    /// # Errors
    /// Those of [`Arms::pull`].
    ///
    /// # Cost
    /// One sample of each arm that has none, then `2 * batch_size` for each step.
    ///
    /// # Source
    /// Kaufmann & Kalyanakrishnan 2013, algorithm 1 (LUCB) with the bounds of section 2 (KL-LUCB).
    pub fn search<A: Arms>(&self, arms: &mut A) -> Result<(Vec<usize>, bool), A::Error> {
        let unseen: Vec<usize> =
            (0..arms.len()).filter(|&arm| arms.counts(arm).n_samples == 0).collect();
        if !unseen.is_empty() && arms.pull(&unseen, 1)?.is_break() {
            return Ok((self.ranked(arms), false));
        }
        if arms.len() <= self.top_n {
            return Ok(((0..arms.len()).collect(), true));
        }
        for step in 1.. {
            let order = self.order(arms);
            let (others, best) = order.split_at(arms.len() - self.top_n);
            let beta = self.exploration.rate(arms.len(), step, self.delta);
            let challenger = self.most_promising(arms, others, beta);
            let least_certain = self.least_certain(arms, best, beta);
            let (Some((challenger, upper_bound)), Some((best, lower_bound))) =
                (challenger, least_certain)
            else {
                break;
            };
            arms.step(&Step { step, best, lower_bound, challenger, upper_bound });
            if upper_bound - lower_bound <= self.tau {
                break;
            }
            if arms.pull(&[challenger, best], self.batch_size)?.is_break() {
                return Ok((self.ranked(arms), false));
            }
        }
        Ok((self.ranked(arms), true))
    }

    /// The arm of largest upper bound, the first of equals, and that bound.
    fn most_promising<A: Arms>(&self, arms: &A, of: &[usize], beta: f64) -> Option<(usize, f64)> {
        let mut most = None;
        for &arm in of {
            let counts = arms.counts(arm);
            // The bound is never above Pinsker's, which costs no logarithms.
            let highest = counts.mean() + (beta / counts.n_samples as f64 / 2.0).sqrt();
            if most.is_none_or(|(_, bound)| bound < highest) {
                let upper_bound = counts.upper_bound(beta);
                if most.is_none_or(|(_, bound)| bound < upper_bound) {
                    most = Some((arm, upper_bound));
                }
            }
        }
        most
    }

    /// The arm of smallest lower bound, the first of equals, and that bound.
    fn least_certain<A: Arms>(&self, arms: &A, of: &[usize], beta: f64) -> Option<(usize, f64)> {
        let bounds = of.iter().map(|&arm| (arm, arms.counts(arm).lower_bound(beta)));
        bounds.reduce(|least, other| if other.1 < least.1 { other } else { least })
    }

    /// All arms by mean, ascending.
    fn order<A: Arms>(&self, arms: &A) -> Vec<usize> {
        let mut order: Vec<usize> = (0..arms.len()).collect();
        order.sort_by(|&a, &b| {
            let by_mean = arms.counts(a).mean().total_cmp(&arms.counts(b).mean());
            if self.by_weight {
                by_mean.then(arms.weight(a).total_cmp(&arms.weight(b))).then(b.cmp(&a))
            } else {
                by_mean
            }
        });
        order
    }

    fn ranked<A: Arms>(&self, arms: &A) -> Vec<usize> {
        let order = self.order(arms);
        order[order.len().saturating_sub(self.top_n)..].to_vec()
    }
}
