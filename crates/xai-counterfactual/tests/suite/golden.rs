//! The instances that alibi explained: valid wherever it was, and closer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::Array1;
use serde::Deserialize;
use xai_core::tabular::Features;
use xai_core::{Differentiable, Explainer, ModelRef, PerFeature, Run};
use xai_counterfactual::{CounterfactualData, CounterfactualParams, TargetClass};
use xai_testkit::{Digits, Fixture};

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

/// An instance, and what alibi found for it.
#[derive(Deserialize)]
struct Case {
    name: String,
    model: String,
    params: Settings,
    instance: Vec<f64>,
    stats: Stats,
}

#[derive(Clone, Deserialize)]
struct Settings {
    target_proba: f64,
    target_class: TargetClass,
    tol: f64,
    max_iter: usize,
    lam_init: f64,
    max_lam_steps: usize,
    learning_rate_init: f64,
    feature_range: (f64, f64),
    white_box: bool,
}

#[derive(Deserialize)]
struct Stats {
    l1: f64,
    orig_class: usize,
}

fn model(name: &str) -> Box<dyn Differentiable> {
    match name {
        "digits" => Box::new(Digits::load().classifier),
        _ => Box::new(Fixture::load(name).network),
    }
}

fn params(settings: &Settings) -> CounterfactualParams {
    let (low, high) = settings.feature_range;
    CounterfactualParams::default()
        .with_target_proba(settings.target_proba)
        .with_target_class(settings.target_class)
        .with_tol(settings.tol)
        .with_max_iterations(settings.max_iter)
        .with_c_init(1.0 / settings.lam_init)
        .with_c_steps(settings.max_lam_steps)
        .with_learning_rate_init(settings.learning_rate_init)
        .with_feature_range((PerFeature::All(low), PerFeature::All(high)))
}

fn explain(case: &Case, model: &dyn Differentiable) -> CounterfactualData {
    let x = Array1::from(case.instance.clone());
    let explainer = params(&case.params).build(Features::unnamed(x.len()).unwrap()).unwrap();
    let access =
        if case.params.white_box { ModelRef::WhiteBox(model) } else { ModelRef::BlackBox(model) };
    explainer.explain(access, &x, Run::seeded(0)).unwrap().data
}

/// Validity is checked by the model itself, not by what the data says.
#[track_caller]
fn reaches(case: &Case, model: &dyn Differentiable, row: &Array1<f64>) {
    let Settings { target_proba, tol, target_class, feature_range: (low, high), .. } = case.params;
    #[allow(clippy::disallowed_methods, reason = "the judge asks for itself")]
    let outputs = model.predict(&row.view().insert_axis(ndarray::Axis(0))).unwrap();
    let outputs = outputs.row(0);
    let class = (0..outputs.len()).max_by(|&a, &b| outputs[a].total_cmp(&outputs[b])).unwrap();
    let name = &case.name;
    assert!((outputs[class] - target_proba).abs() <= tol, "{name}: {outputs}");
    match target_class {
        TargetClass::Other => assert_ne!(class, case.stats.orig_class, "{name}"),
        TargetClass::Same => assert_eq!(class, case.stats.orig_class, "{name}"),
        TargetClass::Class(wanted) => assert_eq!(class, wanted, "{name}"),
    }
    assert!(row.iter().all(|value| (low..=high).contains(value)), "{name} leaves the range");
}

#[track_caller]
fn is_closer(cases: &[Case]) {
    let mut log = 0.0;
    for case in cases {
        let model = model(&case.model);
        let data = explain(case, &*model);
        let cf = data.cf.unwrap_or_else(|| panic!("{}: {}", case.name, data.reason));
        assert_eq!(data.class, case.stats.orig_class, "{}", case.name);
        reaches(case, &*model, &cf.row);
        let ratio = cf.distances.elastic_net / case.stats.l1;
        assert!(
            ratio <= 1.02,
            "{}: {} against {}",
            case.name,
            cf.distances.elastic_net,
            case.stats.l1
        );
        log += ratio.ln();
    }
    assert!(log < 0.0, "no closer on the mean");
}

fn cases(model: &str) -> Vec<Case> {
    let golden: Golden = serde_json::from_str(include_str!("../reference/wachter.json")).unwrap();
    golden.cases.into_iter().filter(|case| case.model == model).collect()
}

#[test]
fn iris_is_closer() {
    is_closer(&cases("iris_mlp"));
}

#[test]
fn cancer_is_closer() {
    is_closer(&cases("cancer_mlp"));
}

#[test]
fn digits_are_closer() {
    is_closer(&cases("digits"));
}
