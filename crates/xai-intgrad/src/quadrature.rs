//! Quadrature on the unit interval: where the gradients along a path are taken, and what each counts.

use std::f64::consts::PI;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::{ParamError, require};

/// The most points of a rule.
pub const MAX_POINTS: usize = 1 << 14;

/// How the integral along the path is approximated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Method {
    /// The left ends of `n` equal steps; at least 2 points.
    RiemannLeft,
    /// The right ends of `n` equal steps; at least 2 points.
    RiemannRight,
    /// The middles of `n` equal steps; at least 2 points.
    RiemannMiddle,
    /// The ends of `n - 1` equal steps, the first and the last with half the weight; at least 2 points.
    RiemannTrapezoid,
    /// The roots of the Legendre polynomial of degree `n`, exact for polynomials up to degree `2 n - 1`. The default.
    #[default]
    GaussLegendre,
    /// The extrema of the Chebyshev polynomial of degree `n - 1`, exact for polynomials up to degree `n - 1`; at least 2
    /// points. The rule with `2 n - 1` points has all of its points, so that refinement asks for no gradient twice.
    ClenshawCurtis,
}

impl Method {
    /// The rule with `n` points.
    ///
    /// # Errors
    /// [`ParamError`] named `n_steps` when there is no such rule.
    pub fn rule(self, n: usize) -> Result<Rule, ParamError> {
        let least = if self == Method::GaussLegendre { 1 } else { 2 };
        let name = serde_name(self);
        let allowed = (least..=MAX_POINTS).contains(&n);
        require(allowed, "n_steps", format!("in {least}..={MAX_POINTS} for {name}"), n)?;
        let steps = |count: usize, shift: f64| {
            (0..n).map(move |k| (k as f64 + shift) / count as f64).collect::<Vec<_>>()
        };
        let equal = |alphas: Vec<f64>| Rule { weights: vec![1.0 / n as f64; n], alphas };
        Ok(match self {
            Method::RiemannLeft => equal(steps(n, 0.0)),
            Method::RiemannRight => equal(steps(n, 1.0)),
            Method::RiemannMiddle => equal(steps(n, 0.5)),
            Method::RiemannTrapezoid => trapezoid(n, n - 1),
            Method::GaussLegendre => gauss_legendre(n),
            Method::ClenshawCurtis => clenshaw_curtis(n),
        })
    }
}

/// The name of a method as it stands in JSON.
fn serde_name(method: Method) -> &'static str {
    match method {
        Method::RiemannLeft => "riemann-left",
        Method::RiemannRight => "riemann-right",
        Method::RiemannMiddle => "riemann-middle",
        Method::RiemannTrapezoid => "riemann-trapezoid",
        Method::GaussLegendre => "gauss-legendre",
        Method::ClenshawCurtis => "clenshaw-curtis",
    }
}

/// Points on the unit interval, ascending, and their weights: `sum_k weights[k] f(alphas[k])` stands for the integral of
/// `f` from 0 to 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// The points, `(n,)`.
    pub alphas: Vec<f64>,
    /// Their weights, `(n,)`; they add up to 1, except for the trapezoid of [`reference::rule`](crate::reference::rule).
    pub weights: Vec<f64>,
}

/// The trapezoids between `n` equally spaced points, at least 2, each point but the ends with the weight `1 / unit`.
pub(crate) fn trapezoid(n: usize, unit: usize) -> Rule {
    let mut weights = vec![1.0 / unit as f64; n];
    weights[0] /= 2.0;
    weights[n - 1] /= 2.0;
    Rule { alphas: (0..n).map(|k| k as f64 / (n - 1) as f64).collect(), weights }
}

/// Gauss-Legendre points and weights on the unit interval, `n` at least 1.
///
/// # Source
/// Newton's method on the three-term recurrence `k P_k = (2k - 1) x P_{k-1} - (k - 1) P_{k-2}` from the starting points
/// `cos(pi (i - 1/4) / (n + 1/2))` (Abramowitz & Stegun 1964, 22.16.6), until a step is below 1e-15;
/// weights `2 / ((1 - x^2) P_n'(x)^2)` (25.4.29).
fn gauss_legendre(n: usize) -> Rule {
    let (mut alphas, mut weights) = (vec![0.5; n], vec![0.0; n]);
    for i in 0..n.div_ceil(2) {
        // The i-th root from the right; the middle one of an odd degree is 0, exactly.
        let middle = 2 * i + 1 == n;
        let mut x = if middle { 0.0 } else { (PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos() };
        let mut slope = legendre(n, x).1;
        for _ in 0..20 {
            let (value, slope_here) = legendre(n, x);
            slope = slope_here;
            if middle {
                break;
            }
            let step = value / slope;
            x -= step;
            if step.abs() < 1e-15 {
                slope = legendre(n, x).1;
                break;
            }
        }
        let weight = 1.0 / ((1.0 - x * x) * slope * slope);
        (alphas[i], alphas[n - 1 - i]) = ((1.0 - x) / 2.0, (1.0 + x) / 2.0);
        (weights[i], weights[n - 1 - i]) = (weight, weight);
    }
    Rule { alphas, weights }
}

/// The Legendre polynomial of degree `n` at least 1 and its derivative, `x` between -1 and 1 and neither.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut before, mut value) = (1.0, x);
    for k in 2..=n {
        let k = k as f64;
        (before, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k);
    }
    (value, n as f64 * (x * value - before) / (x * x - 1.0))
}

/// Clenshaw-Curtis points and weights on the unit interval, `n` at least 2.
///
/// # Source
/// Clenshaw & Curtis 1960, "A method for numerical integration on an automatic computer"; the weights in the form of
/// Davis & Rabinowitz 1984, "Methods of numerical integration", 2.5.5: with `N = n - 1`,
/// `c_k / N (1 - sum_{j=1}^{N/2} b_j cos(2 j k pi / N) / (4 j^2 - 1))` on an interval of length 2.
fn clenshaw_curtis(n: usize) -> Rule {
    let last = n - 1;
    let cosines: Vec<f64> = (0..2 * last).map(|m| (PI * (m as f64 / last as f64)).cos()).collect();
    let weight = |k: usize| {
        let terms = (1..=last / 2).map(|j| {
            let b = if 2 * j == last { 1.0 } else { 2.0 };
            let j2 = (j * j) as f64;
            b * cosines[2 * j * k % (2 * last)] / (4.0 * j2 - 1.0)
        });
        let c = if k == 0 || k == last { 0.5 } else { 1.0 };
        c / last as f64 * (1.0 - terms.sum::<f64>())
    };
    // sin^2 keeps the digits of the points near 0; those of the other half follow by symmetry.
    let half = |k: usize| (PI * (k as f64 / (2 * last) as f64)).sin().powi(2);
    let alphas = (0..n).map(|k| if 2 * k <= last { half(k) } else { 1.0 - half(last - k) });
    Rule { alphas: alphas.collect(), weights: (0..n).map(weight).collect() }
}

/// Nested Clenshaw-Curtis rules with `n, 2 n - 1, 4 n - 3, ..` points, for as long as `most` allows; point `i` of one is
/// point `2 i` of the next. `n` is raised by one when it is even, so that every other point of the first rule is a rule,
/// too.
///
/// # Errors
/// As [`Method::rule`], for the first rule.
pub fn nested(n: usize, most: usize) -> Result<Vec<Rule>, ParamError> {
    let mut n = n.max(3) | 1;
    let mut rules = vec![Method::ClenshawCurtis.rule(n)?];
    while 2 * n - 1 <= most.min(MAX_POINTS) {
        n = 2 * n - 1;
        rules.push(clenshaw_curtis(n));
    }
    Ok(rules)
}

/// The Clenshaw-Curtis rule on every other point of one with an odd number of points, at least 3.
pub(crate) fn half(rule: &Rule) -> Rule {
    clenshaw_curtis(rule.alphas.len().div_ceil(2))
}
