//! What holds of every search: rules are kept to, what is found is what the model says, bad input is refused.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; kept cells are exact"
)]

use ndarray::{Array1, Array2, Axis, array};
use proptest::prelude::*;
use xai_cfproto::distance::{DistanceType, Smoothing};
use xai_cfproto::trust::TrustScoreParams;
use xai_cfproto::{CfProto, CfProtoModel, CfProtoParams, Status};
use xai_core::constraints::{Constraint, Constraints, Direction};
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{
    BoxError, Error, Explainer, Output, Rows, Run, RunConfig, Seed, Semantics, per_row,
};
use xai_testkit::{Logistic, Network, Probe, refused};

/// A network of three inputs, or of those of the mixed table, with two outputs.
fn network(seed: u64, n_inputs: usize) -> Network {
    let mut stream = Seed::new(seed).stream();
    let mut layer = |n: usize, m: usize| {
        let weights = Array2::from_shape_simple_fn((n, m), || 3.0 * stream.uniform() - 1.5);
        (weights, Array1::from_shape_simple_fn(m, || stream.uniform() - 0.5))
    };
    let layers = vec![layer(n_inputs, 6), layer(6, 2)];
    Network::tanh(layers)
}

fn largest(outputs: &xai_core::Row) -> usize {
    usize::from(outputs[0] < outputs[1])
}

fn quick() -> CfProtoParams {
    CfProtoParams::default().with_max_iterations(60).with_c_init(1.0).with_c_steps(4)
}

/// A category in three columns, a category in one, two quantities, one of them whole.
fn mixed() -> Features {
    Features::new(vec![
        Feature::categorical("kind", ["a", "b", "c"], Encoding::OneHot),
        Feature::numeric("u"),
        Feature::categorical("size", ["s", "m", "l"], Encoding::Ordinal),
        Feature::numeric("count"),
    ])
    .unwrap()
}

fn mixed_rows(n: usize, seed: u64) -> Array2<f64> {
    let mut stream = Seed::new(seed).stream();
    let mut rows = Array2::zeros((n, 6));
    for mut row in rows.rows_mut() {
        row[stream.index(3)] = 1.0;
        row[3] = 2.0 * stream.uniform() - 1.0;
        row[4] = stream.index(3) as f64;
        row[5] = stream.index(5) as f64;
    }
    rows
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![
        Just(Direction::Any),
        Just(Direction::None),
        Just(Direction::Up),
        Just(Direction::Down)
    ]
}

prop_compose! {
    fn constraints()(
        kind in direction(), u in direction(), size in direction(), count in direction(),
        integer in any::<bool>(), only in prop::sample::subsequence(vec!["a", "b", "c"], 1..=3),
        cost in 0.1..5.0_f64, max_changes in prop::option::of(1_usize..=3),
    ) -> Constraints {
        let rule = |change| Constraint { change, cost: Some(cost), ..Default::default() };
        let names = only.into_iter().map(str::to_owned).collect();
        let features = [
            ("kind".into(), Constraint { categories: Some(names), ..rule(kind) }),
            ("u".into(), rule(u)),
            ("size".into(), rule(size)),
            ("count".into(), Constraint { integer, min: Some(0.0), max: Some(6.0), ..rule(count) }),
        ];
        Constraints { features: features.into(), max_changes }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn constraints_hold_whatever_is_found(constraints in constraints(), seed in 0_u64..1000, kdtree in any::<bool>()) {
        let network = network(seed, 6);
        let features = mixed();
        let bound = constraints.bind(&features).unwrap();
        for view in [CfProtoModel::white_box(&network), CfProtoModel::black_box(&network)] {
            let params = quick().with_constraints(constraints.clone()).with_widen_range(true).with_use_kdtree(kdtree).with_theta(if kdtree { 1.0 } else { 0.0 });
            let fitted = params.fit(view, &mixed_rows(30, seed), features.clone(), &mut Run::seeded(0));
            // A model that says one class alone has no prototype of another.
            let explainer = fitted.unwrap();
            let rows = mixed_rows(3, seed + 1);
            for (row, result) in rows.rows().into_iter().zip(explainer.explain_many(view, &rows, &RunConfig::seeded(0))) {
                let data = match result {
                    Ok(explanation) => explanation.data,
                    Err(Error::Param(error)) => {
                        prop_assert_eq!(error.name, "target_class");
                        continue;
                    }
                    Err(other) => return Err(TestCaseError::fail(other.to_string())),
                };
                let Some(cf) = data.cf else {
                    prop_assert!(data.status != Status::Found);
                    continue;
                };
                let violations = bound.violations(&row, &cf.row).unwrap();
                prop_assert!(violations.is_empty(), "{:?}", violations);
                let outputs = predict(&network, &cf.row);
                prop_assert_eq!(largest(&outputs.row(0)), cf.class);
                prop_assert_ne!(cf.class, data.class);
            }
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the test asks the model itself")]
fn predict(network: &Network, x: &Array1<f64>) -> Array2<f64> {
    xai_core::Predictor::predict(network, &x.view().insert_axis(Axis(0))).unwrap()
}

#[test]
fn what_is_found_is_what_the_model_says_of_these_very_numbers() {
    let mut found = 0;
    for seed in 0..100 {
        let network = network(seed, 3);
        let explainer = quick().build(Features::unnamed(3).unwrap()).unwrap();
        let view = CfProtoModel::white_box(&network);
        let x = array![0.3, -0.4, 0.1];
        let data = explainer.explain(view, &x, Run::seeded(0)).unwrap().data;
        let Some(cf) = data.cf else { continue };
        found += 1;
        let outputs = predict(&network, &cf.row);
        assert_eq!(outputs.row(0), cf.outputs);
        assert_eq!(largest(&outputs.row(0)), cf.class);
        assert_ne!(cf.class, data.class);
    }
    // Not every network has another class nearby.
    assert!(90 <= found, "{found} of 100");
}

#[test]
fn eight_together_are_eight_alone() {
    let train = mixed_rows(40, 5);
    let says_both = |network: &Network| {
        let classes: Vec<usize> = train
            .rows()
            .into_iter()
            .map(|row| largest(&predict(network, &row.to_owned()).row(0)))
            .collect();
        classes.contains(&0) && classes.contains(&1)
    };
    let network = (0..).map(|seed| network(seed, 6)).find(says_both).unwrap();
    let view = CfProtoModel::black_box(&network);
    let params = quick().with_use_kdtree(true).with_theta(1.0).with_widen_range(true);
    let rows = mixed_rows(8, 77);
    let explainer = params.fit(view, &train, mixed(), &mut Run::seeded(0)).unwrap();
    let together = explainer.explain_many(view, &rows, &RunConfig::seeded(3));
    for (row, together) in rows.rows().into_iter().zip(together) {
        let alone = explainer.explain(view, &row, Run::seeded(3)).unwrap();
        assert_eq!(together.unwrap().to_json().unwrap(), alone.to_json().unwrap());
    }
}

#[test]
fn instances_share_the_models_calls() {
    let logistic = Logistic::new(&[2.0, -1.0, 0.5, 1.0], 0.5);
    let calls = |n: usize| {
        let probe = Probe::new(&logistic);
        let rows = Array2::from_shape_fn((n, 4), |(row, column)| {
            1.0 + row as f64 * 0.01 + column as f64 * 0.1
        });
        let explainer = CfProtoParams::default().build(Features::unnamed(4).unwrap()).unwrap();
        let view = CfProtoModel::black_box(&probe);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let results = pool.install(|| explainer.explain_many(view, &rows, &RunConfig::seeded(0)));
        assert!(results.iter().all(|result| result.as_ref().unwrap().data.cf.is_some()));
        probe.calls()
    };
    // Alibi asks 49,961 times for one instance of four features. Here a weight that leads nowhere takes its 1000 steps, in
    // each of two rounds of weights, and what is found is improved in a few calls more.
    let (one, many) = (calls(1), calls(8));
    assert!(one <= 2 * 1001 + 100, "{one}");
    // On one thread two rows share their calls.
    assert!(many <= 4 * (one + 100), "{many} for eight, {one} for one");
}

#[test]
fn settings_outside_their_range_are_refused_by_name() {
    let default = CfProtoParams::default;
    let nan = f64::NAN;
    for (name, params) in [
        ("kappa", default().with_kappa(-0.1)),
        ("beta", default().with_beta(nan)),
        ("gamma", default().with_gamma(-1.0)),
        ("theta", default().with_theta(f64::INFINITY)),
        ("threshold", default().with_threshold(-1.0)),
        ("c_init", default().with_c_init(0.0)),
        ("c_steps", default().with_c_steps(0)),
        ("max_iterations", default().with_max_iterations(0)),
        ("update_num_grad", default().with_update_num_grad(0)),
        ("k", default().with_k(Some(0))),
        ("learning_rate_init", default().with_learning_rate_init(0.0)),
        ("feature_range", default().with_feature_range(Some((nan.into(), 1.0.into())))),
        ("eps", default().with_eps(Some((1e-3.into(), 0.0.into())))),
        ("clip", default().with_clip((1.0, 1.0))),
        ("w", default().with_d_type(DistanceType::AbdmMvdm)),
        ("w", default().with_w(Some(0.5))),
        ("w", default().with_d_type(DistanceType::AbdmMvdm).with_w(Some(1.5))),
        ("disc_perc", default().with_disc_perc(vec![])),
        ("disc_perc", default().with_disc_perc(vec![101.0])),
        ("smoothing", default().with_smoothing(Some(Smoothing::Laplace(0.0)))),
        ("smooth", default().with_smooth(0.0)),
        ("target_class", default().with_target_class(Some(vec![]))),
        ("min_target_proba", default().with_min_target_proba(Some(1.5))),
        ("alpha", default().with_trustscore_kwargs(TrustScoreParams::default().with_alpha(1.0))),
    ] {
        refused(name, params);
    }
}

/// The name of the parameter that an error is about.
#[track_caller]
fn named<T>(result: Result<T, Error>) -> &'static str {
    match result {
        Err(Error::Param(error)) => error.name,
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("it was accepted"),
    }
}

#[test]
fn what_does_not_fit_is_refused_before_the_model_is_asked() {
    let logistic = Logistic::new(&[2.0, -1.0], 0.5);
    let probe = Probe::new(&logistic);
    let view = CfProtoModel::white_box(&probe);
    let two = || Features::unnamed(2).unwrap();
    let rows = array![[-1.0, 0.5], [1.0, 0.5]];
    let fit = |params: CfProtoParams| params.fit(view, &rows, two(), &mut Run::seeded(0));
    assert_eq!(named(fit(quick().with_theta(1.0))), "theta");
    assert_eq!(named(fit(quick().with_threshold(1.0))), "threshold");
    assert_eq!(named(fit(quick().with_gamma(1.0))), "gamma");
    let range = Some((vec![0.0; 3].into(), 1.0.into()));
    assert_eq!(named(fit(quick().with_feature_range(range))), "feature_range");
    let build = |params: CfProtoParams| params.build(two());
    assert_eq!(named(build(quick().with_use_kdtree(true))), "use_kdtree");
    assert_eq!(named(quick().build(mixed())), "features");
    let constraints = Constraints { max_changes: Some(1), ..Default::default() };
    let reference = quick().with_semantics(Semantics::Reference).with_constraints(constraints);
    assert_eq!(named(build(reference)), "constraints");
    assert_eq!(probe.calls(), 0);
    let explain = |params: CfProtoParams| {
        build(params).unwrap().explain(view, &array![1.0, 0.5], Run::seeded(0))
    };
    assert_eq!(named(explain(quick().with_gamma(1.0))), "gamma");
    assert_eq!(probe.calls(), 0);
    // These are about the classes of the model, which it has to be asked for.
    assert_eq!(named(explain(quick().with_target_class(Some(vec![1])))), "target_class");
    assert_eq!(named(explain(quick().with_target_class(Some(vec![2])))), "target_class");
    assert_eq!(named(explain(quick().with_instance_class(Some(2)))), "instance_class");
    let range = Some(((-0.5).into(), 0.5.into()));
    assert_eq!(named(explain(quick().with_feature_range(range))), "feature_range");
    let quantity = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        Ok(Array2::from_elem((batch.nrows(), 1), 7.0))
    };
    let view = CfProtoModel::black_box(&quantity);
    let explainer = build(quick()).unwrap();
    assert_eq!(named(explainer.explain(view, &array![1.0, 0.5], Run::seeded(0))), "output");
    let wrong = array![[1.0, 1.0, 0.0, 0.3, 0.0, 1.0]];
    let network = network(1, 6);
    let view = CfProtoModel::black_box(&network);
    let result = quick().fit(view, &wrong, mixed(), &mut Run::seeded(0));
    assert!(matches!(result, Err(Error::Category { row: 0, .. })), "{result:?}");
}

#[test]
fn trust_that_cannot_be_had_is_the_reason() {
    let logistic = Logistic::new(&[2.0, -1.0], 0.5);
    let view = CfProtoModel::white_box(&logistic);
    let rows = array![[-1.0, 0.5], [1.0, 0.5]];
    // The row of the other class itself is 2 / 1e-10 times farther from the instance's class.
    let params = quick().with_use_kdtree(true).with_threshold(1e12);
    let explainer =
        params.fit(view, &rows, Features::unnamed(2).unwrap(), &mut Run::seeded(0)).unwrap();
    let data = explainer.explain(view, &array![1.0, 0.5], Run::seeded(0)).unwrap().data;
    assert!(data.cf.is_none());
    assert_eq!(data.status, Status::TrustRejected);
    // A threshold that can be had is kept to.
    let params = quick().with_use_kdtree(true).with_threshold(1.5).with_theta(1.0);
    let explainer =
        params.fit(view, &rows, Features::unnamed(2).unwrap(), &mut Run::seeded(0)).unwrap();
    let data = explainer.explain(view, &array![1.0, 0.5], Run::seeded(0)).unwrap().data;
    assert!(data.cf.is_some() && 1.5 < data.trust.unwrap());
}

#[test]
fn fitting_says_what_it_asked() {
    let (network, encoder) = (network(4, 6), network(5, 6));
    let (probe, encoder_probe) = (Probe::new(&network), Probe::new(&encoder));
    let view = CfProtoModel::black_box(&probe).with_encoder(&encoder_probe);
    let rows = mixed_rows(30, 9);
    let params = quick().with_widen_range(true);
    let fitted = params.fit(view, &rows, mixed(), &mut Run::seeded(0)).unwrap();
    let asked = probe.rows() + encoder_probe.rows();
    assert_eq!((fitted.fit_queries(), asked), (60, 60));
    // A run that was used before is not counted again.
    let mut run = Run::seeded(0);
    for _ in 0..2 {
        let fitted = quick().fit(&network, &rows, mixed(), &mut run).unwrap();
        assert_eq!(fitted.fit_queries(), 30);
    }
    let x = mixed_rows(1, 10).row(0).to_owned();
    let before = probe.rows() + encoder_probe.rows();
    let explained = fitted.explain(view, &x, Run::seeded(0)).unwrap();
    let asked = probe.rows() + encoder_probe.rows() - before;
    assert_eq!((explained.data.fit_queries, explained.meta.queries), (60, asked));
    let text = serde_json::to_string(&fitted).unwrap();
    assert_eq!(serde_json::from_str::<CfProto>(&text).unwrap().fit_queries(), 60);
}

#[test]
fn settings_stand_side_by_side_and_unknown_keys_are_refused_by_name() {
    let params = CfProtoParams::default().with_theta(2.0).with_patience(7);
    let value = serde_json::to_value(&params).unwrap();
    assert_eq!((&value["theta"], &value["patience"]), (&2.0.into(), &7.into()));
    assert_eq!(serde_json::from_value::<CfProtoParams>(value).unwrap(), params);
    let message = serde_json::from_str::<CfProtoParams>("{\"thetta\":1,\"patience\":3}");
    let message = message.unwrap_err().to_string();
    assert!(message.contains("`thetta`") && message.contains("`theta`"), "{message}");
    assert!(message.contains("`max_iterations`"), "{message}");
}

#[test]
fn scores_are_refused_and_an_interval_of_them_is_not() {
    let price = per_row(|row| 100.0 * row[0]);
    let rows = array![[1.0, 4.0], [1.5, 6.0], [5.0, 0.0], [6.0, 1.0]];
    let two = || Features::unnamed(2).unwrap();
    let x = array![5.0, 0.0];
    let message = quick().fit(&price, &rows, two(), &mut Run::seeded(0)).unwrap_err().to_string();
    assert!(message.contains("`output`") && message.contains("`interval`"), "{message}");
    let interval = Output::Interval { min: None, max: Some(200.0), target: 0 };
    let params = CfProtoParams::default().with_output(interval).with_use_kdtree(true);
    let explainer = params.with_theta(10.0).fit(&price, &rows, two(), &mut Run::seeded(0)).unwrap();
    let explained = explainer.explain(&price, &x, Run::seeded(0)).unwrap();
    let cf = explained.data.cf.unwrap();
    assert_eq!((explained.data.class, explained.data.id_proto, cf.class), (0, Some(1), 1));
    assert!((1.9..=2.0).contains(&cf.row[0]) && cf.row[1] == 0.0, "{}", cf.row);
    assert_eq!(explained.data.classes.names, ["outside", "inside"]);
    let meta = serde_json::to_value(&explained.meta.output).unwrap();
    assert_eq!(meta["meaning"], "interval");
}
