//! Exact confidence bounds on a share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::function::beta::{beta_reg, ln_beta};

use crate::bandit::Counts;

/// Two bounds between which a share lies with a stated probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// The lower bound, in `[0, 1]`.
    pub lower: f64,
    /// The upper bound, in `[0, 1]`.
    pub upper: f64,
}

impl Interval {
    /// The two-sided interval of Clopper and Pearson: each side is wrong with probability `risk / 2` at most.
    pub(crate) fn exact(counts: Counts, risk: f64) -> Self {
        Interval { lower: lower(counts, risk / 2.0), upper: upper(counts, risk / 2.0) }
    }
}

/// The exact lower bound: the share for which as many successes or more have probability `risk`; 0 without successes.
///
/// It also holds for independent samples of different shares, of which it bounds the mean, because their sum is less
/// spread out than a binomial number (Hoeffding 1956, theorem 4, for bounds at least one sample away from the mean).
///
/// # Source
/// Clopper & Pearson 1934, as the quantile `risk` of the beta distribution `(positives, n - positives + 1)`.
pub(crate) fn lower(counts: Counts, risk: f64) -> f64 {
    let Counts { n_samples, positives } = counts;
    if positives == 0 {
        return 0.0;
    }
    if positives == n_samples {
        return risk.powf(1.0 / n_samples as f64);
    }
    // The tail is the regularised incomplete beta function of the share; its slope is the density of that distribution.
    let (a, b) = (positives as f64, (n_samples - positives) as f64 + 1.0);
    let scale = ln_beta(a, b);
    let slope = |p: f64| ((a - 1.0) * p.ln() + (b - 1.0) * (1.0 - p).ln() - scale).exp();
    let (mut low, mut high) = (0.0, 1.0);
    // Roughly where a normal distribution would have the bound.
    let mean = a / (a + b);
    let spread = (mean * (1.0 - mean) / (a + b)).sqrt() * (-2.0 * risk.min(0.5).ln()).sqrt();
    let mut share = (mean - spread).max(mean / 2.0);
    // Newton's steps where they stay between what is known to be too low and too high, and halvings elsewhere. A bound
    // that is not quite found at the end is rounded down, to the safe side.
    for _ in 0..100 {
        let excess = beta_reg(a, b, share) - risk;
        if excess <= 0.0 {
            low = share;
        } else {
            high = share;
        }
        let next = share - excess / slope(share);
        let next = if low < next && next < high { next } else { (low + high) / 2.0 };
        if (next - share).abs() <= 1e-14 {
            return next;
        }
        share = next;
    }
    low
}

/// The exact upper bound, by symmetry.
pub(crate) fn upper(counts: Counts, risk: f64) -> f64 {
    let Counts { n_samples, positives } = counts;
    1.0 - lower(Counts { n_samples, positives: n_samples - positives }, risk)
}

#[cfg(test)]
mod tests {
    use super::{Interval, lower, upper};
    use crate::bandit::Counts;

    /// All successes: `p^n = risk`. One success of one: the quantile itself.
    #[test]
    fn bounds_of_closed_form() {
        for n_samples in [1, 10, 100, 1000] {
            for risk in [0.1, 0.05, 0.001] {
                let all = Counts { n_samples, positives: n_samples };
                let none = Counts { n_samples, positives: 0 };
                let expected = (f64::ln(risk) / n_samples as f64).exp();
                assert!((lower(all, risk) - expected).abs() < 1e-12);
                assert!((upper(none, risk) - (1.0 - expected)).abs() < 1e-12);
                assert!(lower(none, risk) < f64::MIN_POSITIVE && 1.0 <= upper(all, risk));
            }
        }
    }

    /// The defining equation: at the lower bound, this many successes or more have probability `risk`.
    #[test]
    fn the_tail_of_the_binomial_at_the_bound_is_the_risk() {
        let (n, k, risk) = (40_u64, 37_u64, 0.1);
        let bound = lower(Counts { n_samples: n, positives: k }, risk);
        let mut tail = 0.0;
        for successes in k..=n {
            let ways = (0..successes).map(|i| (n - i) as f64 / (i + 1) as f64).product::<f64>();
            let (p, q) = (bound.powf(successes as f64), (1.0 - bound).powf((n - successes) as f64));
            tail += ways * p * q;
        }
        assert!((tail - risk).abs() < 1e-12, "{tail}");
        let both = Interval::exact(Counts { n_samples: n, positives: k }, 2.0 * risk);
        assert!((both.lower - bound).abs() < 1e-15);
    }
}
