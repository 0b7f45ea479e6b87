//! Which weights `c` of the attack loss are tried.

use crate::outcome::Trial;

/// The first round of weights that are tried side by side: `c_init * 10^e` with `e` = 0, 1, -1, 2, -2, 3, -3, as many
/// of these as two thirds of `n`, at least 1. Ascending.
#[must_use]
pub fn decades(c_init: f64, n: usize) -> Vec<f64> {
    let mut exponents = vec![0, 1, -1, 2, -2, 3, -3];
    exponents.truncate((n - refinements(n)).clamp(1, 7));
    exponents.sort_unstable();
    exponents.into_iter().map(|exponent| c_init * 10.0_f64.powi(exponent)).collect()
}

/// The second round: between the largest weight that failed below the smallest that succeeded and that one, evenly on a
/// logarithmic scale, ends excluded; if none failed below it, from a hundredth of it. Empty when none succeeded.
///
/// `trials` are those of the first round, by ascending weight; `n` is the total of both rounds.
#[must_use]
pub fn refined(trials: &[Trial], n: usize) -> Vec<f64> {
    let Some(first) = trials.iter().position(|trial| trial.distance.is_some()) else {
        return Vec::new();
    };
    let upper = trials[first].c;
    let lower = if 0 < first { trials[first - 1].c } else { upper / 100.0 };
    let points = refinements(n);
    let place = |k: usize| lower * (upper / lower).powf((k + 1) as f64 / (points + 1) as f64);
    (0..points).map(place).collect()
}

/// A third of all weights, at most 4, is left for the second round. Chosen by hand.
fn refinements(n: usize) -> usize {
    (n / 3).min(4)
}
