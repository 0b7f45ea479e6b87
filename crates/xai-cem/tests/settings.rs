//! What is refused, and by which name.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::array;
use xai_cem::{CemModel, CemParams, Interval, Mode};
use xai_core::constraints::Constraints;
use xai_core::tabular::Features;
use xai_core::{Error, Explainer, PerFeature, Run, Semantics};
use xai_testkit::{Linear, Logistic, Probe, refused};

fn features() -> Features {
    Features::unnamed(2).unwrap()
}

fn given() -> CemParams {
    CemParams { no_info_val: Some(PerFeature::All(0.0)), ..Default::default() }
}

#[test]
fn parameters_outside_their_range() {
    let base = CemParams::default;
    for value in [-0.1, f64::NAN, f64::INFINITY] {
        refused("kappa", CemParams { kappa: value, ..base() });
        refused("beta", CemParams { beta: value, ..base() });
        refused("gamma", CemParams { gamma: value, ..base() });
        refused("learning_rate_init", CemParams { learning_rate_init: value, ..base() });
        refused("c_init", CemParams { c_init: value, ..base() });
    }
    refused("c_init", CemParams { c_init: 0.0, ..base() });
    refused("learning_rate_init", CemParams { learning_rate_init: 0.0, ..base() });
    refused("max_iterations", CemParams { max_iterations: 0, ..base() });
    refused("c_steps", CemParams { c_steps: 0, ..base() });
    refused("update_num_grad", CemParams { update_num_grad: 0, ..base() });
    refused("clip", CemParams { clip: (1.0, 1.0), ..base() });
    refused("clip", CemParams { clip: (f64::NAN, 1.0), ..base() });
    let all = PerFeature::All;
    refused("feature_range", CemParams { feature_range: (all(f64::NAN), all(1.0)), ..base() });
    refused("eps", CemParams { eps: Some((all(1e-3), all(0.0))), ..base() });
    refused("no_info_val", CemParams { no_info_val: Some(all(f64::NAN)), ..base() });
    refused("shape", CemParams { shape: Some(vec![8]), ..base() });
    refused("shape", CemParams { shape: Some(vec![0, 8]), ..base() });
    refused("min_target_proba", CemParams { min_target_proba: Some(1.5), ..base() });
    let interval = Interval { output: 0, min: Some(1.0), max: Some(0.0) };
    refused("target_interval", CemParams { target_interval: Some(interval), ..base() });
    let mode = Mode::PertinentPositive;
    refused("target_class", CemParams { mode, target_class: Some(vec![1]), ..base() });
    let interval = Some(Interval::default());
    refused("kappa", CemParams { target_interval: interval, kappa: 0.1, ..base() });
    let constraints = Constraints { max_changes: Some(1), ..Default::default() };
    let semantics = Semantics::Reference;
    refused("constraints", CemParams { constraints, semantics, ..base() });
}

#[test]
fn parameters_that_do_not_fit_the_table() {
    let named = |params: CemParams| match params.build(features()) {
        Err(Error::Param(error)) => error.name,
        other => panic!("{other:?}"),
    };
    assert_eq!(named(CemParams::default()), "no_info_val");
    let three = PerFeature::Each(vec![0.0; 3]);
    assert_eq!(named(CemParams { no_info_val: Some(three.clone()), ..given() }), "no_info_val");
    let range = (three.clone(), PerFeature::All(1.0));
    assert_eq!(named(CemParams { feature_range: range, ..given() }), "feature_range");
    let range = (PerFeature::All(1.0), PerFeature::All(-1.0));
    assert_eq!(named(CemParams { feature_range: range, ..given() }), "feature_range");
    let eps = Some((PerFeature::All(1e-3), PerFeature::Each(vec![1e-3; 3])));
    assert_eq!(named(CemParams { eps, ..given() }), "eps");
    assert_eq!(named(CemParams { shape: Some(vec![2, 2]), ..given() }), "shape");
    let range = (PerFeature::All(0.5), PerFeature::All(1.0));
    let positive = CemParams { mode: Mode::PertinentPositive, feature_range: range, ..given() };
    assert_eq!(named(positive), "no_info_val");
}

#[test]
fn instances_and_models_that_do_not_fit() {
    let model = Logistic::new(&[2.0, -1.0], 0.5);
    let named = |params: CemParams, view: CemModel<'_>| {
        let explainer = params.build(features()).unwrap();
        match explainer.explain(view, &array![1.0, 0.5], Run::seeded(0)) {
            Err(Error::Param(error)) => error.name,
            other => panic!("{other:?}"),
        }
    };
    let probe = Probe::new(&model);
    let view = CemModel::white_box(&probe);
    let narrow = (PerFeature::All(-0.5), PerFeature::All(0.7));
    assert_eq!(
        named(CemParams { feature_range: narrow.clone(), ..given() }, view),
        "feature_range"
    );
    assert_eq!(named(CemParams { gamma: 1.0, ..given() }, view), "gamma");
    assert_eq!(probe.calls(), 0);
    assert_eq!(named(CemParams { target_class: Some(vec![1]), ..given() }, view), "target_class");
    assert_eq!(named(CemParams { kappa: 1.0, ..given() }, view), "kappa");
    let interval = Some(Interval { output: 1, min: Some(0.0), max: None });
    let params = CemParams { target_interval: interval, ..given() };
    assert_eq!(named(params, view), "target_interval");
    // A single score is no probability.
    let score = Linear::new(&[3.0, 1.0], 2.0);
    assert_eq!(named(given(), CemModel::white_box(&score)), "model");
    // A widened range lets the instance be where it is.
    let params = CemParams { feature_range: narrow, widen_range: true, ..given() };
    let explainer = params.build(features()).unwrap();
    explainer.explain(&view, &array![1.0, 0.5], Run::seeded(0)).unwrap();
}

#[test]
fn scores_are_taken_with_a_warning() {
    let scores = Linear::outputs(array![[1.0, 2.0], [-1.0, 0.0]], array![0.0, 0.5]);
    let explainer = given().build(features()).unwrap();
    let view = CemModel::white_box(&scores);
    let meta = explainer.explain(&view, &array![1.0, 0.5], Run::seeded(0)).unwrap().meta;
    assert_eq!(meta.warnings[0].code, "cem.not_probabilities");
}

#[test]
fn fitted_values_without_information() {
    let rows = array![[1.0, 10.0], [2.0, 20.0], [9.0, 0.0], [4.0, 2.0]];
    let fitted = CemParams::default().fit(&rows, features()).unwrap();
    assert_eq!(fitted.no_info_val(), &array![3.0, 6.0]);
    let mean = CemParams { no_info_type: xai_cem::NoInfo::Mean, ..given() };
    let fitted = mean.fit(&rows, features()).unwrap();
    assert_eq!(fitted.no_info_val(), &array![4.0, 8.0]);
    let model = Logistic::new(&[2.0, -1.0], 0.5);
    let view = CemModel::white_box(&model);
    let meta = fitted.explain(&view, &array![1.0, 0.5], Run::seeded(0)).unwrap().meta;
    assert_eq!(meta.warnings[0].code, "cem.no_info_overwritten");
    assert!(matches!(
        CemParams::default().fit(&rows.slice(ndarray::s![..0, ..]), features()),
        Err(Error::Shape { .. })
    ));
}

#[test]
fn two_explainers_keep_their_own_ranges() {
    let model = Logistic::new(&[2.0, -1.0], 0.5);
    let view = CemModel::white_box(&model);
    let ranged = |max: f64| {
        let no_info_val = Some(PerFeature::All(-5.0));
        let feature_range = (PerFeature::All(-10.0), PerFeature::All(max));
        CemParams { no_info_val, feature_range, ..Default::default() }.build(features()).unwrap()
    };
    let (narrow, wide) = (ranged(2.0), ranged(10.0));
    for _ in 0..2 {
        let found = |cem: &xai_cem::Cem| {
            cem.explain(&view, &array![1.0, 0.5], Run::seeded(0)).unwrap().data.pn
        };
        assert!(found(&narrow).is_none());
        assert!(2.5 <= found(&wide).unwrap()[1]);
    }
}
