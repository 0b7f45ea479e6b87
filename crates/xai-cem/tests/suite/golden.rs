//! The instances that alibi explained: valid wherever it was, and no farther, with an autoencoder in the loss as well.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{Array1, Axis};
use serde::Deserialize;
use xai_cem::{CemData, CemModel, CemParams, Mode};
use xai_core::tabular::Features;
use xai_core::{Differentiable, Explainer, PerFeature, Predictor, Run};
use xai_testkit::{Digits, Fixture, reference};

/// A case of the file.
#[derive(Deserialize)]
struct Case {
    name: String,
    model: String,
    params: Settings,
    instance: serde_json::Value,
    #[serde(default)]
    result: serde_json::Value,
    stats: Stats,
    #[serde(default)]
    no_info_val: serde_json::Value,
}

#[derive(Deserialize)]
struct Settings {
    mode: Mode,
    kappa: f64,
    beta: f64,
    #[serde(default)]
    gamma: f64,
    feature_range: serde_json::Value,
    max_iterations: usize,
    c_init: f64,
    c_steps: usize,
    learning_rate_init: f64,
    clip: (f64, f64),
    #[serde(default)]
    eps: Option<(f64, f64)>,
    #[serde(default)]
    no_info_val: Option<f64>,
    white_box: bool,
}

#[derive(Deserialize)]
struct Stats {
    found: bool,
}

/// All numbers of nested lists.
fn numbers(value: &serde_json::Value) -> Vec<f64> {
    match value {
        serde_json::Value::Array(items) => items.iter().flat_map(numbers).collect(),
        other => other.as_f64().into_iter().collect(),
    }
}

fn per_feature(value: &serde_json::Value) -> PerFeature {
    match &numbers(value)[..] {
        [single] => PerFeature::All(*single),
        many => PerFeature::Each(many.to_vec()),
    }
}

fn explain(case: &Case) -> CemData {
    let x = Array1::from(numbers(&case.instance));
    let settings = &case.params;
    let given = numbers(&case.no_info_val);
    let no_info = match settings.no_info_val {
        Some(value) => PerFeature::All(value),
        None => PerFeature::Each(given),
    };
    let params = CemParams::default()
        .with_mode(settings.mode)
        .with_kappa(settings.kappa)
        .with_beta(settings.beta)
        .with_gamma(settings.gamma)
        .with_feature_range((
            per_feature(&settings.feature_range[0]),
            per_feature(&settings.feature_range[1]),
        ))
        .with_max_iterations(settings.max_iterations)
        .with_c_init(settings.c_init)
        .with_c_steps(settings.c_steps)
        .with_learning_rate_init(settings.learning_rate_init)
        .with_clip(settings.clip)
        .with_eps(settings.eps.map(|(p, x)| (PerFeature::All(p), PerFeature::All(x))))
        .with_no_info_val(Some(no_info))
        .with_widen_range(true)
        .with_crossing(true);
    let explainer = params.build(Features::unnamed(x.len()).unwrap()).unwrap();
    let explain = |model: &dyn Differentiable, autoencoder: Option<&dyn Differentiable>| {
        let view = match settings.white_box {
            true => CemModel::white_box(model),
            false => CemModel::black_box(model),
        };
        let view = CemModel { autoencoder, ..view };
        explainer.explain(view, &x, Run::seeded(0)).unwrap().data
    };
    if case.model == "digits" {
        let digits = Digits::load();
        return explain(&digits.classifier, Some(&digits.autoencoder));
    }
    explain(&Fixture::load(&case.model).network, None)
}

fn cases() -> Vec<Case> {
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    serde_json::from_str::<File>(&reference("counterfactuals_cem.json")).unwrap().cases
}

/// The elastic-net distance of a row from where a search starts: the instance, or the values without information.
fn distance(case: &Case, data: &CemData, row: &Array1<f64>) -> f64 {
    let center = match case.params.mode {
        Mode::PertinentNegative => &data.instance,
        Mode::PertinentPositive => &data.no_info_val,
    };
    let change = row - center;
    change.dot(&change) + case.params.beta * change.mapv(f64::abs).sum()
}

/// The squared reconstruction error of a digit.
fn error(digit: &[f64]) -> f64 {
    let digit = Array1::from(digit.to_vec());
    let rows = digit.view().insert_axis(Axis(0));
    #[allow(clippy::disallowed_methods, reason = "the judge asks for itself")]
    let again = Digits::load().autoencoder.predict(&rows).unwrap();
    let error = &again.row(0) - &digit;
    error.dot(&error)
}

#[test]
fn no_answer_is_farther_than_that_of_alibi() {
    let mut ratios = Vec::new();
    for case in cases() {
        let data = explain(&case);
        let found = data.result.as_ref();
        let found = found.unwrap_or_else(|| panic!("{}: {}", case.name, data.reason));
        let own = found.distances;
        let flips = case.params.mode == Mode::PertinentNegative;
        assert_eq!(found.class != data.class, flips, "{}", case.name);
        if case.stats.found {
            let reference = distance(&case, &data, &Array1::from(numbers(&case.result)));
            ratios.push((own.elastic_net / reference, case.name.clone()));
            if 0.0 < case.params.gamma {
                // A shorter way is not bought with a row that the autoencoder knows less of.
                let other = reference + case.params.gamma * error(&numbers(&case.result));
                let result = found.row.to_vec();
                let own = own.elastic_net + case.params.gamma * error(&result);
                assert!(own <= other, "{}: a loss of {own} against {other}", case.name);
            }
        }
    }
    for (ratio, name) in &ratios {
        assert!(*ratio <= 1.02, "{name}: {ratio} times the distance of alibi");
    }
    let mean = ratios.iter().map(|(ratio, _)| ratio).sum::<f64>() / ratios.len() as f64;
    assert!(mean < 1.0, "the mean ratio is {mean}");
}
