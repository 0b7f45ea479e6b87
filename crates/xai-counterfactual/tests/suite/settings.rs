//! What is refused, by name and before the model is called where that is possible.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; exact values"
)]

use ndarray::{Array1, Array2, array};
use xai_core::Status;
use xai_core::constraints::{Constraint, Constraints, Direction};
use xai_core::tabular::Features;
use xai_core::{
    BoxError, Budget, Error, Explainer, ModelRef, Output, OutputNames, ParamError, PerFeature,
    Result, Rows, Run, Semantics, Stop, per_row,
};
use xai_counterfactual::{Counterfactual, CounterfactualParams, DistanceFn, TargetClass};
use xai_testkit::{Logistic, Probe, refused};

fn params() -> CounterfactualParams {
    CounterfactualParams::default()
}

fn built(params: CounterfactualParams) -> Counterfactual {
    params.build(Features::unnamed(2).unwrap()).unwrap()
}

/// The name of the parameter that a result refuses.
#[track_caller]
fn named<T>(result: Result<T>) -> &'static str {
    match result.err() {
        Some(Error::Param(ParamError { name, .. })) => name,
        other => panic!("expected a parameter to be refused, got {other:?}"),
    }
}

#[test]
fn settings_outside_their_ranges_are_refused() {
    for target_proba in [0.0, -0.1, 1.1, f64::NAN] {
        refused("target_proba", params().with_target_proba(target_proba));
    }
    refused("max_iterations", params().with_max_iterations(0));
    let reference = params().with_semantics(Semantics::Reference);
    refused("max_iterations", reference.clone().with_max_iterations(9));
    refused("patience", params().with_patience(0));
    refused("c_steps", params().with_c_steps(0));
    for size in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        refused("c_init", params().with_c_init(size));
        refused("tol", params().with_tol(size));
        refused("learning_rate_init", params().with_learning_rate_init(size));
        refused("eps", params().with_eps(PerFeature::All(size)));
    }
    let nan = (PerFeature::All(f64::NAN), PerFeature::All(1.0));
    refused("feature_range", params().with_feature_range(nan));
    for least in [-0.1, 0.8, f64::NAN] {
        let params = params().with_target_proba(0.7);
        refused("min_target_proba", params.with_min_target_proba(Some(least)));
    }
    for shape in [vec![4], vec![2, 0], vec![1, 1, 1, 4]] {
        refused("shape", params().with_shape(Some(shape)));
    }
    let squared = reference.clone().with_distance_fn(DistanceFn::L2);
    refused("distance_fn", squared);
    let rule = Constraint { change: Direction::Up, ..Default::default() };
    let constraints = Constraints { features: [(0.into(), rule)].into(), max_changes: None };
    refused("constraints", reference.clone().with_constraints(constraints));
    refused("min_target_proba", reference.clone().with_min_target_proba(Some(0.5)));
    refused("require_argmax", reference.with_require_argmax(Some(true)));
}

#[test]
fn settings_that_do_not_fit_the_table_are_refused() {
    let table = || Features::unnamed(2).unwrap();
    let range = (vec![0.0, 0.0, 0.0].into(), PerFeature::All(1.0));
    let wide = params().with_feature_range(range);
    assert_eq!(named(wide.build(table())), "feature_range");
    let range = (vec![0.0, 2.0].into(), PerFeature::All(1.0));
    let crossed = params().with_feature_range(range);
    assert_eq!(named(crossed.build(table())), "feature_range");
    let eps = params().with_eps(vec![0.1].into());
    assert_eq!(named(eps.build(table())), "eps");
    let scaled = params().with_distance_fn(DistanceFn::L1Mad);
    assert_eq!(named(scaled.clone().build(table())), "distance_fn");
    let shape = params().with_shape(Some(vec![3, 1]));
    assert_eq!(named(shape.build(table())), "shape");
    let rows = array![[0.0, f64::NAN]];
    assert!(matches!(scaled.clone().fit(&rows, table()), Err(Error::NotFinite { .. })));
    assert!(matches!(scaled.clone().fit(&array![[0.0]], table()), Err(Error::Shape { .. })));
    assert!(matches!(scaled.fit(&Array2::zeros((0, 2)), table()), Err(Error::Shape { .. })));
}

#[test]
fn words_and_numbers_of_targets_read_back() {
    for (target, json) in [
        (TargetClass::Other, "\"other\""),
        (TargetClass::Same, "\"same\""),
        (TargetClass::Class(2), "2"),
    ] {
        assert_eq!(serde_json::to_string(&target).unwrap(), json);
        assert_eq!(serde_json::from_str::<TargetClass>(json).unwrap(), target);
    }
    for wrong in ["-1", "\"first\"", "1.5"] {
        assert!(serde_json::from_str::<TargetClass>(wrong).is_err(), "{wrong}");
    }
    for wrong in ["{\"distance_fn\":\"l3\"}", "{\"init\":\"identity\"}", "{\"lambda\":1}"] {
        assert!(serde_json::from_str::<CounterfactualParams>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_class_that_the_model_lacks_is_refused() {
    let model = Logistic::new(&[2.0, -1.0], 0.5);
    let target_class = TargetClass::Class(2);
    let explainer = built(params().with_target_class(target_class));
    let x = array![1.0, 0.5];
    let result = explainer.explain(ModelRef::WhiteBox(&model), &x, Run::seeded(0));
    assert_eq!(named(result), "target_class");
}

#[test]
fn a_score_is_refused_and_scores_are_warned_about() {
    let score = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        Ok(Array2::from_elem((batch.nrows(), 1), 7.0))
    };
    let explainer = built(params());
    let x = array![1.0, 0.5];
    let result = explainer.explain(ModelRef::BlackBox(&score), &x, Run::seeded(0));
    assert_eq!(named(result), "output");
    let scores = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        Ok(Array2::from_shape_fn((batch.nrows(), 2), |(row, class)| batch[[row, class]]))
    };
    let explained = explainer.explain(ModelRef::BlackBox(&scores), &x, Run::seeded(0)).unwrap();
    assert_eq!(explained.meta.warnings[0].code, "counterfactual.not_probabilities");
}

#[test]
fn an_instance_outside_the_range_is_refused_before_any_call() {
    let model = Logistic::new(&[2.0, -1.0], 0.5);
    let feature_range = (PerFeature::All(-0.9), PerFeature::All(0.9));
    let narrow = params().with_feature_range(feature_range).with_target_proba(0.6);
    let x = array![1.0, 0.5];
    let probe = Probe::new(&model);
    let result = built(narrow.clone()).explain(ModelRef::WhiteBox(&probe), &x, Run::seeded(0));
    assert_eq!((named(result), probe.calls()), ("feature_range", 0));
    let widened = built(narrow.with_widen_range(true));
    let data = widened.explain(ModelRef::WhiteBox(&probe), &x, Run::seeded(0)).unwrap().data;
    let cf = data.cf.unwrap();
    assert!((-0.9..=1.0).contains(&cf.row[0]), "{}", cf.row);
}

#[test]
fn a_budget_leaves_the_best_so_far() {
    let model = Logistic::new(&[2.0, -1.0], 0.5);
    let explainer = built(params());
    let x = array![1.0, 0.5];
    let access = ModelRef::BlackBox(&model);
    let full = explainer.explain(access, &x, Run::seeded(0)).unwrap();
    let mut last = f64::INFINITY;
    let mut n_found = 0;
    for queries in 1..full.meta.queries {
        let budget = Budget::queries(queries);
        let run = Run::seeded(0).with_budget(budget);
        let explained = explainer.explain(access, &x, run).unwrap();
        assert!(explained.meta.queries <= queries);
        let data = explained.data;
        match data.cf {
            Some(cf) => {
                n_found += 1;
                assert!(
                    1.0 - cf.outputs[0] >= 0.95 && cf.distances.elastic_net <= last * (1.0 + 1e-9),
                    "{queries}"
                );
                last = cf.distances.elastic_net;
            }
            None => assert_eq!((data.status, data.stop), (Status::Stopped, Stop::Budget)),
        }
    }
    assert!(0 < n_found, "no budget was enough for a first answer");
}

#[test]
fn figures_say_what_changed() {
    let model = Logistic::new(&[2.0, -1.0], 0.5);
    let x = array![1.0, 0.5];
    let figure = |params: CounterfactualParams| {
        let explained = built(params).explain(ModelRef::WhiteBox(&model), &x, Run::seeded(0));
        serde_json::to_value(explained.unwrap().data.figure(&OutputNames::default())).unwrap()
    };
    let table = figure(params());
    assert_eq!(table["panels"][0]["kind"], "bars");
    assert_eq!(table["panels"][0]["bars"][0]["label"], "feature_0");
    assert_eq!(table["panels"][1]["rows"].as_array().unwrap().len(), 1);
    // The instance, the change and the counterfactual.
    let row = &table["panels"][1]["rows"][0];
    let change = table["panels"][0]["bars"][0]["value"].as_f64().unwrap();
    assert_eq!(row[1], "1");
    assert_eq!(row[2], xai_core::figure::signed(change));
    let image = figure(params().with_shape(Some(vec![1, 2])));
    let kinds: Vec<_> =
        image["panels"].as_array().unwrap().iter().map(|panel| &panel["kind"]).collect();
    assert_eq!(kinds, ["image", "heat-map", "image"]);
    assert_eq!(image["panels"][1]["width"], 2);
    assert_eq!(image["panels"][1]["values"][0].as_f64().unwrap().to_bits(), change.to_bits());
    let none = params().with_feature_range((PerFeature::All(0.5), PerFeature::All(1.0)));
    assert!(figure(none)["title"].as_str().unwrap().contains("no counterfactual"));
}

/// Settings of one call must not reach the next, nor those of one explainer another.
#[test]
fn explainers_do_not_share_anything() {
    let model = Logistic::new(&[2.0, -1.0], 0.5);
    let access = ModelRef::WhiteBox(&model);
    let x: Array1<f64> = array![1.0, 0.5];
    let range = |low: f64| {
        params()
            .with_feature_range((PerFeature::All(low), PerFeature::All(1.0)))
            .with_target_proba(0.6)
    };
    let (wide, narrow) = (built(range(-2.0)), built(range(-0.05)));
    let of = |explainer: &Counterfactual| {
        explainer.explain(access, &x, Run::seeded(0)).unwrap().to_json().unwrap()
    };
    let fresh = of(&wide);
    let narrowed = of(&narrow);
    assert_ne!(fresh, narrowed);
    assert_eq!(of(&wide), fresh);
    assert_eq!(of(&narrow), narrowed);
}

#[test]
fn settings_stand_side_by_side_with_their_own_defaults() {
    let read = |text: &str| serde_json::from_str::<CounterfactualParams>(text);
    assert_eq!(read("{}").unwrap(), params());
    assert_eq!(read("{}").unwrap().search.learning_rate_init, 0.1);
    let given = read("{\"c_steps\":3,\"tol\":0.1,\"distance_fn\":\"l1-mad\"}").unwrap();
    let expected = params().with_c_steps(3).with_tol(0.1).with_distance_fn(DistanceFn::L1Mad);
    assert_eq!(given, expected);
    let value = serde_json::to_value(&given).unwrap();
    assert_eq!((&value["c_steps"], &value["tol"]), (&3.into(), &0.1.into()));
    assert_eq!(serde_json::from_value::<CounterfactualParams>(value).unwrap(), given);
    let message = read("{\"lam_init\":0.1}").unwrap_err().to_string();
    assert!(message.contains("`lam_init`") && message.contains("`c_init`"), "{message}");
    let schema = serde_json::to_value(schemars::schema_for!(CounterfactualParams)).unwrap();
    assert_eq!(schema["properties"]["learning_rate_init"]["default"], 0.1);
    assert_eq!(schema["additionalProperties"], false);
}

/// The price is `x_0 + 3 x_1`, 2 at the instance; the closest row of an interval moves the second feature alone.
#[test]
fn an_interval_is_a_setting() {
    let x = array![0.5, 0.5];
    let model = per_row(|row| row[0] + 3.0 * row[1]);
    for (min, max, reached) in
        [(Some(5.0), None, 5.0), (Some(3.0), Some(4.0), 3.0), (None, Some(-1.0), -1.0)]
    {
        let explainer = built(params().with_output(Output::Interval { min, max, target: 0 }));
        let explained = explainer.explain(&model, &x, Run::seeded(0)).unwrap();
        let meta = serde_json::to_value(&explained.meta.output).unwrap();
        assert_eq!(meta, serde_json::json!({ "meaning": "interval", "source": "set" }));
        let cf = explained.data.cf.unwrap();
        assert_eq!((explained.data.class, cf.class, cf.row[0]), (0, 1, 0.5));
        let distance: f64 = (reached - 2.0_f64).abs() / 3.0;
        let found = cf.distances.elastic_net;
        // The end of an interval is inside, so that it may be met to rounding.
        let range = distance - 1e-12..=distance * 1.002;
        assert!(range.contains(&found), "{min:?} {max:?} {}", cf.row);
        assert_eq!(explained.data.classes.names, ["outside", "inside"]);
    }
    // Already inside, and asked to stay there.
    let inside = Output::Interval { min: Some(1.0), max: None, target: 0 };
    let same = params().with_output(inside).with_target_class(TargetClass::Same);
    let data = built(same).explain(&model, &x, Run::seeded(0)).unwrap().data;
    assert_eq!((data.status, data.cf.unwrap().row), (Status::AlreadySatisfied, x));
}
