//! What is refused, by name and before the model is called where that is possible.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; exact values"
)]

use ndarray::{Array1, Array2, array};
use xai_core::constraints::{Constraint, Constraints, Direction};
use xai_core::tabular::Features;
use xai_core::{
    BoxError, Budget, Error, Explainer, ModelRef, ParamError, PerFeature, Result, Rows, Run,
    Semantics, Stop,
};
use xai_counterfactual::{Counterfactual, CounterfactualParams, DistanceFn, TargetClass};
use xai_optim::Status;
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
        refused("target_proba", CounterfactualParams { target_proba, ..params() });
    }
    refused("max_iter", CounterfactualParams { max_iter: 0, ..params() });
    let reference = CounterfactualParams { semantics: Semantics::Reference, ..params() };
    refused("max_iter", CounterfactualParams { max_iter: 9, ..reference.clone() });
    refused("early_stop", CounterfactualParams { early_stop: 0, ..params() });
    refused("max_lam_steps", CounterfactualParams { max_lam_steps: 0, ..params() });
    for size in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        refused("lam_init", CounterfactualParams { lam_init: size, ..params() });
        refused("tol", CounterfactualParams { tol: size, ..params() });
        refused(
            "learning_rate_init",
            CounterfactualParams { learning_rate_init: size, ..params() },
        );
        refused("eps", CounterfactualParams { eps: PerFeature::All(size), ..params() });
    }
    let nan = (PerFeature::All(f64::NAN), PerFeature::All(1.0));
    refused("feature_range", CounterfactualParams { feature_range: nan, ..params() });
    for least in [-0.1, 0.8, f64::NAN] {
        let params = CounterfactualParams { target_proba: 0.7, ..params() };
        refused(
            "min_target_proba",
            CounterfactualParams { min_target_proba: Some(least), ..params },
        );
    }
    for shape in [vec![4], vec![2, 0], vec![1, 1, 1, 4]] {
        refused("shape", CounterfactualParams { shape: Some(shape), ..params() });
    }
    let squared = CounterfactualParams { distance_fn: DistanceFn::L2, ..reference.clone() };
    refused("distance_fn", squared);
    let rule = Constraint { change: Direction::Up, ..Default::default() };
    let constraints = Constraints { features: [(0.into(), rule)].into(), max_changes: None };
    refused("constraints", CounterfactualParams { constraints, ..reference.clone() });
    refused(
        "min_target_proba",
        CounterfactualParams { min_target_proba: Some(0.5), ..reference.clone() },
    );
    refused("require_argmax", CounterfactualParams { require_argmax: Some(true), ..reference });
}

#[test]
fn settings_that_do_not_fit_the_table_are_refused() {
    let table = || Features::unnamed(2).unwrap();
    let range = (vec![0.0, 0.0, 0.0].into(), PerFeature::All(1.0));
    let wide = CounterfactualParams { feature_range: range, ..params() };
    assert_eq!(named(wide.build(table())), "feature_range");
    let range = (vec![0.0, 2.0].into(), PerFeature::All(1.0));
    let crossed = CounterfactualParams { feature_range: range, ..params() };
    assert_eq!(named(crossed.build(table())), "feature_range");
    let eps = CounterfactualParams { eps: vec![0.1].into(), ..params() };
    assert_eq!(named(eps.build(table())), "eps");
    let scaled = CounterfactualParams { distance_fn: DistanceFn::L1Mad, ..params() };
    assert_eq!(named(scaled.clone().build(table())), "distance_fn");
    let shape = CounterfactualParams { shape: Some(vec![3, 1]), ..params() };
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
    for wrong in ["{\"distance_fn\":\"l3\"}", "{\"init\":\"random\"}", "{\"lambda\":1}"] {
        assert!(serde_json::from_str::<CounterfactualParams>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_class_that_the_model_lacks_is_refused() {
    let model = Logistic::new(&[2.0, -1.0], 0.5);
    let target_class = TargetClass::Class(2);
    let explainer = built(CounterfactualParams { target_class, ..params() });
    let x = array![1.0, 0.5];
    let result = explainer.explain(ModelRef::WhiteBox(&model), &x, Run::seeded(0));
    assert_eq!(named(result), "target_class");
}

#[test]
fn a_score_is_refused_and_scores_are_doubted() {
    let score = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        Ok(Array2::from_elem((batch.nrows(), 1), 7.0))
    };
    let explainer = built(params());
    let x = array![1.0, 0.5];
    let result = explainer.explain(ModelRef::BlackBox(&score), &x, Run::seeded(0));
    assert_eq!(named(result), "model");
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
    let narrow = CounterfactualParams { feature_range, target_proba: 0.6, ..params() };
    let x = array![1.0, 0.5];
    let probe = Probe::new(&model);
    let result = built(narrow.clone()).explain(ModelRef::WhiteBox(&probe), &x, Run::seeded(0));
    assert_eq!((named(result), probe.calls()), ("feature_range", 0));
    let widened = built(CounterfactualParams { widen_range: true, ..narrow });
    let data = widened.explain(ModelRef::WhiteBox(&probe), &x, Run::seeded(0)).unwrap().data;
    let cf = data.cf.unwrap();
    assert!((-0.9..=1.0).contains(&cf.x[0]), "{}", cf.x);
}

#[test]
fn a_budget_leaves_the_best_so_far() {
    let model = Logistic::new(&[2.0, -1.0], 0.5);
    let explainer = built(params());
    let x = array![1.0, 0.5];
    let access = ModelRef::BlackBox(&model);
    let full = explainer.explain(&access, &x, Run::seeded(0)).unwrap();
    let mut last = f64::INFINITY;
    let mut n_found = 0;
    for queries in 1..full.meta.queries {
        let budget = Budget::queries(queries);
        let data = explainer.explain(&access, &x, Run::seeded(0).with_budget(budget)).unwrap().data;
        assert!(data.n_queries <= queries);
        match data.cf {
            Some(cf) => {
                n_found += 1;
                assert!(cf.proba[0] >= 0.95 && cf.distance <= last * (1.0 + 1e-9), "{queries}");
                last = cf.distance;
            }
            None => assert_eq!((data.status, data.stop), (Status::Budget, Stop::Budget)),
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
        serde_json::to_value(explained.unwrap().data.figure()).unwrap()
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
    let image = figure(CounterfactualParams { shape: Some(vec![1, 2]), ..params() });
    let kinds: Vec<_> =
        image["panels"].as_array().unwrap().iter().map(|panel| &panel["kind"]).collect();
    assert_eq!(kinds, ["image", "heat-map", "image"]);
    assert_eq!(image["panels"][1]["width"], 2);
    assert_eq!(image["panels"][1]["values"][0].as_f64().unwrap().to_bits(), change.to_bits());
    let none = CounterfactualParams {
        feature_range: (PerFeature::All(0.5), PerFeature::All(1.0)),
        ..params()
    };
    assert!(figure(none)["title"].as_str().unwrap().contains("no counterfactual"));
}

/// Settings of one call must not reach the next, nor those of one explainer another.
#[test]
fn explainers_do_not_share_anything() {
    let model = Logistic::new(&[2.0, -1.0], 0.5);
    let access = ModelRef::WhiteBox(&model);
    let x: Array1<f64> = array![1.0, 0.5];
    let range = |low: f64| CounterfactualParams {
        feature_range: (PerFeature::All(low), PerFeature::All(1.0)),
        target_proba: 0.6,
        ..params()
    };
    let (wide, narrow) = (built(range(-2.0)), built(range(-0.05)));
    let of = |explainer: &Counterfactual| {
        explainer.explain(&access, &x, Run::seeded(0)).unwrap().to_json().unwrap()
    };
    let fresh = of(&wide);
    let narrowed = of(&narrow);
    assert_ne!(fresh, narrowed);
    assert_eq!(of(&wide), fresh);
    assert_eq!(of(&narrow), narrowed);
}
