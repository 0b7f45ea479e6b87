//! Losses against hand-computed values, and their derivatives against differences.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; zeros are exact"
)]

use ndarray::{Array1, array};
use xai_core::decision::{Output, Reading};
use xai_core::{Error, ParamError, Row};
use xai_optim::loss::{ClassScores, Hinge, SquaredError, TargetClass};
use xai_optim::reference::{accepts_as_alibi, inflated_cotangent};

fn read(output: &Output, outputs: &Row) -> Result<ClassScores, ParamError> {
    ClassScores::new(&Reading::new(output, None, outputs).unwrap(), outputs)
}

fn scores(outputs: &Row) -> ClassScores {
    read(&Output::Auto, outputs).unwrap()
}

fn three() -> ClassScores {
    scores(&array![0.2, 0.7, 0.1])
}

#[track_caller]
fn near(found: f64, expected: f64) {
    // Sums of a few numbers below 1: a few units in the last place.
    assert!((found - expected).abs() <= 8.0 * f64::EPSILON, "{found} instead of {expected}");
}

#[test]
fn the_hinge_of_three_classes() {
    let p = array![0.2, 0.7, 0.1];
    near(Hinge::other(&three(), 1, 0.0).value(&p), 0.5);
    near(Hinge::other(&three(), 1, 0.1).value(&p), 0.6);
    near(Hinge::same(&three(), 1, 0.0).value(&p), 0.0);
    near(Hinge::same(&three(), 1, 0.6).value(&p), 0.1);
    // With a target that is behind a third class, both have to be passed.
    let hinge = Hinge::one_of(&three(), 1, &[2], 0.0).unwrap();
    near(hinge.value(&p), 0.6);
    let third = array![0.5, 0.1, 0.4];
    near(hinge.value(&third), 0.1);
    assert!(!hinge.accepts(&third));
    assert!(hinge.accepts(&array![0.3, 0.3, 0.4]));
}

#[test]
fn a_tie_is_no_flip_natively_and_goes_to_the_lowest_class_in_the_reference() {
    let tie = array![0.5, 0.5];
    let read = scores(&tie);
    for class in [0, 1] {
        let hinge = Hinge::other(&read, class, 0.0);
        assert!(!hinge.accepts(&tie));
        // The lowest class wins: it is another one only for an instance of class 1.
        assert_eq!(accepts_as_alibi(&hinge, &tie), class == 1);
    }
}

#[test]
fn a_single_output_is_the_probability_of_class_1() {
    let p = array![0.3];
    let read_p = scores(&p);
    assert_eq!((read_p.n_classes(), read_p.class(&p)), (2, 0));
    let hinge = Hinge::other(&read_p, 0, 0.0);
    near(hinge.value(&p), 0.4);
    // d(p0 - p1) / dp = -2.
    assert_eq!(hinge.cotangent(&p).unwrap(), array![-2.0]);
    assert_eq!(read(&Output::Auto, &array![1.5]).unwrap_err().name, "output");
}

#[test]
fn an_interval_is_reached_at_its_ends() {
    let hinge = Hinge::interval(2, 1, -1.0, 2.0).unwrap();
    near(hinge.value(&array![9.0, 4.5]), 2.5);
    near(hinge.value(&array![9.0, -3.0]), 2.0);
    assert_eq!(hinge.cotangent(&array![9.0, 4.5]).unwrap(), array![0.0, 1.0]);
    assert!(hinge.accepts(&array![9.0, 2.0]));
    for refused in [Hinge::interval(2, 2, 0.0, 1.0), Hinge::interval(2, 0, 1.0, 0.0)] {
        assert!(matches!(refused, Err(Error::Param(error)) if error.name == "output"));
    }
}

#[test]
fn targets_are_classes_of_the_model_and_not_the_own_one_alone() {
    for targets in [&[][..], &[3], &[1]] {
        let refused = Hinge::one_of(&three(), 1, targets, 0.0);
        assert!(matches!(refused, Err(Error::Param(error)) if error.name == "target_class"));
    }
}

#[test]
fn the_black_box_of_the_reference_inflates_and_forgets_positives() {
    let p = array![0.2, 0.7, 0.1];
    let exact = Hinge::other(&three(), 1, 0.0).cotangent(&p).unwrap();
    assert_eq!(exact, array![-1.0, 1.0, 0.0]);
    assert_eq!(inflated_cotangent(&Hinge::other(&three(), 1, 0.0), &p).unwrap(), exact * 1.5);
    // A positive that is not yet one has a gradient, and none in the reference.
    let behind = Hinge::same(&three(), 0, 0.0);
    assert!(behind.cotangent(&p).is_some());
    assert!(inflated_cotangent(&behind, &p).is_none());
}

#[test]
fn every_cotangent_is_the_derivative_of_its_value() {
    let p = array![0.25, 0.6, 0.15];
    let hinges = [
        Hinge::other(&three(), 1, 0.0),
        Hinge::other(&three(), 1, 0.2),
        Hinge::same(&three(), 0, 0.0),
        Hinge::one_of(&three(), 1, &[2], 0.1).unwrap(),
        Hinge::other(&three(), 1, 0.0).at_least(Some(0.9)),
        Hinge::interval(3, 1, 0.7, 0.9).unwrap(),
    ];
    let h = 1e-6;
    let check = |value: &dyn Fn(&Array1<f64>) -> f64, cotangent: &Array1<f64>| {
        for k in 0..3 {
            let moved = |step: f64| {
                let mut moved = p.clone();
                moved[k] += step;
                value(&moved)
            };
            let slope = (moved(h) - moved(-h)) / (2.0 * h);
            // Rounding 1e-16 / h, and h^2 times the third derivative of a logarithm at 0.15.
            assert!((slope - cotangent[k]).abs() < 1e-8, "{slope} and {}", cotangent[k]);
        }
    };
    for hinge in &hinges {
        check(&|p| hinge.value(p), &hinge.cotangent(&p).unwrap());
        check(&|p| hinge.margin(p).value, &hinge.margin(&p).cotangent);
        check(&|p| hinge.log_margin(p).value, &hinge.log_margin(&p).cotangent);
    }
    for class in [TargetClass::Fixed(2), TargetClass::Other(1)] {
        let loss = SquaredError { scores: three(), class, target_proba: 0.9 };
        check(&|p| loss.value(p), &loss.cotangent(&p));
    }
}

#[test]
fn the_squared_error_of_another_class() {
    let loss = SquaredError { scores: three(), class: TargetClass::Other(1), target_proba: 0.25 };
    let p = array![0.2, 0.7, 0.1];
    assert_eq!(loss.class(&p), 0);
    near(loss.value(&p), 0.0025);
    assert!(loss.accepts(&p, 0.051) && !loss.accepts(&p, 0.049));
}

/// A probability between two limits: the margin is the smaller way to either, in odds on the scale of logarithms.
#[test]
fn a_window_has_two_sides() {
    let read = scores(&array![0.2, 0.8]);
    let logit = |p: f64| (p / (1.0 - p)).ln();
    let hinge = Hinge::same(&read, 1, f64::NEG_INFINITY).at_least(Some(0.6)).at_most(Some(0.7));
    for (p, value, slope) in
        [(0.5, -0.1, 1.0), (0.62, 0.02, 1.0), (0.69, 0.01, -1.0), (0.8, -0.1, -1.0)]
    {
        let answer = array![1.0 - p, p];
        let margin = hinge.margin(&answer);
        // Differences of numbers below 1.
        assert!((margin.value - value).abs() <= 2.0 * f64::EPSILON, "{p}: {}", margin.value);
        assert_eq!(margin.cotangent, array![0.0, slope]);
        assert_eq!(hinge.accepts(&answer), 0.0 < value);
        let logs = hinge.log_margin(&answer);
        let limit = if slope < 0.0 { 0.7 } else { 0.6 };
        let expected = slope * (logit(p) - logit(limit));
        assert!((logs.value - expected).abs() <= 1e-14, "{p}: {}", logs.value);
        let expected = slope / (p * (1.0 - p));
        assert!((logs.cotangent[1] - expected).abs() <= 1e-13, "{p}: {}", logs.cotangent);
    }
    // Ranked, the class must also be ahead: at 0.4 it is 0.2 behind, which is more than the 0.1 to the window.
    let ranked = Hinge::same(&read, 1, 0.0).at_least(Some(0.5)).at_most(Some(0.7));
    assert!((ranked.margin(&array![0.6, 0.4]).value + 0.2).abs() <= 2.0 * f64::EPSILON);
    let unranked = Hinge::same(&read, 1, f64::NEG_INFINITY).at_least(Some(0.3));
    assert!(unranked.accepts(&array![0.6, 0.4]) && !unranked.accepts(&array![0.8, 0.2]));
}

#[test]
fn an_interval_has_two_classes() {
    let output = Output::Interval { min: Some(3.0), max: Some(7.0), target: 1 };
    let x = array![9.0, 1.0];
    let read_x = read(&output, &x).unwrap();
    assert_eq!((read_x.n_classes(), read_x.is_interval()), (2, true));
    for (value, class) in [(2.9, 0), (3.0, 1), (5.0, 1), (7.0, 1), (7.1, 0)] {
        assert_eq!(read_x.class(&array![9.0, value]), class);
    }
    // 2 below the end: a quarter, whatever the unit.
    assert_eq!(read_x.scores(&x), array![0.75, 0.25]);
    let (inside, outside) = (Hinge::other(&read_x, 0, 0.0), Hinge::same(&read_x, 0, 0.0));
    for (value, missing) in [(1.0, 2.0), (3.0, 0.0), (8.0, 1.0)] {
        assert_eq!(inside.value(&array![9.0, value]), missing);
    }
    for (value, missing) in [(1.0, 0.0), (4.0, 1.0), (6.5, 0.5)] {
        assert_eq!(outside.value(&array![9.0, value]), missing);
    }
    assert!(inside.accepts(&array![9.0, 3.0]) && !outside.accepts(&array![9.0, 3.0]));
    assert!(outside.accepts(&array![9.0, 2.9]) && !inside.accepts(&array![9.0, 2.9]));
    // The derivative of the probability by the output, against a difference.
    let slope = read_x.by_output(&x, array![0.0, 1.0]);
    let moved = |by: f64| read_x.scores(&array![9.0, 1.0 + by])[1];
    let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
    assert!(slope[0] == 0.0 && (slope[1] - difference).abs() < 1e-9, "{slope} {difference}");
}

#[test]
fn outputs_without_numbers_by_class_are_refused_by_name() {
    let bins = Output::Bins { edges: vec![0.0], target: 0 };
    let within = Output::Within { tolerance: 1.0, target: 0 };
    let point = Output::Interval { min: Some(1.0), max: Some(1.0), target: 0 };
    for output in [Output::Score, Output::Label, bins, within, point] {
        assert_eq!(read(&output, &array![3.0]).unwrap_err().name, "output");
    }
    // A score says what gives it a decision.
    let message = read(&Output::Auto, &array![3.7]).unwrap_err().to_string();
    assert!(message.contains("`interval`"), "{message}");
}
