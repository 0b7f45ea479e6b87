//! Closed forms: the closest row of a linear model is that of its steepest feature, up to the limits of that feature.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; exact values"
)]

use ndarray::{Array1, array};
use xai_core::Status;
use xai_core::constraints::{Constraint, Constraints, Direction};
use xai_core::tabular::Features;
use xai_core::{Differentiable, Explainer, ModelRef, PerFeature, Run, Semantics};
use xai_counterfactual::{CounterfactualData, CounterfactualParams, DistanceFn, TargetClass};
use xai_optim::Route;
use xai_testkit::{Elementwise, Logistic, Network};

/// `p_1 = 1 / (1 + exp(-(2 x_0 - x_1 + 0.5)))`; the instance `(1, 0.5)` has the score 2, so class 1.
fn logistic() -> Logistic {
    Logistic::new(&[2.0, -1.0], 0.5)
}

fn instance() -> Array1<f64> {
    array![1.0, 0.5]
}

/// Three classes, softmax of a linear map.
fn three_classes() -> Network {
    let weights = array![[1.5, -1.0, 0.2], [-0.5, 1.0, -0.7], [0.3, 0.3, 1.1]];
    Network::tanh(vec![(weights, Array1::zeros(3))]).softmax()
}

/// A probability is known to half a unit in its last place, so a score near 3 to 1e-16 over `p (1 - p)`, at most 20
/// times that, and a hundred times over in sums.
const ROUNDING: f64 = 1e-13;

fn logit(p: f64) -> f64 {
    (p / (1.0 - p)).ln()
}

fn both(model: &dyn Differentiable) -> [ModelRef<'_>; 2] {
    [ModelRef::WhiteBox(model), ModelRef::BlackBox(model)]
}

fn explain<'m>(
    params: CounterfactualParams,
    model: impl Into<ModelRef<'m>>,
    x: &Array1<f64>,
) -> CounterfactualData {
    let explainer = params.build(Features::unnamed(x.len()).unwrap()).unwrap();
    explainer.explain(model, x, Run::seeded(0)).unwrap().data
}

fn rule(change: Direction) -> Constraint {
    Constraint { change, ..Default::default() }
}

fn constraints<const N: usize>(rules: [(usize, Constraint); N]) -> Constraints {
    let features = rules.map(|(feature, rule)| (feature.into(), rule)).into();
    Constraints { features, max_changes: None }
}

/// The first feature moves alone, until `p_0 = target - tol`.
#[track_caller]
fn moves_the_steepest(target_proba: f64, expected: f64) {
    let score = -logit(target_proba - 0.05);
    let change = (score - 2.0) / 2.0;
    assert!((change - expected).abs() < 1e-7);
    for model in both(&logistic()) {
        let params = CounterfactualParams::default().with_target_proba(target_proba);
        let data = explain(params, model, &instance());
        let cf = data.cf.unwrap();
        assert_eq!(data.status, Status::Found);
        assert_eq!(cf.class, 0);
        assert!(
            -change - ROUNDING <= cf.distances.elastic_net
                && cf.distances.elastic_net <= -change * 1.001,
            "{}",
            cf.distances.elastic_net
        );
        assert_eq!(cf.row[1], 0.5, "the other feature stays");
        assert!((target_proba - 0.05..=target_proba + 0.05).contains(&(1.0 - cf.outputs[0])));
        let step = data.step.unwrap();
        let loss =
            (1.0 - cf.outputs[0] - target_proba).powi(2) + step.lambda * cf.distances.elastic_net;
        assert_eq!(step.loss, loss);
    }
}

#[test]
fn a_target_of_0_6_moves_the_steepest_feature() {
    moves_the_steepest(0.6, -1.100_335_3);
}

#[test]
fn a_target_of_1_moves_the_steepest_feature() {
    moves_the_steepest(1.0, -2.472_219_5);
}

/// With squared changes every feature moves in proportion to its weight.
#[test]
fn squared_changes_go_along_the_weights() {
    let score = -logit(0.95);
    // Along (2, -1): 5 t = score - 2.
    let t = (score - 2.0) / 5.0;
    let least = 5.0 * t * t;
    for model in both(&logistic()) {
        let params = CounterfactualParams::default().with_distance_fn(DistanceFn::L2);
        let cf = explain(params, model, &instance()).cf.unwrap();
        assert!(
            least - ROUNDING <= cf.distances.elastic_net
                && cf.distances.elastic_net <= least * 1.001,
            "{} {least}",
            cf.distances.elastic_net
        );
    }
}

/// Deviations over the median absolute deviation: the second feature is worth ten of the first.
#[test]
fn deviations_of_the_training_rows_scale_changes() {
    // Medians 0; absolute deviations have the medians 1 and 10. The third column is constant.
    let train = array![
        [-1.0, -10.0, 3.0],
        [-1.0, 10.0, 3.0],
        [0.0, 0.0, 3.0],
        [1.0, -10.0, 3.0],
        [1.0, 10.0, 3.0]
    ];
    let model = Logistic::new(&[2.0, -1.0, 0.0], 0.5);
    let params = CounterfactualParams::default().with_distance_fn(DistanceFn::L1Mad);
    let explainer = params.fit(&train, Features::unnamed(3).unwrap()).unwrap();
    let x = array![1.0, 0.5, 3.0];
    let explained = explainer.explain(ModelRef::WhiteBox(&model), &x, Run::seeded(0)).unwrap();
    // Slope over deviation: 2 against 10, so the second feature moves, by logit(0.95) + 2, a tenth of which counts.
    let least = (logit(0.95) + 2.0) / 10.0;
    let cf = explained.data.cf.unwrap();
    assert!(
        least - ROUNDING <= cf.distances.elastic_net && cf.distances.elastic_net <= least * 1.001,
        "{} {least}",
        cf.distances.elastic_net
    );
    assert_eq!((cf.row[0], cf.row[2]), (1.0, 3.0));
    assert_eq!(explained.meta.warnings[0].code, "counterfactual.no_deviation");
}

/// What the reference does, number by number.
struct Expected<'a> {
    x: &'a [f64],
    l1: f64,
    lambda: Option<f64>,
    index: usize,
    hits: Option<[usize; 10]>,
}

#[track_caller]
fn reference_finds(params: CounterfactualParams, model: ModelRef<'_>, expected: &Expected<'_>) {
    let semantics = Semantics::Reference;
    let x = if expected.x.len() == 2 { instance() } else { array![1.0, 0.5, -0.3] };
    let data = explain(params.with_semantics(semantics), model, &x);
    let cf = data.cf.unwrap();
    for (value, expected) in cf.row.iter().zip(expected.x) {
        assert!((value - expected).abs() <= 1.01e-5, "{} against {expected:?}", cf.row);
    }
    assert!(
        (cf.distances.elastic_net - expected.l1).abs() <= 1.01e-5,
        "{}",
        cf.distances.elastic_net
    );
    let step = data.step.unwrap();
    if let Some(lambda) = expected.lambda {
        assert!((step.lambda - lambda).abs() < 1e-10, "{}", step.lambda);
    }
    assert_eq!(step.index, expected.index);
    if let Some(hits) = expected.hits {
        let own: Vec<usize> = data.lambdas.iter().map(|own| own.n_hits).collect();
        assert_eq!(own, hits);
    }
    // alibi's `success`: the bisection began.
    assert!(!data.lambdas.is_empty());
}

#[test]
fn the_reference_is_repeated_for_a_target_of_1() {
    let params = CounterfactualParams::default().with_max_iterations(200);
    let expected = Expected {
        x: &[-1.44482, 0.56954],
        l1: 2.51436,
        lambda: Some(0.013_471_679_7),
        index: 1817,
        hits: Some([4, 0, 6, 0, 0, 0, 0, 3, 3, 4]),
    };
    reference_finds(params, ModelRef::BlackBox(&logistic()), &expected);
}

#[test]
fn the_reference_is_repeated_for_a_target_of_0_6() {
    let params = CounterfactualParams::default().with_max_iterations(200).with_target_proba(0.6);
    let expected = Expected {
        x: &[-0.10391, 0.50409],
        l1: 1.10801,
        lambda: Some(0.055),
        index: 49,
        hits: Some([31, 5, 0, 5, 1, 0, 6, 5, 0, 4]),
    };
    reference_finds(params, ModelRef::BlackBox(&logistic()), &expected);
}

#[test]
fn the_reference_is_repeated_for_three_classes() {
    let params = CounterfactualParams::default().with_max_iterations(200).with_target_proba(0.9);
    let expected = Expected {
        x: &[0.85095, 0.50032, 3.95878],
        l1: 4.40815,
        lambda: None,
        index: 925,
        hits: None,
    };
    reference_finds(params, ModelRef::BlackBox(&three_classes()), &expected);
}

#[test]
fn the_reference_is_repeated_at_a_limit() {
    let params = CounterfactualParams::default()
        .with_max_iterations(200)
        .with_target_proba(0.6)
        .with_feature_range((vec![0.9, -1e10].into(), vec![2.0, 1e10].into()));
    for model in both(&logistic()) {
        let semantics = Semantics::Reference;
        let params = params.clone().with_semantics(semantics);
        let cf = explain(params, model, &instance()).cf.unwrap();
        assert_eq!(cf.row[0], 0.9);
        assert!((cf.row[1] - 2.51238).abs() < 1.01e-5, "{}", cf.row);
        assert!(
            (cf.distances.elastic_net - 2.11238).abs() < 1.01e-5,
            "{}",
            cf.distances.elastic_net
        );
    }
}

#[test]
fn an_immutable_feature_leaves_the_other() {
    for model in both(&logistic()) {
        let params = CounterfactualParams::default()
            .with_target_proba(0.6)
            .with_constraints(constraints([(0, rule(Direction::None))]));
        let cf = explain(params, model, &instance()).cf.unwrap();
        assert_eq!(cf.row[0], 1.0);
        // The score -logit(0.55) is reached from 2 by the second feature alone.
        let expected = 0.5 + 2.0 + logit(0.55);
        assert!((expected - 2.700_670_7).abs() < 1e-7);
        assert!((expected - ROUNDING..=expected + 1e-3).contains(&cf.row[1]), "{}", cf.row);
    }
}

#[test]
fn changes_in_the_wrong_direction_are_refused_with_a_reason() {
    for model in both(&logistic()) {
        let rules = [(0, rule(Direction::Up)), (1, rule(Direction::None))];
        let params = CounterfactualParams::default()
            .with_target_proba(0.6)
            .with_constraints(constraints(rules));
        let data = explain(params, model, &instance());
        assert_eq!((data.cf, data.status), (None, Status::RangeInfeasible));
        assert!(data.nearest_miss.is_some());
    }
}

#[test]
fn a_limit_is_filled_before_the_next_feature_moves() {
    for model in both(&logistic()) {
        let params = CounterfactualParams::default()
            .with_target_proba(0.6)
            .with_feature_range((vec![0.9, -1e10].into(), vec![2.0, 1e10].into()));
        let cf = explain(params, model, &instance()).cf.unwrap();
        // 2 * 0.9 - x_1 + 0.5 = -logit(0.55).
        let expected = 2.3 + logit(0.55);
        assert!((expected - 2.500_670_7).abs() < 1e-7);
        assert_eq!(cf.row[0], 0.9);
        assert!((expected - ROUNDING..=expected + 2e-3).contains(&cf.row[1]), "{}", cf.row);
    }
}

#[test]
fn a_constant_model_has_no_gradient() {
    let model = Logistic::new(&[0.0, 0.0], 0.3);
    for access in both(&model) {
        let data = explain(CounterfactualParams::default(), access, &instance());
        assert_eq!((data.cf, data.status), (None, Status::GradientVanished));
        // No lambda ever takes a step.
        assert!(data.lambdas.iter().all(|lambda| lambda.n_steps == 0));
        assert!(data.nearest_miss.unwrap().outputs.iter().all(|proba| proba.is_finite()));
    }
}

#[test]
fn a_step_is_found_by_other_ways() {
    let stump = Elementwise(|row: &[f64]| if row[0] < 0.0 { 0.0 } else { 1.0 });
    let data = explain(CounterfactualParams::default(), ModelRef::BlackBox(&stump), &instance());
    let cf = data.cf.unwrap();
    assert_eq!((data.status, data.route), (Status::Found, Some(Route::Sweep)));
    assert!(cf.row[0] < 0.0 && cf.row[1] == 0.5, "{}", cf.row);
    assert_eq!(data.step, None);
}

/// Probabilities that the reference's white box leaves aside: the instance may be there already, or above the target.
#[test]
fn the_instance_is_tested_first() {
    // p_1 = sigmoid(2) = 0.8808.
    let same =
        CounterfactualParams::default().with_target_class(TargetClass::Same).with_target_proba(0.9);
    for model in both(&logistic()) {
        let data = explain(same.clone(), model, &instance());
        let cf = data.cf.unwrap();
        assert_eq!((cf.row, cf.distances.elastic_net), (instance(), 0.0));
        assert_eq!((data.route, data.status), (Some(Route::Start), Status::AlreadySatisfied));
    }
}

#[test]
fn a_target_below_the_instance_is_reached_from_above() {
    let params =
        CounterfactualParams::default().with_target_class(TargetClass::Same).with_target_proba(0.7);
    for model in both(&logistic()) {
        let cf = explain(params.clone(), model, &instance()).cf.unwrap();
        // The score falls from 2 to logit(0.75) by the first feature.
        let least = (2.0 - logit(0.75)) / 2.0;
        assert!(
            least - ROUNDING <= cf.distances.elastic_net
                && cf.distances.elastic_net <= least * 1.001,
            "{}",
            cf.distances.elastic_net
        );
        assert_eq!(cf.class, 1);
    }
}

#[test]
fn the_rank_of_the_target_is_a_condition_of_its_own() {
    // A third of the probability is not the largest share of two classes.
    let target = CounterfactualParams::default().with_target_proba(0.35);
    let unranked = target.clone().with_require_argmax(Some(false));
    for model in both(&logistic()) {
        let data = explain(target.clone(), model, &instance());
        assert_eq!((data.cf, data.status), (None, Status::NotFound));
        let cf = explain(unranked.clone(), model, &instance()).cf.unwrap();
        assert_eq!(cf.class, 1);
        let least = (2.0 + logit(0.3)) / 2.0;
        assert!(
            least - ROUNDING <= cf.distances.elastic_net
                && cf.distances.elastic_net <= least * 1.001,
            "{}",
            cf.distances.elastic_net
        );
    }
}

#[test]
fn a_least_probability_narrows_the_target() {
    let params = CounterfactualParams::default()
        .with_target_proba(0.6)
        .with_tol(0.1)
        .with_min_target_proba(Some(0.65));
    for model in both(&logistic()) {
        let cf = explain(params.clone(), model, &instance()).cf.unwrap();
        let least = (2.0 + logit(0.65)) / 2.0;
        assert!(
            least - ROUNDING <= cf.distances.elastic_net
                && cf.distances.elastic_net <= least * 1.001,
            "{}",
            cf.distances.elastic_net
        );
    }
}

/// Whole numbers and at most one change.
#[test]
fn constraints_hold_for_what_is_returned() {
    let whole = Constraint { integer: true, ..Default::default() };
    let params = CounterfactualParams::default()
        .with_constraints(Constraints {
            max_changes: Some(1),
            ..constraints([(0, whole), (1, rule(Direction::Up))])
        })
        .with_feature_range((PerFeature::All(-20.0), PerFeature::All(20.0)));
    for model in both(&logistic()) {
        let cf = explain(params.clone(), model, &instance()).cf.unwrap();
        // The first feature needs a change of -2.47, as a whole number -3.
        assert_eq!(cf.row, array![-2.0, 0.5]);
    }
}

#[test]
fn the_class_of_three_that_is_closest_is_reached() {
    let x = array![1.0, 0.5, -0.3];
    for model in both(&three_classes()) {
        let params = CounterfactualParams::default().with_target_proba(0.9);
        let data = explain(params.clone(), model, &x);
        let other = data.cf.unwrap();
        assert!(other.distances.elastic_net <= 4.40815, "{}", other.distances.elastic_net);
        let of = |class| {
            let target_class = TargetClass::Class(class);
            explain(params.clone().with_target_class(target_class), model, &x).cf.unwrap()
        };
        for class in [1, 2] {
            let own = of(class);
            assert_eq!(own.class, class);
            assert!(
                other.distances.elastic_net <= own.distances.elastic_net * 1.001,
                "{} {}",
                other.distances.elastic_net,
                own.distances.elastic_net
            );
        }
    }
}
