//! Which weights `c` of the attack loss are tried.

/// The reference's rule: one `c` after the other, multiplied by ten until one succeeds and then halved between the
/// largest that failed and the smallest that succeeded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sequential {
    /// The weight to try next, above 0.
    pub c: f64,
    lower: f64,
    upper: f64,
}

/// No success yet.
const OPEN: f64 = 1e10;

impl Sequential {
    /// The rule before its first weight.
    #[must_use]
    pub fn new(c_init: f64) -> Self {
        Sequential { c: c_init, lower: 0.0, upper: OPEN }
    }

    /// Moves on from the weight that was tried.
    pub fn next(&mut self, succeeded: bool) {
        if succeeded {
            self.upper = self.upper.min(self.c);
        } else {
            self.lower = self.lower.max(self.c);
        }
        if self.upper < 1e9 {
            self.c = f64::midpoint(self.lower, self.upper);
        } else if !succeeded {
            self.c *= 10.0;
        }
    }
}

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
/// `tried` holds weights, ascending, and whether they succeeded; `n` is the total of both rounds.
#[must_use]
pub fn refined(tried: &[(f64, bool)], n: usize) -> Vec<f64> {
    let Some(first) = tried.iter().position(|&(_, succeeded)| succeeded) else {
        return Vec::new();
    };
    let upper = tried[first].0;
    let lower = if 0 < first { tried[first - 1].0 } else { upper / 100.0 };
    let points = refinements(n);
    let place = |k: usize| lower * (upper / lower).powf((k + 1) as f64 / (points + 1) as f64);
    (0..points).map(place).collect()
}

/// A third of all weights, at most 4, is left for the second round.
fn refinements(n: usize) -> usize {
    (n / 3).min(4)
}
