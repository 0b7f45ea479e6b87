//! Laws that hold for any model: what is returned flips as returned and breaks no rule, alone and beside others.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; codes are exact"
)]

use ndarray::{Array1, Array2, Axis};
use proptest::prelude::*;
use xai_core::Status;
use xai_core::constraints::{Constraint, Constraints, Direction};
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{Differentiable, Explainer, ModelRef, PerFeature, Row, Run, RunConfig, Seed};
use xai_counterfactual::{CounterfactualParams, DistanceFn, TargetClass};
use xai_testkit::Network;

/// Numbers from -1 to 1 that depend on the seed.
fn numbers(seed: u64, shape: (usize, usize)) -> Array2<f64> {
    let mut stream = Seed::from(seed).stream();
    Array2::from_shape_fn(shape, |_| 2.0 * stream.uniform() - 1.0)
}

/// A small network of tanh units with probabilities.
fn network(seed: u64, n_features: usize, n_classes: usize) -> Network {
    let hidden = numbers(seed, (n_features, 8)) * 2.0;
    let head = numbers(seed + 1, (8, n_classes)) * 3.0;
    let bias = |seed, n| numbers(seed, (1, n)).row(0).to_owned();
    Network::tanh(vec![(hidden, bias(seed + 2, 8)), (head, bias(seed + 3, n_classes))]).softmax()
}

#[allow(clippy::disallowed_methods, reason = "the judge asks for itself")]
fn outputs(model: &dyn Differentiable, row: &Row) -> Array1<f64> {
    model.predict(&row.view().insert_axis(Axis(0))).unwrap().row(0).to_owned()
}

fn argmax(outputs: &Array1<f64>) -> usize {
    (0..outputs.len())
        .fold(0, |best, class| if outputs[best] < outputs[class] { class } else { best })
}

/// A hundred small networks: nearly all are flipped, and what is returned flips as it stands.
#[test]
fn what_is_returned_flips_as_returned() {
    let mut n_found = 0;
    for seed in 0..100 {
        let model = network(10 * seed, 4, 3);
        let x = numbers(1000 + seed, (1, 4)).row(0).to_owned();
        let params = CounterfactualParams::default().with_target_proba(0.8);
        let explainer = params.build(Features::unnamed(4).unwrap()).unwrap();
        let data = explainer.explain(ModelRef::WhiteBox(&model), &x, Run::seeded(0)).unwrap().data;
        let before = argmax(&outputs(&model, &x));
        assert_eq!(data.class, before);
        let Some(cf) = data.cf else { continue };
        n_found += 1;
        let answer = outputs(&model, &cf.row);
        assert_eq!((argmax(&answer), &answer), (cf.class, &cf.outputs));
        assert_ne!(cf.class, before);
        assert!((answer[cf.class] - 0.8).abs() <= 0.05);
        assert!((&cf.row - &x).mapv(f64::abs).sum() <= cf.distances.elastic_net + 1e-12);
    }
    assert!(95 <= n_found, "{n_found} of 100");
}

/// A model of two classes on a table of numbers, a whole number, a category in one column and one in three.
fn table() -> Features {
    Features::new(vec![
        Feature::numeric("a"),
        Feature::numeric("b"),
        Feature::numeric("count"),
        Feature::categorical("code", ["x", "y", "z"], Encoding::Ordinal),
        Feature::categorical("color", ["red", "green", "blue"], Encoding::OneHot),
    ])
    .unwrap()
}

fn instance(seed: u64) -> Array1<f64> {
    let mut stream = Seed::from(seed).stream();
    let mut draw = || stream.uniform();
    let mut x = Array1::zeros(7);
    (x[0], x[1]) = (2.0 * draw() - 1.0, 2.0 * draw() - 1.0);
    x[2] = (4.0 * draw()).floor();
    x[3] = (3.0 * draw()).floor();
    let hot = (3.0 * draw()).floor();
    for color in 0..3 {
        x[4 + color] = if color as f64 == hot { 1.0 } else { 0.0 };
    }
    x
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![
        Just(Direction::Any),
        Just(Direction::None),
        Just(Direction::Up),
        Just(Direction::Down)
    ]
}

fn constraints() -> impl Strategy<Value = Constraints> {
    let quantity = || {
        (direction(), prop::option::of(0.1..1.0_f64), prop::bool::ANY).prop_map(
            |(change, step, bounded)| Constraint {
                change,
                step,
                min: bounded.then_some(-1.5),
                max: bounded.then_some(1.5),
                ..Default::default()
            },
        )
    };
    let count =
        direction().prop_map(|change| Constraint { change, integer: true, ..Default::default() });
    let category = |names: [&'static str; 2]| {
        (direction(), prop::bool::ANY).prop_map(move |(change, few)| Constraint {
            change,
            categories: few.then(|| names.map(str::to_owned).to_vec()),
            ..Default::default()
        })
    };
    let parts = (quantity(), quantity(), count, category(["x", "z"]), category(["red", "blue"]));
    (parts, prop::option::of(1..5_usize)).prop_map(|((a, b, count, code, color), max_changes)| {
        let features = [("a", a), ("b", b), ("count", count), ("code", code), ("color", color)];
        Constraints {
            features: features.map(|(name, rule)| (name.into(), rule)).into(),
            max_changes,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_rule_is_ever_broken(
        seed in 0..10_000_u64,
        constraints in constraints(),
        distance_fn in prop_oneof![Just(DistanceFn::L1), Just(DistanceFn::L2)],
        is_white in prop::bool::ANY,
    ) {
        let model = network(seed, 7, 2);
        let x = instance(seed);
        let bound = constraints.bind(&table()).unwrap();
        let params = CounterfactualParams::default().with_target_proba(0.8).with_tol(0.2).with_max_iterations(60).with_c_steps(4).with_distance_fn(distance_fn).with_constraints(constraints).with_feature_range((PerFeature::All(-3.0), PerFeature::All(4.0)));
        let explainer = params.build(table()).unwrap();
        let access = if is_white { ModelRef::WhiteBox(&model) } else { ModelRef::BlackBox(&model) };
        let data = explainer.explain(access, &x, Run::seeded(seed)).unwrap().data;
        if let Some(cf) = data.cf {
            prop_assert_eq!(bound.violations(&x, &cf.row).unwrap(), vec![]);
            prop_assert_eq!(argmax(&outputs(&model, &cf.row)), 1 - data.class);
            prop_assert!(cf.row.iter().all(|value| (-3.0..=4.0).contains(value)));
            prop_assert_eq!(data.status, Status::Found);
        } else {
            prop_assert_ne!(data.status, Status::Found);
        }
    }
}

/// The bytes of each row's explanation.
fn bytes(params: &CounterfactualParams, access: &ModelRef<'_>, rows: &Array2<f64>) -> Vec<String> {
    let explainer = params.clone().build(Features::unnamed(rows.ncols()).unwrap()).unwrap();
    let explained = explainer.explain_many(access, rows, &RunConfig::seeded(1));
    explained.into_iter().map(|own| own.unwrap().to_json().unwrap()).collect()
}

#[test]
fn a_row_gets_the_same_bytes_alone_and_beside_others_on_any_threads() {
    let model = network(77, 4, 3);
    let rows = numbers(5, (8, 4));
    let order = [3, 0, 7, 5, 1, 6, 2, 4];
    let shuffled = rows.select(Axis(0), &order);
    let params = CounterfactualParams::default().with_target_proba(0.8);
    for access in [ModelRef::WhiteBox(&model), ModelRef::BlackBox(&model)] {
        let alone: Vec<String> =
            (0..8).flat_map(|row| bytes(&params, &access, &rows.select(Axis(0), &[row]))).collect();
        for threads in [1, 2, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| bytes(&params, &access, &rows)), alone, "{threads} threads");
            let moved = pool.install(|| bytes(&params, &access, &shuffled));
            assert!(moved.iter().zip(order).all(|(own, row)| *own == alone[row]));
        }
    }
}

/// A target of the instance's own class never asks for another one.
#[test]
fn the_same_class_stays() {
    for seed in 0..20 {
        let model = network(500 + 10 * seed, 3, 2);
        let x = numbers(seed, (1, 3)).row(0).to_owned();
        let params = CounterfactualParams::default()
            .with_target_class(TargetClass::Same)
            .with_target_proba(0.75);
        let explainer = params.build(Features::unnamed(3).unwrap()).unwrap();
        let data = explainer.explain(ModelRef::WhiteBox(&model), &x, Run::seeded(0)).unwrap().data;
        if let Some(cf) = data.cf {
            let answer = outputs(&model, &cf.row);
            assert!((answer[data.class] - 0.75).abs() <= 0.05);
        }
    }
}
