//! Points and weights of the rules: closed forms, moments, nesting.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test may panic, and compares exact points"
)]

use xai_intgrad::quadrature::{MAX_POINTS, Method, Rule, nested};
use xai_intgrad::reference;

fn rule(method: Method, n: usize) -> Rule {
    method.rule(n).unwrap()
}

fn moment(rule: &Rule, power: i32) -> f64 {
    rule.alphas.iter().zip(&rule.weights).map(|(alpha, weight)| weight * alpha.powi(power)).sum()
}

const ALL: [Method; 6] = [
    Method::RiemannLeft,
    Method::RiemannRight,
    Method::RiemannMiddle,
    Method::RiemannTrapezoid,
    Method::GaussLegendre,
    Method::ClenshawCurtis,
];

/// The integrals of 1, a, a^2 and a^3 with four points.
#[test]
fn moments_of_four_points() {
    #[track_caller]
    fn check(rule: &Rule, expected: [f64; 4]) {
        for (power, expected) in (0..).zip(expected) {
            let got = moment(rule, power);
            // Four products and sums of numbers up to 1.
            assert!(
                (got - expected).abs() <= 8.0 * f64::EPSILON,
                "power {power}: {got}, {expected}"
            );
        }
    }
    check(&rule(Method::RiemannLeft, 4), [1.0, 0.375, 0.21875, 0.140_625]);
    check(&rule(Method::RiemannRight, 4), [1.0, 0.625, 0.46875, 0.390_625]);
    check(&rule(Method::RiemannMiddle, 4), [1.0, 0.5, 0.328_125, 0.242_187_5]);
    check(&rule(Method::RiemannTrapezoid, 4), [1.0, 0.5, 19.0 / 54.0, 5.0 / 18.0]);
    check(&rule(Method::GaussLegendre, 4), [1.0, 0.5, 1.0 / 3.0, 0.25]);
    check(&rule(Method::ClenshawCurtis, 4), [1.0, 0.5, 1.0 / 3.0, 0.25]);
    let biased = reference::rule(Method::RiemannTrapezoid, 4).unwrap();
    check(&biased, [0.75, 0.375, 19.0 / 72.0, 5.0 / 24.0]);
}

#[test]
fn the_reference_semantics_change_the_trapezoid_alone() {
    for method in ALL {
        let reference = reference::rule(method, 7).unwrap();
        assert_eq!(reference == rule(method, 7), method != Method::RiemannTrapezoid);
    }
}

#[test]
fn points_ascend_on_the_unit_interval_with_positive_weights() {
    for method in ALL {
        for n in (2..40).chain([100, 101, 1000, 4097]) {
            let Rule { alphas, weights } = rule(method, n);
            assert_eq!((alphas.len(), weights.len()), (n, n));
            assert!(alphas.windows(2).all(|pair| pair[0] < pair[1]), "{method:?} {n}");
            assert!(0.0 <= alphas[0] && alphas[n - 1] <= 1.0);
            assert!(weights.iter().all(|&weight| 0.0 < weight), "{method:?} {n}");
            // A weight of order 1/n comes from a recurrence of n steps, and there are n of them.
            let sum: f64 = weights.iter().sum();
            assert!((sum - 1.0).abs() <= 4.0 * n as f64 * f64::EPSILON, "{method:?} {n}: {sum}");
        }
    }
}

#[test]
fn gauss_legendre_has_its_closed_forms() {
    let close = |got: &[f64], expected: &[f64]| {
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() <= 1e-15, "{got}, {expected}");
        }
    };
    let one = rule(Method::GaussLegendre, 1);
    assert_eq!((one.alphas, one.weights), (vec![0.5], vec![1.0]));
    let two = rule(Method::GaussLegendre, 2);
    let root = (1.0_f64 / 3.0).sqrt() / 2.0;
    close(&two.alphas, &[0.5 - root, 0.5 + root]);
    close(&two.weights, &[0.5, 0.5]);
    let three = rule(Method::GaussLegendre, 3);
    let root = 0.6_f64.sqrt() / 2.0;
    close(&three.alphas, &[0.5 - root, 0.5, 0.5 + root]);
    close(&three.weights, &[5.0 / 18.0, 8.0 / 18.0, 5.0 / 18.0]);
    let four = rule(Method::GaussLegendre, 4);
    let (near, far) =
        (3.0 / 7.0 - 2.0 / 7.0 * 1.2_f64.sqrt(), 3.0 / 7.0 + 2.0 / 7.0 * 1.2_f64.sqrt());
    let (near, far) = (near.sqrt() / 2.0, far.sqrt() / 2.0);
    close(&four.alphas, &[0.5 - far, 0.5 - near, 0.5 + near, 0.5 + far]);
    let root = 30.0_f64.sqrt();
    let (far, near) = ((18.0 - root) / 72.0, (18.0 + root) / 72.0);
    close(&four.weights, &[far, near, near, far]);
}

/// Exact for polynomials up to degree `2 n - 1` and wrong for degree `2 n`, by `(n!)^4 / ((2n + 1) ((2n)!)^2)`.
#[test]
fn gauss_legendre_is_exact_up_to_its_degree() {
    for n in [2_i32, 3, 5, 10, 50, 200] {
        let own = rule(Method::GaussLegendre, usize::try_from(n).unwrap());
        for power in [0, 1, n, 2 * n - 2, 2 * n - 1] {
            let got = moment(&own, power);
            let expected = 1.0 / f64::from(power + 1);
            // Powers of points near 1 lose a unit in the last place for each factor.
            let bound = 4.0 * f64::from(n) * f64::EPSILON * expected;
            assert!(
                (got - expected).abs() <= bound,
                "{n} points, power {power}: {got}, {expected}"
            );
        }
        if n <= 5 {
            let factorial = |k: i32| (1..=k).map(f64::from).product::<f64>();
            let error = factorial(n).powi(4) / (f64::from(2 * n + 1) * factorial(2 * n).powi(2));
            let got = 1.0 / f64::from(2 * n + 1) - moment(&own, 2 * n);
            assert!(
                (got - error).abs() <= 1e-3 * error + 4.0 * f64::EPSILON,
                "{n}: {got}, {error}"
            );
        }
    }
}

/// Exact up to degree `n - 1`; with three points it is Simpson's rule.
#[test]
fn clenshaw_curtis_is_exact_up_to_its_degree() {
    let three = rule(Method::ClenshawCurtis, 3);
    for (got, expected) in three.weights.iter().zip([1.0 / 6.0, 4.0 / 6.0, 1.0 / 6.0]) {
        assert!((got - expected).abs() <= 2.0 * f64::EPSILON);
    }
    for n in [2_i32, 3, 4, 5, 9, 17, 64, 65] {
        let own = rule(Method::ClenshawCurtis, usize::try_from(n).unwrap());
        for power in 0..n {
            let expected = 1.0 / f64::from(power + 1);
            let bound = 4.0 * f64::from(n) * f64::EPSILON;
            assert!((moment(&own, power) - expected).abs() <= bound, "{n} points, power {power}");
        }
    }
}

#[test]
fn nested_rules_have_all_points_of_those_before() {
    for (n, first) in [(2, 3), (3, 3), (9, 9), (50, 51)] {
        let rules = nested(n, 500).unwrap();
        assert_eq!(rules[0].alphas.len(), first);
        for pair in rules.windows(2) {
            assert_eq!(pair[1].alphas.len(), 2 * pair[0].alphas.len() - 1);
            for (i, alpha) in pair[0].alphas.iter().enumerate() {
                assert_eq!(*alpha, pair[1].alphas[2 * i], "the very same point");
            }
        }
        let last = rules.last().unwrap().alphas.len();
        assert!(last <= 500 && 500 < 2 * last - 1);
    }
}

#[test]
fn impossible_rules_are_refused() {
    for method in ALL {
        let least = usize::from(method != Method::GaussLegendre) + 1;
        assert!(method.rule(least).is_ok());
        for n in [least - 1, MAX_POINTS + 1] {
            let error = method.rule(n).unwrap_err();
            assert_eq!(reference::rule(method, n).unwrap_err(), error);
            assert_eq!(error.name, "n_steps");
        }
    }
}
